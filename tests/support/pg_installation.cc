#include "tests/support/pg_installation.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>

#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

// In another root the user postgres has another number.
UserIds postgres_of(const fs::path& root) {
  std::ifstream users(root / "etc/passwd");
  for (std::string line; std::getline(users, line);) {
    if (!line.starts_with("postgres:")) continue;
    std::istringstream fields(line);
    std::string name;
    std::string password;
    std::string uid;
    std::string gid;
    std::getline(std::getline(std::getline(std::getline(fields, name, ':'), password, ':'), uid, ':'), gid, ':');
    const auto group = static_cast<gid_t>(std::stoul(gid));
    return {static_cast<uid_t>(std::stoul(uid)), group, {group}};
  }
  throw std::runtime_error("no user postgres in " + root.string());
}

fs::path make_wrappers(const fs::path& root, const fs::path& bin) {
  fs::path directory = make_scratch_directory("bin");
  for (const char* program : {"pg_dump", "pg_restore"}) {
    const fs::path file = directory / program;
    write_file(file,
               "#!/bin/sh\nexec /usr/sbin/chroot " + root.string() + " " + (bin / program).string() + " \"$@\"\n");
    fs::permissions(file, fs::perms::owner_all);
  }
  return directory;
}

PgInstallation find_installation(int major) {
  PgInstallation found;
  found.major = major;
  found.bin = "/usr/lib/postgresql/" + std::to_string(major) + "/bin";
  if (major == kOwnMajor) {
    found.bin = environment("TEAL_TEST_PG_BIN", found.bin.c_str());
    found.user = server_user();
    found.dump_programs = found.bin;
    return found;
  }
  found.root = environment("TEAL_TEST_ROOTS", "/var/cache/teal-tests") + "/pg" + std::to_string(major);
  if (::geteuid() != 0 || !fs::exists(found.root / found.bin.relative_path() / "postgres")) {
    throw std::runtime_error("PostgreSQL " + std::to_string(major) +
                             " is not there: as root, run the tests by tests/run.sh --versions");
  }
  found.user = postgres_of(found.root);
  found.dump_programs = make_wrappers(found.root, found.bin);
  return found;
}

int major_from(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr ? std::stoi(value) : kOwnMajor;
}

}  // namespace

const PgInstallation& pg_installation(int major) {
  static std::mutex mutex;
  static std::map<int, PgInstallation> known;  // guarded by mutex; elements stay where they are
  const std::lock_guard lock(mutex);
  const auto found = known.find(major);
  return found != known.end() ? found->second : known.emplace(major, find_installation(major)).first->second;
}

int blue_major() { return major_from("TEAL_TEST_BLUE"); }
int green_major() { return major_from("TEAL_TEST_GREEN"); }

}  // namespace teal::test
