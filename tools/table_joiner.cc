#include "tools/table_joiner.h"

#include <algorithm>
#include <set>
#include <utility>

#include "applier/batch_writer.h"
#include "applier/table_join.h"
#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/publication.h"
#include "tools/copy_plan.h"
#include "tools/departed_partitions.h"
#include "tools/link_facts.h"
#include "tools/preflight.h"
#include "tools/publication_check.h"
#include "tools/wiring.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kLook{2'000};
constexpr std::chrono::milliseconds kAnswerWithin{30'000};
constexpr std::chrono::seconds kTryAgain{10};  // what somebody has to mend first
constexpr std::chrono::milliseconds kRenewLook{100};
constexpr int kRemembersPartitionsRight = 15;
constexpr std::chrono::seconds kCatalogAge{5};
constexpr std::chrono::seconds kAgain{3};

}  // namespace

TableJoiner::TableJoiner(const Config& config, LinkNames names, Link& link)
    : config_(config),
      names_(std::move(names)),
      link_(link),
      counters_(config.copy.max_rate),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

TableJoiner::~TableJoiner() = default;

bool TableJoiner::all_joined() const {
  const std::scoped_lock lock(mutex_);
  return all_joined_;
}

std::string TableJoiner::problem() const {
  const std::scoped_lock lock(mutex_);
  return problem_;
}

void TableJoiner::run(const std::stop_token& stop) {
  std::chrono::milliseconds pause{};
  bool told = false;  // of this outage
  do {
    pause = kLook;
    try {
      pause = rest_after(look(stop), kLook);
      told = false;
    } catch (const Interrupted&) {
      return;
    } catch (const std::exception& error) {  // the link goes on without it; the next look tries again
      if (stop.stop_requested()) return;
      source_.reset();
      target_.reset();
      if (std::exchange(told, true)) continue;
      log_event(LogLevel::kWarn, "looking for tables to join failed",
                {{"link", names_.link}, {"reason", error.what()}});
    }
  } while (pause_for(pause, stop));
}

void TableJoiner::connect(const std::stop_token& stop) {
  const bool blue = names_.link == kBlueToGreen;
  const auto open = [&](bool side) {
    ConnectOptions options = connect_options(config_, side, "join");
    options.answer_within = kAnswerWithin;
    PgConnection connection = PgConnection::connect(options);
    connection.set_stop_token(stop);
    return connection;
  };
  if (!source_) source_ = open(blue);
  if (!target_) target_ = open(!blue);
}

// As they stand in the publication; without an entry when they do not.
std::map<TableName, PublishedTable> TableJoiner::find_pending() {
  const std::map<TableName, TableCopyState> states = read_table_states(*target_, names_);
  std::map<TableName, PublishedTable> pending;
  std::set<std::string> copied;  // their entries: a table is known by that under whatever name
  for (const auto& [table, state] : states) {
    if (state.state == "pending") pending[table] = {.name = table, .target = state.target};
    if (state.state == "copied" || state.state == "detached") copied.insert(state.publication_entry);
  }
  const std::optional<Publication> publication = read_publication(*source_, names_.publication());
  if (!publication) return pending;
  for (const std::vector<PublishedTable>* tables : {&publication->tables, &publication->parts}) {
    for (const PublishedTable& table : *tables) {
      if (table.partitioned || !table.logged || copied.contains(table.entry)) continue;  // without rows; or there
      const auto known = states.find(table.name);
      const bool is_new = known == states.end() || known->second.state == "left";
      if (is_new) note_found(table);
      if (is_new || known->second.state == "pending") pending[table.name] = table;
    }
  }
  return pending;
}

void TableJoiner::note_found(const PublishedTable& table) {
  const Rows noted = target_->exec(
      "note a table",
      "INSERT INTO teal.table_state (migration, link, schema_name, table_name, target_schema, target_table, "
      "state) VALUES ($1, $2, $3, $4, $5, $6, 'pending') ON CONFLICT (migration, link, schema_name, table_name) DO "
      "UPDATE SET state = 'pending' WHERE table_state.state = 'left'",
      {names_.migration, names_.link, table.name.schema, table.name.name, table.target.schema, table.target.name});
  if (noted.affected() != 1) return;  // the link was faster
  log_event(LogLevel::kInfo, "table found in the publication",
            {{"link", names_.link}, {"table", to_string(table.name)}});
}

