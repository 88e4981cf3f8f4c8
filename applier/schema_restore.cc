#include "applier/schema_restore.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "applier/index_units.h"
#include "engine/pg_connection.h"
#include "engine/pg_error.h"
#include "engine/pg_handle.h"
#include "engine/subprocess.h"

namespace teal {
namespace {

struct SafeConninfo {
  std::string text;                                // key='value' pairs without secrets
  std::map<std::string, std::string> environment;  // the secrets
};

// A default of the server, the role or the database must not hinder the restore (TRAPS M7), nor give the constants of
// defaults and checks another amount (D10).
constexpr const char* kPinned =
    "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 "
    "-c idle_in_transaction_session_timeout=0 -c lc_monetary=C";

constexpr const char* kConnectionFailure = "08006";

int server_major(const std::string& conninfo) {
  return PgConnection::connect({conninfo, "the server whose schema is moved", "teal/schema"}).server_major();
}

std::string quoted_value(std::string_view text) {
  std::string value = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') value.push_back('\\');
    value.push_back(c);
  }
  return value + "'";
}

SafeConninfo without_secrets(const std::string& conninfo) {
  const ConninfoHandle parsed(PQconninfoParse(conninfo.c_str(), nullptr));
  if (!parsed) throw Stopped(StopCode::kUsage, "a connection string cannot be read");
  SafeConninfo safe;
  std::string pinned = kPinned;
  if (server_major(conninfo) >= 14) pinned += " -c idle_session_timeout=0";
  bool own_options = false;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string key = option->keyword;
    if (key == "password") {
      safe.environment["PGPASSWORD"] = option->val;
      continue;
    }
    if (key == "sslpassword") {  // libpq has no variable for it, and the command line is public
      throw Stopped(StopCode::kUsage,
                    "copy.schema: true cannot be used with sslpassword in a connection string: use a "
                    "key without a passphrase, or restore the schema yourself and set copy.schema: false");
    }
    if (key == "options") {
      safe.text += "options=" + quoted_value(std::string(option->val) + " " + pinned) + " ";
      own_options = true;
      continue;
    }
    safe.text += key + "=" + quoted_value(option->val) + " ";
  }
  if (own_options) return safe;
  const char* inherited = std::getenv("PGOPTIONS");
  safe.environment["PGOPTIONS"] = (inherited == nullptr ? "" : std::string(inherited) + " ") + pinned;
  return safe;
}

std::size_t count_entries(const std::vector<IndexUnit>& units) {
  std::size_t count = 0;
  for (const IndexUnit& unit : units) count += unit.entries.size();
  return count;
}

std::string program(const std::string& bindir, const std::string& name) {
  return bindir.empty() ? name : bindir + "/" + name;
}

// A line of `pg_restore --list`: "6; 2615 16385 SCHEMA - app owner".
bool is_there_already(const std::string& line, const std::set<std::string>& schemas) {
  if (line.find(" COMMENT - EXTENSION ") != std::string::npos) return true;
  for (const std::string& schema : schemas) {
    if (line.find(" SCHEMA - " + schema + " ") != std::string::npos) return true;
    if (line.find(" COMMENT - SCHEMA " + schema + " ") != std::string::npos) return true;
  }
  return false;
}

// Of libpq, in the language that is asked for below: the programs' exit code is the same for whatever goes wrong.
constexpr std::array kLostConnection{"server closed the connection unexpectedly",
                                     "could not receive data from server",
                                     "could not send data to server",
                                     "SSL connection has been closed unexpectedly",
                                     "SSL SYSCALL error",
                                     "connection to server "};

bool lost_connection(const std::string& said) {
  return std::any_of(kLostConnection.begin(), kLostConnection.end(),
                     [&](const char* words) { return said.find(words) != std::string::npos; });
}

