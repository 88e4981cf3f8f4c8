#include "tests/support/teal_process.h"

#include <unistd.h>

#include <cstdlib>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "tests/support/scratch_directory.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

SpawnOptions spawn_options(const std::vector<std::string>& arguments, const TealOptions& options,
                           const std::filesystem::path& files) {
  SpawnOptions spawn;
  spawn.argv = {teal_binary()};
  spawn.argv.insert(spawn.argv.end(), arguments.begin(), arguments.end());
  spawn.environment = options.environment;
  // Nothing of the caller's shell may decide a test: names that libpq and teal read, unless given.
  for (const char* name : {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSERVICE", "PGOPTIONS",
                           "TEAL_BLUE", "TEAL_GREEN", "TEAL_CONFIG", "TEAL_LOG_LEVEL"}) {
    const std::string key = std::string(name) + "=";
    bool given = false;
    for (const std::string& entry : options.environment) given = given || entry.starts_with(key);
    if (!given && std::getenv(name) != nullptr) spawn.removed_environment.emplace_back(name);
  }
  spawn.directory = options.directory;
  spawn.stdout_path = files / "out";
  spawn.stderr_path = files / "err";
  return spawn;
}

}  // namespace

std::string teal_binary() {
  const char* given = std::getenv("TEAL_BINARY");
  return given != nullptr ? given : TEAL_TEST_BINARY;
}

TealProcess::TealProcess(const std::vector<std::string>& arguments, const TealOptions& options)
    : files_(make_scratch_directory("teal")), process_(spawn_options(arguments, options, files_)) {}

int TealProcess::wait_exit(std::chrono::milliseconds deadline) {
  const std::optional<int> code = process_.wait_exit(deadline);
  if (!code) throw WaitTimeout("teal still runs after " + std::to_string(deadline.count()) + " ms: " + err());
  return *code;
}

void TealProcess::kill9() {
  process_.send(SIGKILL);
  wait_exit(std::chrono::seconds(30));
}

int TealProcess::terminate(std::chrono::milliseconds deadline) {
  process_.send(SIGTERM);
  return wait_exit(deadline);
}

void TealProcess::wait_for_log(const std::string& pattern, std::chrono::milliseconds deadline) {
  const std::regex regex(pattern);
  const auto matches = [this, &regex] {
    std::istringstream lines(err());
    for (std::string line; std::getline(lines, line);) {
      if (std::regex_search(line, regex)) return true;
    }
    return false;
  };
  bool found = false;
  const bool decided = holds_within(deadline, [this, &matches, &found] {
    const bool ended = !running();
    found = matches();
    return found || ended;
  });
  if (found) return;
  if (decided) throw std::runtime_error("teal ended without logging /" + pattern + "/: " + err());
  throw WaitTimeout("teal did not log /" + pattern + "/ in time: " + err());
}

std::string TealProcess::out() const { return read_file(files_ / "out"); }
std::string TealProcess::err() const { return read_file(files_ / "err"); }

TealResult run_teal(const std::vector<std::string>& arguments, const TealOptions& options,
                    std::chrono::milliseconds deadline) {
  TealProcess process(arguments, options);
  TealResult result;
  result.exit_code = process.wait_exit(deadline);
  result.out = process.out();
  result.err = process.err();
  return result;
}

}  // namespace teal::test