// It left the publication before it could join: its changes were skipped, and nothing of it is on the target.
void TableJoiner::note_left(const TableName& table) {
  const Rows noted = target_->exec("note that a table left",
                                   "UPDATE teal.table_state SET state = 'left', copy_attempt = 0, updated_at = "
                                   "clock_timestamp() WHERE migration = $1 AND link "
                                   "= $2 AND schema_name = $3 AND table_name = $4 AND state = 'pending'",
                                   {names_.migration, names_.link, table.schema, table.name});
  if (noted.affected() != 1) return;
  log_event(LogLevel::kInfo, "table no longer replicated", {{"link", names_.link}, {"table", to_string(table)}});
}

// Returns how long the looking took, without what followed from it.
TableJoiner::Clock::duration TableJoiner::look(const std::stop_token& stop) {
  connect(stop);
  const auto start = Clock::now();
  const std::map<TableName, PublishedTable> pending = find_pending();
  const auto took = Clock::now() - start;
  std::erase_if(failed_, [&](const auto& entry) { return !pending.contains(entry.first); });
  std::vector<SourceTable> selected;
  std::optional<Clock::time_point> read;
  for (const auto& [name, table] : pending) {
    if (stop.stop_requested()) return took;
    const auto failed = failed_.find(name);
    if (failed != failed_.end() && Clock::now() < failed->second.next) continue;
    connect(stop);
    if (!read || Clock::now() - *read > kCatalogAge) {
      selected = tables_with_rows(read_source_catalog(*source_, config_.tables));
      read = Clock::now();
    }
    try_to_join(table, selected, stop);
  }
  std::string problem;
  for (const auto& [table, attempt] : failed_) {
    if (attempt.problem.empty()) continue;
    problem += (problem.empty() ? "" : "\n") + to_string(table) + ": " + attempt.problem;
  }
  const std::scoped_lock lock(mutex_);
  all_joined_ = pending.empty();
  problem_ = std::move(problem);
  return took;
}

void TableJoiner::try_to_join(const PublishedTable& table, const std::vector<SourceTable>& selected,
                              const std::stop_token& stop) {
  const TableName& name = table.name;
  try {
    const auto found = std::find_if(selected.begin(), selected.end(), [&](const auto& t) { return t.name == name; });
    if (found == selected.end() && table.entry.empty()) {
      note_left(name);
      return;
    }
    const std::string alter = "ALTER PUBLICATION " + quote_identifier(names_.publication());
    const std::string listed = quote_qualified(table.target.schema, table.target.name);
    if (found == selected.end()) {
      throw Stopped(StopCode::kRefused,
                    "it is in the publication and not selected by tables.include: its changes are skipped; select it "
                    "and start teal again, or " +
                        alter + " DROP TABLE " + listed);
    }
    if (table.entry.empty()) {
      throw Stopped(StopCode::kRefused, "it is not in the publication: " + alter + " ADD TABLE " +
                                            quote_qualified(found->target.schema, found->target.name));
    }
    if (table.filtered) {
      throw Stopped(StopCode::kRefused, "the publication has a row filter or a column list on it: " + alter +
                                            " DROP TABLE " + listed + "; " + alter + " ADD TABLE " + listed);
    }
    check_others(*found);
    const PreflightReport report = check_joining(config_, *source_, *target_, *found);
    if (!report.ready()) throw Stopped(StopCode::kRefused, report.text());
    join(*found, table, stop);
  } catch (const Interrupted&) {
    throw;
  } catch (const Stopped& stopped) {
    note_problem(name, stopped.what());
  } catch (const RowsRefused& refused) {
    note_problem(name, refused.what());
  } catch (const PgError& error) {
    if (stop.stop_requested()) throw;
    if (error.needs_somebody()) {
      note_problem(name, error.what());
      return;
    }
    // It passes: this table later, the others now, with new sessions.
    log_event(LogLevel::kWarn, "joining interrupted, trying again later",
              {{"link", names_.link}, {"table", to_string(name)}, {"reason", error.what()}});
    wait_longer(name);
    source_.reset();
    target_.reset();
  }
}

