#include "tools/fence.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <utility>

#include "engine/catalog_columns.h"
#include "engine/pause.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kInstallRetry{200};
constexpr milliseconds kWriterPoll{2};
constexpr milliseconds kVacuumPatience{3000};
constexpr int kReplacesTriggers = 14;
constexpr std::string_view kLockTimeout = "55P03";
constexpr std::string_view kTimeout = "57014";
constexpr std::string_view kRefusedWrite = "25006";
constexpr std::string_view kNoRight = "42501";
constexpr milliseconds kProbeWait{1000};

// Those named by $1 and $2, their partitions and other descendants, whose triggers alone fire for statements that name
// them, and their ancestors, whose alone fire for statements that reach them through those.
constexpr const char* kMembers = R"sql(
WITH RECURSIVE named AS (
  SELECT c.oid FROM unnest($1::text[], $2::text[]) AS w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')
), below AS (
  SELECT oid FROM named UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid
), above AS (
  SELECT oid FROM named UNION SELECT i.inhparent FROM above JOIN pg_inherits i ON i.inhrelid = above.oid
)
SELECT n.nspname, c.relname, c.oid, (SELECT count(*) FROM named)
FROM (SELECT oid FROM below UNION SELECT oid FROM above) AS m JOIN pg_class c USING (oid)
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2
)sql";

struct NameArrays {
  explicit NameArrays(const std::vector<TableName>& tables) {
    std::vector<std::string> schema_list;
    std::vector<std::string> name_list;
    for (const TableName& table : tables) {
      schema_list.push_back(table.schema);
      name_list.push_back(table.name);
    }
    schemas = text_array(schema_list);
    names = text_array(name_list);
  }
  std::string schemas;
  std::string names;
};

std::string quoted(const TableName& table) { return quote_qualified(table.schema, table.name); }

std::string seconds_text(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), seconds < 10 ? "%.1f s" : "%.0f s", seconds);
  return text.data();
}

}  // namespace

std::string to_string(const OpenWriter& writer) {
  if (writer.pid == 0) return "prepared transaction " + writer.gid + " (" + seconds_text(writer.seconds_open) + " old)";
  return "session " + std::to_string(writer.pid) + " (user " + writer.user +
         (writer.application.empty() ? "" : ", application " + writer.application) +
         (writer.state.empty() ? "" : ", " + writer.state) + ", its transaction is " +
         seconds_text(writer.seconds_open) + " old)";
}

Fence::Fence(PgConnection& side, std::string migration, std::vector<TableName> tables)
    : side_(side), migration_(std::move(migration)), tables_(std::move(tables)) {}

std::string Fence::function() const { return "teal." + quote_identifier("fence_" + migration_); }
std::string Fence::trigger() const { return quote_identifier("teal_" + migration_ + "_fence"); }

// Outside a transaction it does no harm.
void Fence::roll_back() {
  if (side_.usable()) side_.exec("roll back", "ROLLBACK");
}

Fence::Members Fence::members() {
  const NameArrays named(tables_);
  const Rows rows =
      side_.exec("look for the tables to fence on " + side_.label(), kMembers, {named.schemas, named.names});
  if (rows.empty() || static_cast<std::size_t>(rows.integer(0, 3)) != tables_.size()) {
    throw Stopped(StopCode::kRefused,
                  side_.label() + ": a table that is to be fenced is not there; nothing was fenced");
  }
  Members members;
  std::vector<std::uint32_t> oids;
  for (int i = 0; i < rows.size(); ++i) {
    members.names.push_back({rows.str(i, 0), rows.str(i, 1)});
    oids.push_back(static_cast<std::uint32_t>(rows.integer(i, 2)));
  }
  members.oids = oid_array(oids);
  return members;
}

std::string Fence::missing_rights() {
  const Rows rows = side_.exec("look whether " + side_.label() + " can be fenced",
                               "SELECT string_agg(oid::regclass::text, ', ' ORDER BY oid::regclass::text), "
                               "quote_ident(current_user) FROM unnest($1::oid[]) AS t (oid) WHERE NOT "
                               "has_table_privilege(oid, 'TRIGGER')",
                               {members().oids});
  if (rows.is_null(0, 0)) return "";
  return "GRANT TRIGGER ON " + rows.str(0, 0) + " TO " + rows.str(0, 1);
}

// The body says what state the fence is in, for people who look at it.
void Fence::replace_function(const std::string& body) {
  side_.exec("set the fence on " + side_.label(), "CREATE OR REPLACE FUNCTION " + function() +
                                                      "() RETURNS trigger LANGUAGE plpgsql AS " + quote_literal(body));
}

std::vector<TableName> Fence::without_trigger(const Members& members) {
  const Rows rows = side_.exec(
      "look which tables of " + side_.label() + " have the fence's trigger",
      "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = "
      "ANY($1::oid[]) AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND "
      "g.tgfoid "
      "= to_regprocedure($2) AND g.tgenabled IN ('O', 'A')) ORDER BY 1, 2",
      {members.oids, function() + "()"});
  std::vector<TableName> missing;
  missing.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) missing.push_back({rows.str(i, 0), rows.str(i, 1)});
  return missing;
}

