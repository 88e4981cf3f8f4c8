#include "applier/batch_writer.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "applier/origin_session.h"
#include "decoder/value_text.h"
#include "engine/failpoint.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

const std::string kBegin = "BEGIN";
const std::string kCheckDeferred = "SET CONSTRAINTS ALL IMMEDIATE";
const std::string kCommit = "COMMIT";

// A COPY takes green half the time, and some three more journeys to it and back.
constexpr std::size_t kCopyRows = 1000;
constexpr std::chrono::nanoseconds kCopySparesPerRow{1500};
constexpr int kCopyRoundTrips = 3;

std::uint64_t touched(const ResultHandle& result) {
  const std::string_view text = PQcmdTuples(result.get());
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

const char* verb(StatementKind kind) {
  switch (kind) {
    case StatementKind::kInsert:
    case StatementKind::kPut:
      return "INSERT";
    case StatementKind::kDelete:
    case StatementKind::kRemove:
      return "DELETE";
    case StatementKind::kUpdate:
    case StatementKind::kMove:
      return "UPDATE";
  }
  return "";
}

// PostgreSQL's names for the conflicts that these counts show.
const char* missing_kind(StatementKind kind) {
  if (!is_by_key(kind)) return "";
  return kind == StatementKind::kDelete ? " (delete_missing)" : " (update_missing)";
}

std::string statement_name(const TargetTable& table, const RowGroup* group) {
  return std::string(group == nullptr ? "TRUNCATE" : verb(group->shape.kind)) + " on " + table.display_name;
}

}  // namespace

BatchWriter::BatchWriter(PgConnection& connection, LinkNames names)
    : connection_(connection), names_(std::move(names)) {}

void BatchWriter::begin() {
  if (open_) return;
  connection_.exec("begin", "BEGIN");
  open_ = true;
}

// The server's own spelling of a binary value. Outside a pipeline and a failed transaction.
std::string BatchWriter::spell(std::uint32_t type, const ColumnValue& value) {
  if (value.kind != ColumnKind::kBinary) return value_text(TypeId{type}, value);
  const Oid oid = type;
  const BinaryParam param{reinterpret_cast<const char*>(value.data), value.size};
  PgPipeline pipeline(connection_);
  pipeline.prepare("spell a key", "", "SELECT $1::text", std::span(&oid, 1));
  pipeline.execute("spell a key", "", std::span(&param, 1));
  std::vector<ResultHandle> results;
  if (pipeline.run(results)) return value_text(TypeId{type}, value);
  return PQgetvalue(results[1].get(), 0, 0);
}

// The key is what an operator needs to find the row; no other value is shown. What was merged is several rows.
RefusedChange BatchWriter::describe(const Sent& sent) {
  RefusedChange change;
  change.table = sent.table->display_name;
  if (sent.group == nullptr) {
    change.operation = "TRUNCATE";
    change.lsn = sent.place.lsn;
    change.position = sent.place.position;
    return change;
  }
  const RowGroup& group = *sent.group;
  change.operation = verb(group.shape.kind);
  if (group.rows.size() != 1) return change;
  const TargetTable& table = *group.table;
  const NetRow& row = *group.rows.front();
  change.lsn = row.place.lsn;
  change.position = row.place.position;
  if (table.whole_rows) return change;
  const RowKey& key = group.move_from != nullptr ? *group.move_from : row.key;
  std::string names;
  std::string values;
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    const std::string comma = i == 0 ? "" : ", ";
    const MappedColumn& column = table.columns[table.key[i]];
    names += comma + column.name;
    values += comma + spell(column.element, key.columns[i]);
  }
  change.key = "(" + names + ")=(" + values + ")";
  return change;
}

