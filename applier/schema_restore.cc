#include "applier/schema_restore.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/pg_error.h"
#include "engine/pg_handle.h"
#include "engine/subprocess.h"

namespace teal {
namespace {

struct SafeConninfo {
  std::string text;                                // key='value' pairs without secrets
  std::map<std::string, std::string> environment;  // the secrets
};

SafeConninfo without_secrets(const std::string& conninfo) {
  const ConninfoHandle parsed(PQconninfoParse(conninfo.c_str(), nullptr));
  if (!parsed) throw Stopped(StopCode::kUsage, "a connection string cannot be read");
  SafeConninfo safe;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string key = option->keyword;
    if (key == "password") {
      safe.environment["PGPASSWORD"] = option->val;
      continue;
    }
    std::string value;
    for (const char* c = option->val; *c != '\0'; ++c) {
      if (*c == '\'' || *c == '\\') value.push_back('\\');
      value.push_back(*c);
    }
    safe.text += (safe.text.empty() ? "" : " ") + key + "='" + value + "'";
  }
  return safe;
}

std::string program(const std::string& bindir, const std::string& name) {
  return bindir.empty() ? name : bindir + "/" + name;
}

void run_or_stop(const std::string& what, const std::vector<std::string>& argv, const SafeConninfo& conninfo,
                 const std::stop_token& stop) {
  const SubprocessResult result = run_subprocess(argv, conninfo.environment, stop);
  if (result.exit_code == 0) return;
  throw Stopped(StopCode::kRefused, what + " failed (" + argv[0] + " exited with " + std::to_string(result.exit_code) +
                                        "), nothing of it was kept: " + result.err);
}

}  // namespace

SchemaDump::SchemaDump(SchemaRestoreOptions options, std::stop_token stop)
    : options_(std::move(options)), stop_(std::move(stop)) {
  std::string pattern = (std::filesystem::temp_directory_path() / "teal-schema-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "make a directory for the schema's dump");
  }
  directory_ = pattern;
  const SafeConninfo source = without_secrets(options_.source_conninfo);
  try {
    run_or_stop("dumping the schema of the source",
                {program(options_.bindir, "pg_dump"), "--format=custom", "--schema-only", "--no-owner", "--no-acl",
                 "--no-publications", "--no-subscriptions", "--exclude-schema=teal", "--file=" + directory_ + "/schema",
                 "--dbname=" + source.text},
                source, stop_);
  } catch (...) {
    std::filesystem::remove_all(directory_);
    throw;
  }
}

SchemaDump::~SchemaDump() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void SchemaDump::restore_section(const std::string& section) {
  const SafeConninfo target = without_secrets(options_.target_conninfo);
  run_or_stop("restoring the schema (" + section + ") on the target",
              {program(options_.bindir, "pg_restore"), "--section=" + section, "--no-owner", "--no-acl",
               "--single-transaction", "--exit-on-error", "--dbname=" + target.text, directory_ + "/schema"},
              target, stop_);
}

void SchemaDump::restore_pre_data() { restore_section("pre-data"); }
void SchemaDump::restore_post_data() { restore_section("post-data"); }

}  // namespace teal