// Writers go on under the first lock, which evicts an autovacuum (after deadlock_timeout) and keeps others out: the
// trigger's own lock would have writers queue behind it for as long. A role that may only read cannot take it.
void Fence::install_on(const TableName& table, milliseconds lock_timeout) {
  side_.exec("begin", "BEGIN");
  const Rows writes = side_.exec("look whether " + to_string(table) + " may be locked",
                                 "SELECT has_table_privilege($1, 'UPDATE, DELETE, TRUNCATE')", {quoted(table)});
  if (writes.boolean(0, 0)) {
    side_.exec("limit waiting for locks", "SET LOCAL lock_timeout = " + std::to_string(kVacuumPatience.count()));
    side_.exec("lock " + to_string(table) + " against vacuum",
               "LOCK TABLE ONLY " + quoted(table) + " IN SHARE UPDATE EXCLUSIVE MODE");
  }
  side_.exec("limit waiting for locks", "SET LOCAL lock_timeout = " + std::to_string(lock_timeout.count()));
  side_.exec("make the fence's trigger on " + to_string(table),
             std::string("CREATE ") + (side_.server_major() >= kReplacesTriggers ? "OR REPLACE " : "") + "TRIGGER " +
                 trigger() + " BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON " + quoted(table) +
                 " FOR EACH STATEMENT EXECUTE FUNCTION " + function() + "()");
  side_.exec("commit the fence's trigger", "COMMIT");
}

void Fence::install_patiently(const TableName& table, steady_clock::time_point until, milliseconds lock_timeout,
                              const std::stop_token& stop) {
  for (;;) {
    try {
      return install_on(table, lock_timeout);
    } catch (const PgError& error) {
      roll_back();
      if (error.sqlstate() != kLockTimeout) throw;
    }
    if (steady_clock::now() > until) {
      std::string who;
      for (const OpenWriter& writer : open_writers()) who += "; " + to_string(writer);
      throw Stopped(StopCode::kRefused, side_.label() + ": the fence cannot be put on " + to_string(table) +
                                            ", which transactions have held all the time; nothing was fenced" + who);
    }
    if (!pause_for(kInstallRetry, stop)) throw PgError("fence " + side_.label(), "stopped by request", "57014");
  }
}

void Fence::install(milliseconds patience, milliseconds lock_timeout, const std::stop_token& stop) {
  const Members all = members();
  const Rows there = side_.exec("look for the fence", "SELECT to_regprocedure($1) IS NOT NULL", {function() + "()"});
  if (!there.boolean(0, 0)) open();
  const auto until = steady_clock::now() + patience;
  for (const TableName& table : without_trigger(all)) install_patiently(table, until, lock_timeout, stop);
}

void Fence::close(milliseconds time) {
  const Rows until =
      side_.exec("ask for " + side_.label() + "'s time",
                 "SELECT clock_timestamp() + make_interval(secs => $1::float8 / 1000)", {std::to_string(time.count())});
  until_ = until.str(0, 0);
  replace_function(
      "BEGIN IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.<) " + quote_literal(until_) +
      "::pg_catalog.timestamptz THEN RAISE 'the writes are being moved to another database' USING ERRCODE = "
      "'read_only_sql_transaction', HINT = 'This passes: try again.'; END IF; RETURN NULL; END -- closed");
}

bool Fence::held() {
  const Rows held =
      side_.exec("ask for " + side_.label() + "'s time", "SELECT clock_timestamp() < $1::timestamptz", {until_});
  return held.boolean(0, 0);
}

void Fence::seal() {
  replace_function(
      "BEGIN RAISE 'the writes have been moved to another database' USING ERRCODE = 'read_only_sql_transaction', HINT "
      "= "
      "'Connect to the other one.'; END -- sealed");
}

void Fence::open() { replace_function("BEGIN RETURN NULL; END -- open"); }

Fence::State Fence::state() {
  const Rows rows = side_.exec("look for the fence on " + side_.label(),
                               "SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure($1)", {function() + "()"});
  if (rows.empty()) return State::kAbsent;
  if (rows.at(0, 0).ends_with("-- sealed")) return State::kSealed;
  return rows.at(0, 0).ends_with("-- closed") ? State::kClosed : State::kOpen;
}

std::vector<std::string> Fence::holders(const Members& members) {
  const Rows rows =
      side_.exec("look who has written on " + side_.label(),
                 "SELECT DISTINCT l.virtualtransaction FROM pg_locks l WHERE l.locktype = 'relation' AND l.granted AND "
                 "l.database = "
                 "(SELECT oid FROM pg_database WHERE datname = current_database()) AND l.mode IN ('RowExclusiveLock', "
                 "'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND l.pid IS DISTINCT FROM "
                 "pg_backend_pid() AND "
                 "l.relation = ANY($1::oid[])",
                 {members.oids});
  std::vector<std::string> transactions;
  transactions.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) transactions.push_back(rows.str(i, 0));
  std::sort(transactions.begin(), transactions.end());
  return transactions;
}

