// The verifier knows of no link, and the applier of no comparison: this is where what one found meets what the other
// writes.
#include "tools/repair.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "applier/origin_session.h"
#include "applier/target_session.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/run_lock.h"
#include "tools/link_facts.h"
#include "tools/repair_rights.h"
#include "tools/verify_report.h"

namespace teal {
namespace {

constexpr int kRounds = 5;
constexpr int kRoundsWhileThereIsMore = 1'000;  // each finds further differences
constexpr int kIdleRounds = 2;                  // in succession that got nowhere: then the rest stays
constexpr std::chrono::milliseconds kLockPatience{15'000};

// `16400 (0,5) 743,16400 (0,6) 743` to its parts; a comma within a version is followed by the rest of a place.
std::vector<std::string> versions_in(const std::string& text) {
  std::vector<std::string> versions;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t to = text.find(',', text.find(')', from));
    versions.push_back(text.substr(from, to == std::string::npos ? to : to - from));
    from = to == std::string::npos ? text.size() : to + 1;
  }
  return versions;
}

LinkNames writing_link(const Config& config, bool to_green) {
  return to_green ? forward_link(config) : forward_link(config).reverse();
}

RepairScope scope_of(const ComparedTable& table, bool blue_is_right) {
  RepairScope scope;
  scope.right = {table.blue.name, table.blue.partitioned};
  scope.wrong = {table.green.name, table.green.partitioned};
  if (!blue_is_right) std::swap(scope.right, scope.wrong);
  scope.columns = table.columns;
  for (const ComparedKey& key : table.key) scope.key.push_back(key.name);
  return scope;
}

void count(RepairCounts& counts, const RepairRow& row) {
  ++(row.right.empty() ? counts.deleted : row.wrong.empty() ? counts.inserted : counts.updated);
}

bool differs(const TableResult& result) { return !result.differences.empty(); }

// Whether a difference of before is none any more.
bool any_gone(const TableResult& before, const TableResult& after) {
  std::set<std::string_view> still;
  for (const Difference& difference : after.differences) still.insert(difference.identity);
  return std::any_of(before.differences.begin(), before.differences.end(),
                     [&](const Difference& difference) { return !still.contains(difference.identity); });
}

// A table that differs, and the rounds in succession that changed nothing of that.
struct Todo {
  RepairedTable* table = nullptr;
  int idle = 0;
};

}  // namespace

// Of a table without a key, equal rows are one difference, and each is a row to write: which of them does not matter.
// Of rows under one key nobody can tell which is the one.
std::vector<RepairRow> Repair::rows_of(const TableResult& result, const Difference& difference,
                                       TableRepairOutcome& outcome) const {
  const std::string& right = options_.blue_is_right ? difference.blue_version : difference.green_version;
  const std::string& wrong = options_.blue_is_right ? difference.green_version : difference.blue_version;
  const std::vector<std::string> rights = versions_in(right);
  const std::vector<std::string> wrongs = versions_in(wrong);
  if (!result.table.key.empty()) {
    if (rights.size() <= 1 && wrongs.size() <= 1) return {{right, wrong}};
    outcome.refuse("several rows have this key on " +
                   std::string(rights.size() > 1 ? options_.right() : options_.wrong()) + ": " +
                   key_text(result.table, difference));
    return {};
  }
  std::vector<RepairRow> rows;
  for (std::size_t i = wrongs.size(); i < rights.size(); ++i) rows.push_back({rights[i], ""});
  for (std::size_t i = rights.size(); i < wrongs.size(); ++i) rows.push_back({"", wrongs[i]});
  return rows;
}

RepairReport Repair::plan(const std::vector<TableResult>& results, std::size_t named_max) const {
  RepairReport report;
  PgConnection right = PgConnection::connect(connect_options(config_, options_.blue_is_right, "repair"));
  PgConnection wrong = PgConnection::connect(connect_options(config_, !options_.blue_is_right, "repair"));
  const std::string origin = writing_link(config_, options_.blue_is_right).repair_origin();
  const std::vector<std::string> of_session = repair_obstacles(wrong, origin);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const TableResult& result = results[i];
    if (!differs(result)) continue;
    RepairedTable& table = report.tables.emplace_back();
    table.result = i;
    table.table = load_repair_table(right, wrong, scope_of(result.table, options_.blue_is_right));
    table.obstacles = of_session;
    table.obstacles.insert(table.obstacles.end(), table.table.obstacles.begin(), table.table.obstacles.end());
    for (const std::string& reason : result.table.left_out) {
      table.obstacles.push_back(reason + ", and a row is not written without it; give it one type on both sides");
    }
    table.more = result.unnamed > 0;
    for (const Difference& difference : result.differences) {
      for (const RepairRow& row : rows_of(result, difference, table.done)) count(table.planned, row);
      if (table.named.size() < named_max) table.named.push_back(difference);
    }
  }
  return report;
}

