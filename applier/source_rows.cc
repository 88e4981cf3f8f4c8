#include "applier/source_rows.h"

#include <charconv>
#include <utility>

#include "applier/array_param.h"
#include "applier/column_values.h"
#include "applier/source_visibility.h"
#include "applier/statement_builder.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/pg_pipeline.h"

namespace teal {
namespace {

constexpr const char* kOperation = "read rows that were not sent whole";
constexpr std::chrono::seconds kTellEvery{10};

// The key's columns are known in any case.
std::vector<std::uint16_t> missing_columns(const WantedRow& row) {
  std::vector<std::uint16_t> columns;
  for (std::size_t i = 0; i < row.values.size(); ++i) {
    if (row.values[i].kind == ColumnKind::kUnchangedToast && !row.table->columns[i].key)
      columns.push_back(static_cast<std::uint16_t>(i));
  }
  return columns;
}

}  // namespace

// Rows of one table that lack the same columns.
struct SourceRows::Group {
  const TargetTable* table = nullptr;
  std::vector<std::uint16_t> columns;
  std::vector<std::size_t> rows;  // of what is wanted

  [[nodiscard]] std::string sql(bool partitioned) const {
    std::string list;
    for (const std::uint16_t ordinal : columns) list += ", " + sent_form(table->columns[ordinal]);
    std::string params;
    std::string names;
    for (std::size_t i = 1; i <= table->key.size(); ++i) {
      params += (params.empty() ? "$" : ", $") + std::to_string(i);
      names += "v" + std::to_string(i) + ", ";
    }
    return "SELECT concat(s.nth)" + list + " FROM unnest(" + params + ") WITH ORDINALITY AS s (" + names + "nth), " +
           (partitioned ? "" : "ONLY ") + table->sql_name + " AS t" + where_key_matches(*table);
  }

  void send(PgPipeline& pipeline, std::span<const WantedRow> wanted, bool partitioned) const {
    std::vector<ArrayParam> arrays(table->key.size());
    std::vector<BinaryParam> params;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const MappedColumn& column = table->columns[table->key[i]];
      arrays[i].reset(column.element, column.binary, rows.size() * 16);
      for (const std::size_t row : rows) arrays[i].add(wanted[row].key.columns[i]);
      params.push_back(arrays[i].param());
    }
    pipeline.prepare(kOperation, "", sql(partitioned), parameter_types(*table, {StatementKind::kDelete, {}}));
    pipeline.execute(kOperation, "", params, ResultForm::kBinary);
  }
};

std::vector<SourceRows::Group> SourceRows::group(std::span<const WantedRow> wanted) {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    std::vector<std::uint16_t> columns = missing_columns(wanted[i]);
    Group* found = nullptr;
    for (Group& one : groups) {
      if (one.table == wanted[i].table && one.columns == columns) found = &one;
    }
    if (found == nullptr) found = &groups.emplace_back(Group{wanted[i].table, std::move(columns), {}});
    found->rows.push_back(i);
  }
  return groups;
}

PgConnection& SourceRows::session() {
  if (session_) return *session_;
  session_.emplace(open_source_());
  const Rows set = session_->exec("set synchronous_commit", "SELECT set_config('synchronous_commit', 'local', false)");
  if (set.at(0, 0) != "local") throw Stopped(StopCode::kRefused, "synchronous_commit could not be set to local");
  return *session_;
}

// A table without partitions may have children that are tables of their own.
bool SourceRows::is_partitioned(const TargetTable& table) {
  const auto known = partitioned_.find(table.id);
  if (known != partitioned_.end()) return known->second;
  const Rows rows = session().exec("find the source's table",
                                   "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass($1)", {table.sql_name});
  if (rows.empty()) {
    throw Stopped(StopCode::kData, "table " + table.display_name + ": a row of it was not sent whole, and " +
                                       table.sql_name + " is not on the source, to read it there: give the table the " +
                                       "same name on both sides, then start again");
  }
  return partitioned_[table.id] = rows.boolean(0, 0);
}

