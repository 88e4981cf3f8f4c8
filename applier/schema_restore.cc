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

#include "applier/dump_program.h"
#include "applier/index_units.h"
#include "engine/pg_connection.h"
#include "engine/pg_error.h"
#include "engine/pg_handle.h"
#include "engine/subprocess.h"

namespace teal {
namespace {

std::size_t count_entries(const std::vector<IndexUnit>& units) {
  std::size_t count = 0;
  for (const IndexUnit& unit : units) count += unit.entries.size();
  return count;
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
    std::vector<std::string> argv = {dump_program(options_.bindir, "pg_dump"),
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
    run_dump_program("dumping the schema of the source", argv, source, stop_);
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
      run_subprocess({dump_program(options_.bindir, "pg_restore"), "--list", directory_ + "/schema"}, {});
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
  run_dump_program("restoring the schema (" + section + ") on the target",
                   {dump_program(options_.bindir, "pg_restore"), "--section=" + section, "--no-owner", "--no-acl",
                    "--single-transaction", "--exit-on-error", "--use-list=" + path, "--dbname=" + target.text,
                    directory_ + "/schema"},
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
