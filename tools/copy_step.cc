#include "tools/copy_step.h"

#include <algorithm>
#include <utility>

#include "applier/schema_restore.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "tools/copy_progress.h"
#include "tools/link_facts.h"
#include "tools/wiring.h"

namespace teal {
namespace {

constexpr int kAttempts = 10;  // of a copy that a server's restart or a full disk interrupts
constexpr std::chrono::milliseconds kAttemptPause{2'000};

}  // namespace

CopyStep::CopyStep(const Config& config, LinkNames names, bool quiet, std::stop_token stop)
    : config_(config), names_(std::move(names)), quiet_(quiet), stop_(std::move(stop)) {
  PgConnection source = PgConnection::connect(connect_options(config_, true, "copy"));
  tables_ = find_source_tables(source, config_.tables);
  const std::optional<Publication> publication = read_publication(source, names_.publication());
  if (!publication) throw Stopped(StopCode::kRefused, "the publication " + names_.publication() + " is gone");
  for (const PublishedTable& table : publication->tables) entries_[table.name] = table.entry;
}

void CopyStep::run(bool no_copy) {
  if (no_copy) {
    mark_copied();
    return;
  }
  if (config_.copy.schema) restore_tables_if_missing();
  start_over_for_foreign_keys();
  const std::vector<CopyTable> pending = pending_tables();
  if (!pending.empty()) {
    CopyCounters counters;
    const CopyProgress progress(counters, pending, quiet_);
    copy_with_retries(pending, counters);
  }
  if (config_.copy.schema && !stop_.stop_requested()) restore_keys_if_missing();
}

// A crash of a server costs the tables under way, not the finished ones; they come from a new snapshot.
void CopyStep::copy_with_retries(const std::vector<CopyTable>& pending, CopyCounters& counters) {
  std::vector<CopyTable> left = pending;
  for (int attempt = 1; !left.empty() && !stop_.stop_requested(); ++attempt) {
    try {
      copy_tables(make_copy_options(config_, names_), left, counters, stop_);
      return;
    } catch (const PgError& error) {
      if (stop_.stop_requested()) return;
      if (error.error_class() == ErrorClass::kStop || attempt == kAttempts) throw;
      log_event(LogLevel::kWarn, "copy interrupted, trying again", {{"link", names_.link}, {"reason", error.what()}});
    }
    if (!pause_for(kAttemptPause, stop_)) return;
    try {
      start_over_for_foreign_keys();
      left = pending_tables();
    } catch (const PgError& error) {
      if (error.error_class() == ErrorClass::kStop) throw;  // else: still down, the next attempt tells
    }
  }
}

// Foreign keys are validated when blue's constraints are restored, before the stream runs: that only succeeds over rows
// of one snapshot. So a copy that was interrupted begins anew while they are still to come; green's tables are teal's
// own then and nobody uses them.
void CopyStep::start_over_for_foreign_keys() {
  if (!config_.copy.schema) return;
  PgConnection target = PgConnection::connect(connect_options(config_, false, "copy"));
  std::vector<TableName> copied;
  for (const auto& [table, state] : read_table_states(target, names_)) {
    if (state.state == "copied") copied.push_back(table);
  }
  if (copied.empty() || pending_tables().empty() || !keys_missing()) return;
  // Rows that the stream has changed since are not copied again: a key that is missing then is another story.
  const std::optional<LinkRow> row = read_link_row(target, names_);
  if (!row || row->counters != "{}") return;
  PgConnection source = PgConnection::connect(connect_options(config_, true, "copy"));
  const Rows keys = source.exec("look for foreign keys",
                                "SELECT 1 FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE "
                                "c.contype = 'f' AND n.nspname <> 'teal' LIMIT 1");
  if (keys.empty()) return;
  log_event(LogLevel::kInfo, "copy begins anew, foreign keys need rows of one snapshot",
            {{"link", names_.link}, {"tables", copied.size()}});
  target.exec("begin", "BEGIN");
  target.exec("empty the tables that are copied again", "TRUNCATE " + quoted_list(copied));
  const Rows reset = target.exec("note that they are copied again",
                                 "UPDATE teal.table_state SET state = 'pending' WHERE migration = $1 AND link = $2 AND "
                                 "state = 'copied'",
                                 {names_.migration, names_.link});
  if (reset.affected() != copied.size())
    throw Stopped(StopCode::kRefused, "teal.table_state was changed by somebody else");
  target.exec("commit", "COMMIT");
}

std::vector<CopyTable> CopyStep::pending_tables() {
  PgConnection target = PgConnection::connect(connect_options(config_, false, "copy"));
  const auto states = read_table_states(target, names_);
  const std::vector<TargetRelation> relations = find_target_relations(target, tables_);
  std::vector<CopyTable> pending;
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const SourceTable& table = tables_[i];
    const auto state = states.find(table.name);
    if (state != states.end() && state->second.state == "copied") continue;
    CopyTable copy{table.name.schema, table.name.name, {}, table.bytes, entries_[table.name]};
    for (const CatalogColumn& column : table.columns) {
      const auto other = std::find_if(relations[i].columns.begin(), relations[i].columns.end(),
                                      [&](const CatalogColumn& c) { return c.name == column.name; });
      if (other == relations[i].columns.end()) {
        if (column.generated) continue;
        throw Stopped(StopCode::kRefused,
                      "table " + copy.display_name() + ": green lacks column \"" + column.name + "\"");
      }
      if (!column.generated && !other->generated) copy.columns.push_back(column.name);
    }
    pending.push_back(std::move(copy));
  }
  return pending;
}

void CopyStep::restore_tables_if_missing() {
  PgConnection target = PgConnection::connect(connect_options(config_, false, "copy"));
  const std::vector<TargetRelation> relations = find_target_relations(target, tables_);
  const auto missing = std::count_if(relations.begin(), relations.end(), [](const auto& r) { return !r.exists; });
  if (missing == 0) return;
  log_event(LogLevel::kInfo, "restoring tables on green", {{"tables", missing}});
  SchemaDump({config_.blue, config_.green, config_.pg_bindir}, stop_).restore_pre_data();
}

bool CopyStep::keys_missing() {
  PgConnection target = PgConnection::connect(connect_options(config_, false, "copy"));
  const std::vector<TargetRelation> relations = find_target_relations(target, tables_);
  return std::any_of(relations.begin(), relations.end(), [](const auto& r) { return !r.identity_index; });
}

// The section is restored whole or not at all, so a missing key means that none of it is there yet.
void CopyStep::restore_keys_if_missing() {
  if (!keys_missing()) return;
  log_event(LogLevel::kInfo, "restoring keys, indexes and constraints on green");
  SchemaDump({config_.blue, config_.green, config_.pg_bindir}, stop_).restore_post_data();
  if (keys_missing()) {
    throw Stopped(StopCode::kRefused,
                  "green lacks the keys that rows are found by, although blue's were restored: "
                  "`teal check` names the tables");
  }
}

void CopyStep::mark_copied() {
  PgConnection target = PgConnection::connect(connect_options(config_, false, "copy"));
  std::uint64_t marked = 0;
  for (const SourceTable& table : tables_) {
    marked += target
                  .exec("mark a table as copied",
                        "UPDATE teal.table_state SET state = 'copied', publication_entry = $5::oid, updated_at = "
                        "clock_timestamp() WHERE migration = $1 AND link = $2 AND schema_name = $3 AND table_name = $4 "
                        "AND state = 'pending'",
                        {names_.migration, names_.link, table.name.schema, table.name.name, entries_[table.name]})
                  .affected();
  }
  if (marked > 0) {
    log_event(LogLevel::kInfo, "tables taken as they are", {{"link", names_.link}, {"tables", marked}});
  }
}

}  // namespace teal