void run_or_stop(const std::string& what, const std::vector<std::string>& argv, const SafeConninfo& conninfo,
                 const std::stop_token& stop) {
  std::map<std::string, std::string> environment = conninfo.environment;
  environment["LC_ALL"] = "";
  environment["LC_MESSAGES"] = "C";
  const SubprocessResult result = run_subprocess(argv, environment, stop);
  if (result.exit_code == 0) return;
  if (stop.stop_requested()) throw Interrupted("stopped while " + what + "; nothing of it was kept");
  if (lost_connection(result.err)) throw PgError(what, result.err, kConnectionFailure);
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
    std::vector<std::string> argv = {program(options_.bindir, "pg_dump"),
                                     "--format=custom",
                                     "--schema-only",
                                     "--no-owner",
                                     "--no-acl",
                                     "--no-publications",
                                     "--no-subscriptions",
                                     "--exclude-schema=teal",
                                     "--file=" + directory_ + "/schema",
                                     "--dbname=" + source.text};
    for (const std::string& table : options_.excluded_tables) argv.push_back("--exclude-table=" + table);
    run_or_stop("dumping the schema of the source", argv, source, stop_);
  } catch (...) {
    std::filesystem::remove_all(directory_);
    throw;
  }
}

SchemaDump::~SchemaDump() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string SchemaDump::list_contents() {
  const SubprocessResult listed =
      run_subprocess({program(options_.bindir, "pg_restore"), "--list", directory_ + "/schema"}, {});
  if (listed.exit_code != 0) throw Stopped(StopCode::kRefused, "the schema's dump cannot be listed: " + listed.err);
  return listed.out;
}

// One transaction. `name`: of the file for the list, of which pg_restore has a section's entries made.
void SchemaDump::restore_listed(const std::string& section, const std::vector<DumpEntry>& entries,
                                const std::string& name, const std::stop_token& stop) {
  const std::string path = directory_ + "/" + name;
  std::ofstream out(path);
  for (const DumpEntry& entry : entries) out << entry.line << '\n';
  out.close();
  if (!out) throw Stopped(StopCode::kRefused, "cannot write " + path);
  const SafeConninfo target = without_secrets(options_.target_conninfo);
  run_or_stop(
      "restoring the schema (" + section + ") on the target",
      {program(options_.bindir, "pg_restore"), "--section=" + section, "--no-owner", "--no-acl", "--single-transaction",
       "--exit-on-error", "--use-list=" + path, "--dbname=" + target.text, directory_ + "/schema"},
      target, stop);
}

// Without schemas that the target has already (the administrator made them to grant rights in them) and without
// comments that only an owner may set.
void SchemaDump::restore_pre_data() {
  PgConnection target = PgConnection::connect({options_.target_conninfo, "the target", "teal/schema"});
  const Rows schemas = target.exec("list the target's schemas", "SELECT nspname FROM pg_namespace");
  std::set<std::string> present;
  for (int i = 0; i < schemas.size(); ++i) present.insert(schemas.str(i, 0));
  std::vector<DumpEntry> entries = parse_contents(list_contents());
  std::erase_if(entries, [&](const DumpEntry& entry) { return is_there_already(entry.line, present); });
  restore_listed("pre-data", entries, "contents", stop_);
}

// What a killed teal's pg_restore has made meanwhile hinders a unit once, and is left out of the next plan.
void SchemaDump::restore_post_data(const PostDataOptions& options) {
  const std::vector<DumpEntry> contents = parse_contents(list_contents());
  PgConnection source = PgConnection::connect({options_.source_conninfo, "the source", "teal/schema"});
  const std::vector<IndexFacts> indexes = read_indexes(source);
  source.close();
  std::size_t left = 0;
  std::exception_ptr hindered;
  for (;;) {
    PgConnection target = PgConnection::connect({options_.target_conninfo, "the target", "teal/schema"});
    const IndexPlan plan = plan_indexes(contents, indexes, read_index_likenesses(target), options);
    const std::size_t entries = count_entries(plan.units);
    if (hindered && entries >= left) std::rethrow_exception(hindered);
    target.close();
    std::size_t made = 0;
    try {
      run_index_units(
          plan.units, options.jobs, stop_,
          [&](const IndexUnit& unit, int job, const std::stop_token& stop) {
            restore_listed("post-data", unit.entries, "contents" + std::to_string(job), stop);
          },
          made);
      restore_listed("post-data", plan.rest, "contents", stop_);
      return;
    } catch (const Interrupted&) {
      throw;
    } catch (const Stopped&) {
      if (made == entries) throw;
      hindered = std::current_exception();
      left = entries - made;
    }
  }
}

}  // namespace teal