// The message is committed, and so flushed, after everything that the rows were read from.
void SourceRows::read(std::span<const WantedRow> wanted) {
  const std::vector<Group> groups = group(wanted);
  std::vector<bool> partitioned;
  partitioned.reserve(groups.size());
  for (const Group& one : groups) partitioned.push_back(is_partitioned(*one.table));
  std::vector<Xid> transactions;
  transactions.reserve(wanted.size());
  for (const WantedRow& row : wanted) transactions.push_back(row.xid);
  wait_until_visible(session(), transactions);
  PgPipeline pipeline(session());
  pipeline.query(kOperation, "BEGIN");
  pipeline.query(kOperation, "SELECT set_config('lock_timeout', '2s', true)");
  std::vector<std::size_t> calls;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    groups[i].send(pipeline, wanted, partitioned[i]);
    calls.push_back(pipeline.size() - 1);
  }
  const std::size_t fence = pipeline.size();
  const Param prefix[] = {names_.base()};
  pipeline.query(kOperation, "SELECT pg_logical_emit_message(true, $1, '')", prefix);
  pipeline.query(kOperation, "COMMIT");
  std::vector<ResultHandle> results;
  if (const auto failure = pipeline.run(results)) {
    // The session is left in a failed transaction: the next attempt opens another one.
    const PgConnection failed = std::exchange(session_, std::nullopt).value();
    failed.raise(kOperation, failure->result.get());
  }
  const auto lsn = parse_lsn(PQgetvalue(results[fence].get(), 0, 0));
  if (!lsn) throw Stopped(StopCode::kBug, "the source's WAL position could not be read");
  as_of_ = *lsn;
  for (std::size_t i = 0; i < groups.size(); ++i) keep(groups[i], wanted, std::move(results[calls[i]]));
}

void SourceRows::keep(const Group& group, std::span<const WantedRow> wanted, ResultHandle result) {
  for (const std::size_t row : group.rows) rows_[wanted[row].hash].there = false;
  const PGresult* read = results_.emplace_back(std::move(result)).get();
  for (int i = 0; i < PQntuples(read); ++i) {
    const std::string_view text(PQgetvalue(read, i, 0), static_cast<std::size_t>(PQgetlength(read, i, 0)));
    std::size_t nth = 0;
    std::from_chars(text.data(), text.data() + text.size(), nth);
    if (nth == 0 || nth > group.rows.size()) throw Stopped(StopCode::kBug, "a row that was read could not be told");
    Row& row = rows_[wanted[group.rows[nth - 1]].hash];
    row.there = true;
    row.columns.resize(group.table->columns.size(), {nullptr, 0, ColumnKind::kUnchangedToast});
    for (std::size_t c = 0; c < group.columns.size(); ++c) {
      const std::uint16_t ordinal = group.columns[c];
      row.columns[ordinal] = value_in(read, i, static_cast<int>(c) + 1, group.table->columns[ordinal].binary);
    }
  }
  tell(group, static_cast<std::uint64_t>(PQntuples(read)));
}

void SourceRows::tell(const Group& group, std::uint64_t there) {
  Told& told = told_[group.table->display_name];
  told.rows += there;
  told.gone += group.rows.size() - there;
  const auto now = std::chrono::steady_clock::now();
  if (now < told.next) return;
  told.next = now + kTellEvery;
  log_event(LogLevel::kInfo, "rows that won and were not sent whole were read from the source",
            {{"link", names_.link},
             {"table", group.table->display_name},
             {"rows", told.rows},
             {"gone", told.gone},
             {"lsn", to_string(as_of_)}});
}

const SourceRows::Row* SourceRows::find(const KeyHash& hash) const {
  const auto found = rows_.find(hash);
  return found == rows_.end() ? nullptr : &found->second;
}

void SourceRows::clear() {
  rows_.clear();
  results_.clear();
}

}  // namespace teal