// What the link's tables have become meanwhile must not mix with what joins: they may have given it their name, or its
// range.
void TableJoiner::check_others(const SourceTable& table) {
  const std::map<TableName, TableCopyState> states = read_table_states(*target_, names_);
  const PublicationChanges changes = check_publication(*source_, names_, states);
  const std::string why = departed_in_the_way(*source_, names_, table, states, changes.gone);
  if (!why.empty()) throw Stopped(StopCode::kRefused, why);
}

// Twice, if need be: the second time every change as the source made it.
void TableJoiner::join(const SourceTable& found, const PublishedTable& published, const std::stop_token& stop) {
  std::vector<SourceTable> tables{found};
  read_rows_taken(*source_, tables);
  const SourceTable& table = tables.front();
  JoinOptions options = make_join_options(config_, names_);
  if (table.name != table.target && source_->server_major() < kRemembersPartitionsRight) {
    options.prepare_link = [&](Lsn snapshot) { renew_session(snapshot, stop); };
  }
  log_event(LogLevel::kInfo, "table joining", {{"link", names_.link}, {"table", to_string(table.name)}});
  // Where its rows go has to be known before the first of them is there (Applier::truncates_whole).
  const Rows noted = target_->exec(
      "note where the table's rows go",
      "UPDATE teal.table_state SET target_schema = $5, target_table = $6 WHERE migration = $1 AND link = $2 "
      "AND schema_name = $3 AND table_name = $4 AND state = 'pending'",
      {names_.migration, names_.link, table.name.schema, table.name.name, table.target.schema, table.target.name});
  if (noted.affected() != 1) throw Stopped(StopCode::kRefused, "its row in teal.table_state is not 'pending' any more");
  const CopyMajors majors{source_->server_major(), target_->server_major()};
  const std::vector<TargetRelation> targets = find_target_relations(*target_, tables);
  const CopyTable plan = plan_copy(table, targets.at(0), published, majors);
  JoinResult result = JoinResult::kAltered;
  try {
    result = join_table(options, plan, false, counters_, stop);
  } catch (const RowsRefused& refused) {
    log_event(LogLevel::kWarn, "rows refused, joining in source order",
              {{"link", names_.link}, {"table", to_string(table.name)}, {"reason", refused.what()}});
    result = join_table(options, plan, true, counters_, stop);
  }
  failed_.erase(table.name);
  if (result == JoinResult::kJoined) return;
  log_event(LogLevel::kInfo, "table was altered after the snapshot, it is copied again",
            {{"link", names_.link}, {"table", to_string(table.name)}});
  wait_longer(table.name);
}

void TableJoiner::wait_longer(const TableName& table) { failed_[table].next = Clock::now() + kAgain; }

// pgoutput of 13 and 14 remembers for each session what it publishes, and goes on not to publish a table that was
// attached as a partition after it had been written to (seen on 13). So the link gets a new session, that decodes
// nothing from before the attachment: the snapshot is younger than that. Ends with the process, if the link does.
void TableJoiner::renew_session(Lsn snapshot, const std::stop_token& stop) {
  for (;;) {
    const std::optional<LinkRow> row = read_link_row(*target_, names_);
    if (row && row->held >= snapshot) break;
    if (!pause_for(kRenewLook, stop))
      throw Interrupted("stopped while a partition was joining; nothing of it was kept");
  }
  const int before = link_.sessions();
  link_.request_new_session();
  while (link_.sessions() == before) {
    if (!pause_for(kRenewLook, stop))
      throw Interrupted("stopped while a partition was joining; nothing of it was kept");
  }
}

void TableJoiner::note_problem(const TableName& table, const std::string& problem) {
  Attempt& attempt = failed_[table];
  attempt.next = Clock::now() + kTryAgain;
  if (std::exchange(attempt.problem, problem) == problem) return;
  log_event(LogLevel::kError, "table cannot join, its changes are skipped until it can be copied",
            {{"link", names_.link}, {"table", to_string(table)}, {"reason", problem}});
  target_->exec("note why a table cannot join",
                "UPDATE teal.table_state SET problem = $5, updated_at = clock_timestamp() WHERE migration = $1 AND "
                "link = $2 AND schema_name = $3 AND table_name = $4 AND state = 'pending'",
                {names_.migration, names_.link, table.schema, table.name, problem});
}

}  // namespace teal