// A prepared transaction is found by the lock that it has on its own number.
std::vector<OpenWriter> Fence::describe(const std::vector<std::string>& transactions) {
  const Rows rows = side_.exec(
      "ask who has written on " + side_.label(),
      "SELECT DISTINCT ON (l.virtualtransaction) l.virtualtransaction, coalesce(l.pid, 0), coalesce(p.gid, ''), "
      "coalesce(a.usename, p.owner, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), "
      "coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)), 0)::float8, "
      "coalesce(a.query, '') FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid LEFT JOIN pg_prepared_xacts "
      "p "
      "ON l.pid IS NULL AND l.locktype = 'transactionid' AND p.transaction = l.transactionid WHERE "
      "l.virtualtransaction "
      "= ANY($1::text[]) ORDER BY l.virtualtransaction, p.gid NULLS LAST, a.pid",
      {text_array(transactions)});
  std::vector<OpenWriter> writers;
  writers.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    writers.push_back({rows.str(i, 0), static_cast<int>(rows.integer(i, 1)), rows.str(i, 2), rows.str(i, 3),
                       rows.str(i, 4), rows.str(i, 5), std::stod(rows.str(i, 6)), rows.str(i, 7)});
  }
  return writers;
}

void Fence::check_complete() {
  const std::vector<TableName> open = without_trigger(members());
  if (open.empty()) return;
  throw Stopped(StopCode::kRefused, side_.label() + ": the fence's trigger on " + to_string(open.front()) +
                                        " is missing or disabled; is the table new? Repeat this");
}

std::vector<OpenWriter> Fence::open_writers() { return describe(holders(members())); }

// Those that come later meet the closed fence: only the first look counts.
std::vector<OpenWriter> Fence::wait_for_writers(milliseconds time, const std::stop_token& stop) {
  const auto deadline = steady_clock::now() + time;
  check_complete();
  const Members all = members();
  std::vector<std::string> left = holders(all);
  while (!left.empty()) {
    if (steady_clock::now() > deadline) return describe(left);
    if (!pause_for(kWriterPoll, stop)) throw PgError("wait for open transactions", "stopped by request", "57014");
    const std::vector<std::string> now = holders(all);
    std::vector<std::string> both;
    std::set_intersection(left.begin(), left.end(), now.begin(), now.end(), std::back_inserter(both));
    left = std::move(both);
  }
  return {};
}

std::vector<OpenWriter> Fence::end_writers(const std::vector<OpenWriter>& writers) {
  std::vector<OpenWriter> left;
  const std::string own = "teal/" + migration_ + "/";
  for (const OpenWriter& writer : writers) {
    if (writer.application.starts_with(own)) continue;
    try {
      if (writer.pid == 0) throw PgError("end a transaction", "it is prepared", "42501");
      // The session may have gone on to something else.
      side_.exec(
          "end a session on " + side_.label(),
          "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE pid = $1::int AND virtualtransaction = $2 LIMIT 1",
          {std::to_string(writer.pid), writer.transaction});
    } catch (const PgError& error) {
      if (error.sqlstate() != kNoRight) throw;
      left.push_back(writer);
    }
  }
  return left;
}

std::string Fence::probe() {
  std::string met;
  side_.exec("begin", "BEGIN");
  try {
    side_.exec("limit waiting for locks", "SET LOCAL lock_timeout = " + std::to_string(kProbeWait.count()));
    side_.exec("try to write on " + side_.label(), "DELETE FROM " + quoted(tables_.front()) + " WHERE false");
  } catch (const PgError& error) {
    // Where teal may only read, the server refuses before the fence does.
    if (error.sqlstate() != kRefusedWrite && error.sqlstate() != kNoRight) {
      roll_back();
      throw;
    }
    met = error.text();
  }
  roll_back();
  return met;
}

// Not DROP TRIGGER, which is the tables' owner's: the function is teal's, and takes them with it. All of their tables
// are locked by one statement, whose time is limited as a whole.
bool Fence::remove(milliseconds lock_timeout) {
  try {
    side_.exec("begin", "BEGIN");
    for (const char* setting : {"lock_timeout", "statement_timeout"}) {
      side_.exec("limit waiting for locks",
                 "SET LOCAL " + std::string(setting) + " = " + std::to_string(lock_timeout.count()));
    }
    side_.exec("remove the fence on " + side_.label(), "DROP FUNCTION IF EXISTS " + function() + "() CASCADE");
    side_.exec("commit", "COMMIT");
    return true;
  } catch (const PgError& error) {
    roll_back();
    if (error.sqlstate() != kLockTimeout && error.sqlstate() != kTimeout) throw;
    return false;
  }
}

}  // namespace teal