std::uint64_t BatchWriter::write(std::span<const Epoch> epochs, const ControlRows& control, const ProgressRow* last) {
  sent_.clear();
  groups_.clear();
  TEAL_FAILPOINT("before_begin");
  std::optional<PgPipeline> pipeline(std::in_place, connection_);
  if (!open_) pipeline->query_often("begin", kBegin);
  open_ = true;
  if (give_way_.statement_time) {
    pipeline->query("limit a statement's time",
                    "SET LOCAL statement_timeout = " + std::to_string(give_way_.statement_time->count()));
  }
  locked_.clear();
  if (give_way_.lock_tables) {
    send_locks(*pipeline, epochs);
  } else if (!lock_first_.empty()) {
    send_lock(*pipeline, lock_first_, "SHARE ROW EXCLUSIVE");
  }
  std::uint64_t rows = send_epochs(pipeline, epochs);
  send_markers(*pipeline, control);
  if (last != nullptr) {
    // Deferred rules have to speak up before the origin's position is set: nothing may fail after that.
    pipeline->query_often("check deferred constraints", kCheckDeferred);
    if (control.quarantine.rows > 0) {
      sent_.push_back(Sent{pipeline->size(), pipeline->size(), control.quarantine.rows});
      pipeline->query("settle what was in quarantine", control.quarantine.sql);
    }
    const std::size_t first_call = pipeline->size();
    sent_.push_back(Sent{first_call, send_progress(*pipeline, *last, names_.migration, names_.link), 1});
  }
  // COMMIT would end its wait for a synchronous standby by that, and say that it is committed.
  if (give_way_.statement_time) pipeline->query("limit no more", "SET LOCAL statement_timeout = 0");
  pipeline->end();
  TEAL_FAILPOINT("rows_sent");
  rows += settle(pipeline);
  TEAL_FAILPOINT("rows_written");
  return rows;
}

// What was sent is answered, and every count is right.
std::uint64_t BatchWriter::settle(std::optional<PgPipeline>& pipeline) {
  std::vector<ResultHandle> results;
  const auto failure = pipeline->run(results);
  pipeline.reset();
  if (failure) refuse(*failure, results);
  const std::uint64_t rows = check_counts(results);
  sent_.clear();
  locked_.clear();
  return rows;
}

// In one order, whatever the rows' order is. Readers go on.
void BatchWriter::send_locks(PgPipeline& pipeline, std::span<const Epoch> epochs) {
  std::set<std::string> names;
  for (const Epoch& epoch : epochs) {
    for (const std::vector<Segment>& segments : epoch.tables) {
      for (const Segment& segment : segments) names.insert(segment.table->sql_name);
    }
  }
  send_lock(pipeline, names, "EXCLUSIVE");
}

void BatchWriter::send_lock(PgPipeline& pipeline, const std::set<std::string>& tables, const std::string& mode) {
  for (const std::string& name : tables) locked_ += (locked_.empty() ? "" : ", ") + name;
  if (locked_.empty()) return;
  locks_call_ = pipeline.size();
  pipeline.query("lock the tables", "LOCK TABLE " + locked_ + " IN " + mode + " MODE");
}

std::size_t BatchWriter::copy_from() const {
  if (round_trip_ == std::chrono::microseconds::max()) return SIZE_MAX;
  const auto pays = static_cast<std::size_t>(kCopyRoundTrips * round_trip_ / kCopySparesPerRow);
  return std::max(kCopyRows, pays);
}

// Returns the rows touched by what has been answered already.
std::uint64_t BatchWriter::send_epochs(std::optional<PgPipeline>& pipeline, std::span<const Epoch> epochs) {
  std::uint64_t rows = 0;
  for (const Epoch& epoch : epochs) {
    for (const std::vector<Segment>& segments : epoch.tables) {
      for (const Segment& segment : segments) {
        groups_.push_back(as_statements(group_rows(segment), copy_from()));
        for (const RowGroup& group : groups_.back()) {
          if (group.shape.copy) {
            rows += copy_group(pipeline, group);
          } else {
            send_group(*pipeline, group);
          }
        }
      }
    }
    if (!epoch.truncated.empty() && !epoch.spares) send_truncate(*pipeline, epoch);
  }
  return rows;
}

// libpq has no COPY within a pipeline: what was sent is settled before, and another one begins after.
std::uint64_t BatchWriter::copy_group(std::optional<PgPipeline>& pipeline, const RowGroup& group) {
  std::uint64_t rows = settle(pipeline);
  const Sent sent{0, 0, group.rows.size(), group.table, &group};
  try {
    CopyIn copy(connection_, statement_name(*group.table, &group), build_statement(*group.table, group.shape));
    copy_rows_.send(group, copy);
    rows += check_count(sent, copy.end());
  } catch (const PgError& error) {
    refuse(error, &sent, {});
  }
  pipeline.emplace(connection_);
  return rows;
}

