#include "tools/copy_step.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "applier/schema_restore.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "engine/wait_log.h"
#include "tools/copy_plan.h"
#include "tools/copy_progress.h"
#include "tools/link_facts.h"
#include "tools/wiring.h"

namespace teal {
namespace {

constexpr int kInterruptions = 10;  // by a server's restart or a full disk
constexpr int kPasses = 20;         // over tables that were altered after a snapshot
constexpr std::chrono::milliseconds kAttemptPause{2'000};

// The tables that a chain of foreign keys leads to from one of `tables`, in either direction; partitions have their
// table's keys, and are emptied with it.
std::set<TableName> connected_by_foreign_keys(PgConnection& source, const std::vector<CopyTable>& tables,
                                              const std::vector<SourceTable>& all) {
  std::map<TableName, std::vector<TableName>> neighbours;
  for (const SourceTable& table : all) {
    if (table.name == table.target) continue;
    neighbours[table.name].push_back(table.target);
    neighbours[table.target].push_back(table.name);
  }
  for (const ForeignKey& key : read_foreign_keys(source)) {
    neighbours[key.child].push_back(key.parent);
    neighbours[key.parent].push_back(key.child);
  }
  std::set<TableName> reached;
  std::vector<TableName> open;
  open.reserve(tables.size());
  for (const CopyTable& table : tables) open.push_back(table.name);
  while (!open.empty()) {
    const TableName table = open.back();
    open.pop_back();
    if (!reached.insert(table).second) continue;
    const auto next = neighbours.find(table);
    if (next != neighbours.end()) open.insert(open.end(), next->second.begin(), next->second.end());
  }
  return reached;
}

// The pg_restore of a teal that was killed lives on, and may have been faster.
void restore_unless_done(const std::string& link, const std::function<void()>& restore,
                         const std::function<bool()>& missing) {
  try {
    restore();
  } catch (const Interrupted&) {
    throw;
  } catch (const Stopped&) {
    if (missing()) throw;
    log_event(LogLevel::kInfo, "schema was restored meanwhile by what a killed teal had begun", {{"link", link}});
  }
}

}  // namespace

CopyStep::CopyStep(const Config& config, LinkNames names, bool quiet, std::stop_token stop)
    : config_(config), names_(std::move(names)), quiet_(quiet), stop_(std::move(stop)) {
  look_at_source();
}

PgConnection CopyStep::connect(bool blue) const {
  PgConnection connection = PgConnection::connect(connect_options(config_, blue, "copy"));
  connection.set_stop_token(stop_);
  connection.set_wait_listener(log_long_waits(connection, "copy"));
  return connection;
}

// Again before each attempt: the application's DDL does not wait for the copy.
void CopyStep::look_at_source() {
  PgConnection source = connect(true);
  source_major_ = source.server_major();
  tables_ = tables_with_rows(read_source_catalog(source, config_.tables));
  read_rows_taken(source, tables_);
  const std::optional<Publication> publication = read_publication(source, names_.publication());
  if (!publication) throw Stopped(StopCode::kRefused, "the publication " + names_.publication() + " is gone");
  entries_.clear();
  for (const PublishedTable& table : publication->tables) entries_[table.name] = table;
  for (const PublishedTable& part : publication->parts) entries_[part.name] = part;
}

void CopyStep::run(bool no_copy) {
  if (no_copy) {
    mark_copied();
    return;
  }
  if (config_.copy.schema) through_interruptions(&CopyStep::restore_tables_if_missing);
  start_over_for_foreign_keys();
  const std::vector<CopyTable> pending = pending_tables();
  if (!pending.empty()) {
    CopyCounters counters(config_.copy.max_rate);
    const CopyProgress progress(counters, pending, quiet_);
    copy_with_retries(pending, counters);
  }
  if (config_.copy.schema && !stop_.stop_requested()) through_interruptions(&CopyStep::restore_keys_if_missing);
}

// A lost connection leaves open whether a section was restored: what is there is looked at each time.
void CopyStep::through_interruptions(void (CopyStep::*restore)()) {
  for (int interruptions = 0;;) {
    try {
      (this->*restore)();
      return;
    } catch (const PgError& error) {
      if (stop_.stop_requested() || error.needs_somebody() || ++interruptions == kInterruptions) throw;
      log_event(LogLevel::kWarn, "restoring the schema interrupted, trying again",
                {{"link", names_.link}, {"reason", error.what()}});
    }
    if (!pause_for(kAttemptPause, stop_)) throw Interrupted("stopped while the schema was being restored");
  }
}

// A crash of a server costs the tables under way, not the finished ones; they come from a new snapshot, as do tables
// that were altered after the last one. Which are left is asked before each attempt: a server that is away then costs
// the attempt, and no table is copied twice.
void CopyStep::copy_with_retries(const std::vector<CopyTable>& pending, CopyCounters& counters) {
  std::vector<CopyTable> left = pending;
  int interruptions = 0;
  int passes = 0;
  for (bool first = true; !stop_.stop_requested(); first = false) {
    if (!first && !pause_for(kAttemptPause, stop_)) return;
    try {
      if (!first) left = look_again();
      if (left.empty() || copy_tables(make_copy_options(config_, names_), left, counters, stop_) == 0) return;
      if (++passes == kPasses) {
        throw Stopped(StopCode::kRefused,
                      "tables are altered on the source (TRUNCATE, ALTER TABLE, VACUUM FULL) more often than they can "
                      "be copied: the log names them; pause that, then start again");
      }
    } catch (const PgError& error) {
      if (stop_.stop_requested()) return;
      if (error.needs_somebody() || ++interruptions == kInterruptions) throw;
      log_event(LogLevel::kWarn, "copy interrupted, trying again", {{"link", names_.link}, {"reason", error.what()}});
    }
  }
}

std::vector<CopyTable> CopyStep::look_again() {
  look_at_source();
  start_over_for_foreign_keys();
  return pending_tables();
}

// Foreign keys are validated when blue's constraints are restored, before the stream runs: that only succeeds over rows
// of one snapshot. So tables that are connected by foreign keys with one that is still pending are copied again with
// it, while the keys are still to come; green's tables are teal's own then and nobody uses them.
void CopyStep::start_over_for_foreign_keys() {
  if (!config_.copy.schema) return;
  const std::vector<CopyTable> pending = pending_tables();
  if (pending.empty() || !keys_missing()) return;
  PgConnection target = connect(false);
  // Rows that the stream has changed since are not copied again: a key that is missing then is another story.
  const std::optional<LinkRow> row = read_link_row(target, names_);
  if (!row || row->counters != "{}") return;
  PgConnection source = connect(true);
  const std::set<TableName> connected = connected_by_foreign_keys(source, pending, tables_);
  std::vector<TableName> again;
  std::set<TableName> emptied;
  for (const auto& [table, state] : read_table_states(target, names_)) {
    if (state.state != "copied" || !connected.contains(table)) continue;
    if (state.watermark == Lsn{}) return;  // rows that teal did not copy (run --no-copy) are never emptied
    again.push_back(table);
    emptied.insert(state.target);
  }
  if (again.empty()) return;
  log_event(LogLevel::kInfo, "copy begins anew for tables with foreign keys, they need rows of one snapshot",
            {{"link", names_.link}, {"tables", again.size()}});
  target.exec("begin", "BEGIN");
  target.exec("empty the tables that are copied again", "TRUNCATE " + quoted_list({emptied.begin(), emptied.end()}));
  // As at the first attempt: rows that somebody has put into an empty table meanwhile are not teal's to delete.
  for (const TableName& table : again) {
    const Rows reset = target.exec("note that the table is copied again",
                                   "UPDATE teal.table_state SET state = 'pending', copy_attempt = 0 WHERE migration = "
                                   "$1 AND link = $2 AND schema_name = $3 AND table_name = $4 AND state = 'copied'",
                                   {names_.migration, names_.link, table.schema, table.name});
    if (reset.affected() != 1) throw Stopped(StopCode::kRefused, "teal.table_state was changed by somebody else");
  }
  target.exec("commit", "COMMIT");
}

std::vector<CopyTable> CopyStep::pending_tables() {
  PgConnection target = connect(false);
  const auto states = read_table_states(target, names_);
  const std::vector<TargetRelation> relations = find_target_relations(target, tables_);
  std::vector<CopyTable> pending;
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const SourceTable& table = tables_[i];
    const auto state = states.find(table.name);
    if (state != states.end() && state->second.state == "copied") continue;
    pending.push_back(plan_copy(table, relations[i], entries_[table.name], {source_major_, target.server_major()}));
  }
  return pending;
}

std::size_t CopyStep::count_missing_tables() {
  PgConnection target = connect(false);
  const std::vector<TargetRelation> relations = find_target_relations(target, tables_);
  return static_cast<std::size_t>(
      std::count_if(relations.begin(), relations.end(), [](const auto& r) { return !r.exists; }));
}

void CopyStep::restore_tables_if_missing() {
  const std::size_t missing = count_missing_tables();
  if (missing == 0) return;
  if (missing < tables_.size()) {
    throw Stopped(StopCode::kRefused,
                  "some of the selected tables are on green and others are not: create these as on blue (`teal check` "
                  "names them), then start again");
  }
  log_event(LogLevel::kInfo, "restoring tables on green", {{"tables", missing}});
  restore_unless_done(
      names_.link, [this] { SchemaDump({config_.blue, config_.green, config_.pg_bindir}, stop_).restore_pre_data(); },
      [this] { return count_missing_tables() > 0; });
}

bool CopyStep::keys_missing() {
  PgConnection target = connect(false);
  const std::vector<TargetRelation> relations = find_target_relations(target, tables_);
  if (std::any_of(relations.begin(), relations.end(), [](const auto& r) { return !r.identity_index; })) return true;
  if (!std::all_of(tables_.begin(), tables_.end(), [](const SourceTable& table) { return table.whole_rows; })) {
    return false;
  }
  PgConnection source = connect(true);
  return have_post_data(source, tables_) && !have_post_data(target, tables_);
}

// What blue has got since the tables were restored, or what somebody else made on green: their keys are not ours to
// make.
std::vector<std::string> CopyStep::tables_of_others() {
  const std::string relations =
      " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND "
      "n.nspname <> 'teal' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
  std::set<std::pair<std::string, std::string>> ours;
  PgConnection target = connect(false);
  const Rows there = target.exec("list the tables on green that are ours",
                                 "SELECT n.nspname, c.relname" + relations + " AND pg_has_role(c.relowner, 'USAGE')");
  for (int i = 0; i < there.size(); ++i) ours.emplace(there.str(i, 0), there.str(i, 1));
  std::vector<std::string> others;
  PgConnection source = connect(true);
  const Rows here = source.exec("list the tables on blue", "SELECT n.nspname, c.relname" + relations);
  for (int i = 0; i < here.size(); ++i) {
    if (!ours.contains({here.str(i, 0), here.str(i, 1)}))
      others.push_back(quote_qualified(here.str(i, 0), here.str(i, 1)));
  }
  return others;
}

// A partition that blue has lost since its tables were restored has no keys to come, and so its table gets none.
void CopyStep::check_partitions() {
  std::set<TableName> targets;
  std::set<TableName> ours;
  for (const SourceTable& table : tables_) {
    ours.insert(table.name);
    if (table.name != table.target) targets.insert(table.target);
  }
  PgConnection target = connect(false);
  std::string lost;
  for (const TableName& table : targets) {
    const Rows parts = target.exec(
        "list the partitions on green",
        "SELECT n.nspname, c.relname FROM pg_partition_tree($1::regclass) t JOIN pg_class c ON c.oid = t.relid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.isleaf AND c.relkind = 'r' AND c.relpersistence = 'p'",
        {quote_qualified(table.schema, table.name)});
    for (int i = 0; i < parts.size(); ++i) {
      const TableName part{parts.str(i, 0), parts.str(i, 1)};
      if (!ours.contains(part)) lost += (lost.empty() ? "" : ", ") + quote_qualified(part.schema, part.name);
    }
  }
  if (lost.empty()) return;
  throw Stopped(StopCode::kRefused,
                "green has partitions that blue has no more, so their tables' keys cannot be made: DROP TABLE " + lost +
                    "; on green, then start again");
}

// Whether the section is there is told by the keys: it is there when none is missing. So what is made apart must leave
// one out, which then comes with the rest, in the last transaction: that of a partitioned table, or one table's unique
// indexes, the smallest one's. Without either, everything is made in one transaction.
PostDataOptions CopyStep::plan_keys() const {
  PostDataOptions options;
  options.jobs = config_.copy.jobs;
  const SourceTable* smallest = nullptr;
  bool partitioned = false;
  for (const SourceTable& table : tables_) {
    options.table_bytes[table.oid] = table.bytes;
    if (table.whole_rows) continue;
    if (table.name != table.target) {
      partitioned = true;
    } else if (smallest == nullptr || table.bytes < smallest->bytes) {
      smallest = &table;
    }
  }
  options.apart = partitioned || smallest != nullptr;
  if (!partitioned && smallest != nullptr) options.held_back = smallest->oid;
  return options;
}

void CopyStep::restore_keys_if_missing() {
  if (!keys_missing()) return;
  check_partitions();
  log_event(LogLevel::kInfo, "restoring keys, indexes and constraints on green");
  restore_unless_done(
      names_.link,
      [this] {
        SchemaDump({config_.blue, config_.green, config_.pg_bindir, tables_of_others()}, stop_)
            .restore_post_data(plan_keys());
      },
      [this] { return keys_missing(); });
  if (keys_missing()) {
    throw Stopped(StopCode::kRefused,
                  "green lacks the keys that rows are found by, although blue's were restored: "
                  "`teal check` names the tables");
  }
}

void CopyStep::mark_copied() {
  PgConnection target = connect(false);
  const std::optional<LinkRow> row = read_link_row(target, names_);
  const bool streamed = row && row->counters != "{}";
  for (const auto& [table, state] : read_table_states(target, names_)) {
    if (!streamed || state.state != "pending") continue;
    throw Stopped(StopCode::kRefused,
                  to_string(table) +
                      " came after the link began: what the stream has passed already may be missing in "
                      "it, so --no-copy cannot take it as it is; empty it on green and run without --no-copy");
  }
  for (const auto& [table, state] : read_table_states(target, names_)) {
    if (!state.begun) continue;
    throw Stopped(StopCode::kRefused,
                  to_string(table) +
                      " was being copied in pieces when teal ended, so --no-copy cannot take it as it is; run without "
                      "--no-copy, which empties it and copies it");
  }
  std::uint64_t marked = 0;
  for (const SourceTable& table : tables_) {
    marked += target
                  .exec("mark a table as copied",
                        "UPDATE teal.table_state SET state = 'copied', publication_entry = $5, bounds = $6, takes = "
                        "$7, toast = "
                        "$8, updated_at = clock_timestamp() WHERE migration = $1 AND link = $2 AND schema_name = $3 "
                        "AND table_name = $4 "
                        "AND state = 'pending'",
                        {names_.migration, names_.link, table.name.schema, table.name.name, entries_[table.name].entry,
                         table.bounds, table.takes, entries_[table.name].toast})
                  .affected();
  }
  if (marked > 0) {
    log_event(LogLevel::kInfo, "tables taken as they are", {{"link", names_.link}, {"tables", marked}});
  }
}

}  // namespace teal