// Only one repair at a time has the origin, and what takes an origin ends a session that seems to be left over.
struct Repair::Sessions {
  Sessions(const Config& config, const RepairOptions& options)
      : names(writing_link(config, options.blue_is_right)),
        lock(connect_options(config, false, "repair"), config.name + ".repair", kLockPatience, options.stop),
        right(PgConnection::connect(connect_options(config, options.blue_is_right, "repair"))),
        wrong(open_wrong(config, options)),
        repair(right, wrong, names) {
    right.set_stop_token(options.stop);
    right.exec("set lock_timeout", "SELECT set_config('lock_timeout', $1, false)",
               {std::to_string(config.apply.lock_timeout.count())});
  }

  PgConnection open_wrong(const Config& config, const RepairOptions& options) const {
    TargetSessionOptions session;
    session.connect = connect_options(config, !options.blue_is_right, "repair");
    session.origin = names.repair_origin();
    session.synchronous_commit = true;
    session.lock_timeout = config.apply.lock_timeout;
    PgConnection connection = PgConnection::connect(session.connect);
    ensure_origin(connection, session.origin);
    return open_target_session(session, options.stop);
  }

  LinkNames names;
  RunLock lock;
  PgConnection right;
  PgConnection wrong;
  RowRepair repair;
};

void Repair::repair_once(Sessions& sessions, RepairedTable& table, const TableResult& result) const {
  std::vector<RepairRow> rows;
  TableRepairOutcome refused;
  for (const Difference& difference : result.differences) {
    const std::vector<RepairRow> some = rows_of(result, difference, refused);
    rows.insert(rows.end(), some.begin(), some.end());
  }
  RepairLimits limits{config_.apply.two_way_batch_rows, config_.apply.batch_bytes_max, options_.stop};
  TableRepairOutcome outcome = TableRepair(sessions.repair, table.table, std::move(limits)).run(std::move(rows));
  outcome.written += table.done.written;
  outcome.refused += refused.refused;
  outcome.reasons.merge(refused.reasons);
  table.done = std::move(outcome);
}

// nullptr: a server is not to be reached, or a stop came; who needs them finds out why.
std::unique_ptr<Repair::Sessions> Repair::open_sessions() const {
  try {
    return std::make_unique<Sessions>(config_, options_);
  } catch (const PgError&) {
    return nullptr;
  } catch (const Interrupted&) {
    return nullptr;
  }
}

// What was written before has to be told, whatever happens to one table.
void Repair::try_once(std::unique_ptr<Sessions>& sessions, RepairedTable& table, const TableResult& result) const {
  try {
    if (!sessions) sessions = std::make_unique<Sessions>(config_, options_);
    repair_once(*sessions, table, result);
  } catch (const PgError& error) {
    table.done.stopped = error.what();
  } catch (const Stopped& stopped) {
    if (stopped.code() == StopCode::kBug) throw;
    table.done.stopped = stopped.what();
  }
  if (sessions && !(sessions->right.usable() && sessions->wrong.usable())) sessions.reset();
}

void Repair::run(RepairReport& report, std::vector<TableResult>& results, const Compare& compare) const {
  std::vector<Todo> todo;
  for (RepairedTable& table : report.tables) {
    if (table.obstacles.empty()) todo.push_back({&table});
  }
  if (todo.empty()) return;
  std::unique_ptr<Sessions> sessions = open_sessions();
  while (!todo.empty()) {
    ++report.rounds;
    std::vector<ComparedTable> tables;
    std::uint64_t rows = 0;
    for (const Todo& one : todo) {
      const std::uint64_t before = one.table->done.written.all();
      try_once(sessions, *one.table, results[one.table->result]);
      rows += one.table->done.written.all() - before;
      tables.push_back(results[one.table->result].table);
    }
    log_event(LogLevel::kInfo, "rows repaired", {{"side", options_.wrong()}, {"round", report.rounds}, {"rows", rows}});
    std::vector<TableResult> again = compare(tables);
    for (std::size_t i = 0; i < again.size(); ++i) {
      TableResult& result = results[todo[i].table->result];
      const bool moved = todo[i].table->done.left > 0 || any_gone(result, again[i]);
      todo[i].idle = moved ? 0 : todo[i].idle + 1;
      result = std::move(again[i]);
    }
    std::erase_if(todo, [&](const Todo& one) {
      const TableResult& result = results[one.table->result];
      const int most = result.unnamed == 0 ? kRounds : kRoundsWhileThereIsMore;
      return !differs(result) || one.idle == kIdleRounds || report.rounds >= most;
    });
  }
}

}  // namespace teal