void BatchWriter::send_group(PgPipeline& pipeline, const RowGroup& group) {
  const TargetTable& table = *group.table;
  const bool by_key = is_by_key(group.shape.kind);
  const std::span<const BinaryParam> params = params_.fill(group);
  const std::size_t first_call = pipeline.size();
  // Whole rows have no index to be found by: with nested loops each would be looked for in all of the table.
  const bool hashed = table.whole_rows && by_key;
  if (hashed) pipeline.query("plan with hash joins", "SET LOCAL enable_hashjoin = on");
  const std::string& name = statements_.use(pipeline, table, group.shape);
  sent_.push_back(Sent{first_call, pipeline.size(), group.rows.size(), &table, &group});
  pipeline.execute("apply rows", name, params);
  if (hashed) pipeline.query("plan as before", "SET LOCAL enable_hashjoin = off");
}

void BatchWriter::send_truncate(PgPipeline& pipeline, const Epoch& epoch) {
  // The source lists every table that its TRUNCATE reached, cascades included: CASCADE here could reach more (J1).
  if (epoch.truncated_in_part) {
    // The rest lies below a watermark, or is not replicated: a foreign key from there refuses TRUNCATE, not DELETE.
    for (const TargetTable* table : epoch.truncated) {
      sent_.push_back(Sent{pipeline.size(), pipeline.size(), 0, table, nullptr, epoch.truncate_place});
      pipeline.query("apply a TRUNCATE in part",
                     std::string("DELETE FROM ") + (table->partitioned ? "" : "ONLY ") + table->sql_name);
    }
    return;
  }
  std::string sql = "TRUNCATE ";
  for (std::size_t i = 0; i < epoch.truncated.size(); ++i) {
    const TargetTable& table = *epoch.truncated[i];
    sql += (i == 0 ? "" : ", ") + std::string(table.partitioned ? "" : "ONLY ") + table.sql_name;
  }
  // RESTART IDENTITY is left out: it needs the sequences' owner, and their values are not carried by a stream anyway
  // (J2).
  sent_.push_back(Sent{pipeline.size(), pipeline.size(), 0, epoch.truncated.front(), nullptr, epoch.truncate_place});
  pipeline.query("apply a TRUNCATE", sql);
}

void BatchWriter::send_markers(PgPipeline& pipeline, const ControlRows& control) {
  for (const std::string& id : control.markers) {
    const Param params[] = {names_.migration, names_.link, id};
    pipeline.query("acknowledge a marker",
                   "INSERT INTO teal.marker_applied (migration, link, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                   params);
  }
}

void BatchWriter::refuse(const PipelineFailure& failure, const std::vector<ResultHandle>& results) {
  const Sent* culprit = nullptr;
  for (const Sent& sent : sent_) {
    if (sent.first_call <= failure.index && failure.index <= sent.call) culprit = &sent;
  }
  if (!locked_.empty() && failure.index == locks_call_) {
    connection_.raise("LOCK TABLE " + locked_, failure.result.get());
  }
  const bool known = culprit != nullptr && culprit->table != nullptr;
  try {
    connection_.raise(known ? statement_name(*culprit->table, culprit->group) : kWholeTransaction,
                      failure.result.get());
  } catch (const PgError& error) {
    refuse(error, known ? culprit : nullptr, results);
  }
}

// Within a handler. A statement that found another number of rows was there before one that failed, and may be why.
void BatchWriter::refuse(const PgError& error, const Sent* culprit, const std::vector<ResultHandle>& results) {
  if (error.error_class() != ErrorClass::kStop) throw;  // as it was caught
  rollback();
  for (const Sent& sent : sent_) {
    if (sent.group != nullptr && results[sent.call]) check_count(sent, touched(results[sent.call]));
  }
  RefusedChange change = culprit != nullptr ? describe(*culprit) : RefusedChange{.operation = "transaction"};
  change.sqlstate = error.sqlstate();
  change.message = error.text() + (error.constraint().empty() ? "" : ", constraint " + error.constraint());
  throw RowsRefused(std::move(change));
}

std::uint64_t BatchWriter::check_count(const Sent& sent, std::uint64_t count) {
  // What won a conflict may find its row gone already.
  const bool removal = sent.group->shape.kind == StatementKind::kRemove && count <= sent.expected;
  if (removal) {
    if (count < sent.expected) absent_.insert(sent.table->sql_name);
    const std::vector<const NetRow*>& rows = sent.group->rows;
    return static_cast<std::uint64_t>(
        std::count_if(rows.begin(), rows.end(), [](const NetRow* row) { return row->counted; }));
  }
  if (count == sent.expected) return count;
  rollback();
  RefusedChange change = describe(sent);
  change.message = "touched " + std::to_string(count) + " rows instead of " + std::to_string(sent.expected) +
                   (count < sent.expected ? missing_kind(sent.group->shape.kind) : "");
  throw RowsRefused(std::move(change));
}

std::uint64_t BatchWriter::check_counts(const std::vector<ResultHandle>& results) {
  std::uint64_t rows = 0;
  for (const Sent& sent : sent_) {
    if (sent.table != nullptr && sent.group == nullptr) continue;  // TRUNCATE reports no count
    const std::uint64_t count = touched(results[sent.call]);
    if (sent.group != nullptr) {
      rows += check_count(sent, count);
    } else if (count != sent.expected) {
      throw Stopped(StopCode::kRefused,
                    "link " + names_.link +
                        ": its row in teal.progress, or one of teal.quarantine that it was about to settle, is gone "
                        "from the target; nothing was committed, start again");
    }
  }
  return rows;
}

// Not waited for: an application that waits for one of our rows holds the table, and would find a deadlock. Next time
// the table is locked before any row is.
void BatchWriter::lock_absent() {
  lock_first_.insert(absent_.begin(), absent_.end());
  for (const std::string& table : std::exchange(absent_, {})) {
    connection_.exec("lock a table for a row that is not in it",
                     "LOCK TABLE " + table + " IN SHARE ROW EXCLUSIVE MODE NOWAIT");
  }
  lock_first_.clear();
}

void BatchWriter::commit(const ProgressRow& row, Timestamp commit_time) {
  TEAL_FAILPOINT("before_commit");
  PgPipeline pipeline(connection_);
  send_xact_setup(pipeline, row.applied, commit_time);
  const std::size_t committed = pipeline.query_often("commit", kCommit);
  finish_commit(pipeline, committed);
}

void BatchWriter::commit_without_position() {
  TEAL_FAILPOINT("before_commit");
  PgPipeline pipeline(connection_);
  pipeline.query_often("check deferred constraints", kCheckDeferred);
  const std::size_t committed = pipeline.query_often("commit", kCommit);
  finish_commit(pipeline, committed);
}

void BatchWriter::finish_commit(PgPipeline& pipeline, std::size_t committed) {
  sent_.clear();  // what fails from here on is no row's fault, and no table's
  locked_.clear();
  pipeline.end();
  TEAL_FAILPOINT("commit_sent");
  std::vector<ResultHandle> results;
  const auto begin = std::chrono::steady_clock::now();
  if (const auto failure = pipeline.run(results)) refuse(*failure, results);
  const auto took = std::chrono::steady_clock::now() - begin;
  round_trip_ = std::min(round_trip_, std::chrono::ceil<std::chrono::microseconds>(took));
  TEAL_FAILPOINT("commit_acknowledged");
  // A COMMIT of a failed transaction is answered with success and the tag ROLLBACK (invariant I9).
  if (std::string_view(PQcmdStatus(results[committed].get())) != "COMMIT") {
    rollback();
    RefusedChange change{.operation = "transaction",
                         .message = "COMMIT was answered with " + std::string(PQcmdStatus(results[committed].get()))};
    throw RowsRefused(std::move(change));
  }
  open_ = false;
}

void BatchWriter::rollback() {
  if (!open_) return;
  connection_.exec("roll back", "ROLLBACK");
  connection_.exec("forget the origin's position", std::string(kXactResetSql));
  open_ = false;
  absent_.clear();
  statements_.forget_all(connection_);
}

}  // namespace teal
