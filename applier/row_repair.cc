#include "applier/row_repair.h"

#include <map>
#include <optional>
#include <utility>

#include "applier/holding_rows.h"
#include "engine/catalog_columns.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

const std::string kVersion = "(t.tableoid || ' ' || t.ctid || ' ' || t.xmin)";

constexpr const char* kUndefinedColumn = "42703";

// The server finds rows by their place; the rest of the version tells whether they are still the same.
std::string where_versions() { return " WHERE t.ctid = ANY ($1::tid[]) AND " + kVersion + " = ANY ($2::text[])"; }

// `16400 (0,5) 743` to `(0,5)`.
std::string place_in(const std::string& version) {
  const std::size_t begin = version.find(' ') + 1;
  return version.substr(begin, version.rfind(' ') - begin);
}

std::vector<Param> version_params(const std::vector<std::string>& versions) {
  std::vector<std::string> places;
  places.reserve(versions.size());
  for (const std::string& version : versions) places.push_back(place_in(version));
  return {text_array(places), text_array(versions)};
}

std::vector<std::string> versions_of(std::span<const RepairRow> rows, std::string RepairRow::* side) {
  std::vector<std::string> versions;
  for (const RepairRow& row : rows) {
    if (!(row.*side).empty()) versions.push_back(row.*side);
  }
  return versions;
}

// The first column is the version.
std::map<std::string, int> by_version(const Rows& rows) {
  std::map<std::string, int> found;
  for (int i = 0; i < rows.size(); ++i) found[rows.str(i, 0)] = i;
  return found;
}

ColumnValue value_at(const Rows& rows, int row, int column) {
  if (rows.is_null(row, column)) return {};
  const std::string_view text = rows.at(row, column);
  return {reinterpret_cast<const std::byte*>(text.data()), static_cast<std::uint32_t>(text.size()), ColumnKind::kText};
}

// From the column after the version on.
void add_values(std::vector<ColumnValue>& values, const Rows& rows, int row, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) values.push_back(value_at(rows, row, static_cast<int>(i) + 1));
}

std::string listed(const std::vector<MappedColumn>& columns) {
  std::string text;
  for (const MappedColumn& column : columns) text += ", t." + column.name;
  return text;
}

std::string listed(const std::vector<std::string>& columns) {
  std::string text;
  for (const std::string& column : columns) text += ", t." + column;
  return text;
}

}  // namespace

RepairCounts& RepairCounts::operator+=(const RepairCounts& other) {
  inserted += other.inserted;
  updated += other.updated;
  deleted += other.deleted;
  return *this;
}

// What is written in one transaction. Lifetime: values point into what was read of both sides.
struct RowRepair::Batch {
  // The applier's rows refer to their values.
  struct Written {
    std::vector<ColumnValue> values;
    std::vector<ColumnValue> key;
    NetOp op = NetOp::kInsert;
  };

  static void add_segment(Epoch& epoch, const TargetTable& table, std::vector<Written>& rows) {
    if (rows.empty()) return;
    Segment segment;
    segment.table = &table;
    for (Written& row : rows) {
      for (const std::uint16_t ordinal : table.key) row.key.push_back(row.values[ordinal]);
      NetRow net;
      net.key.columns = row.key;
      net.values = row.values;
      net.op = row.op;
      segment.rows.push_back(net);
    }
    epoch.tables.push_back({});
    epoch.tables.back().push_back(std::move(segment));
  }

  std::vector<std::string> deletes;  // versions
  std::vector<Written> compared;     // rows of RepairTable::compared
  std::vector<Written> whole;        // rows of RepairTable::whole
  RepairAttempt attempt;
};

Rows RowRepair::read_right(const RepairTable& table, std::span<const RepairRow> rows, bool lock) {
  const std::string sql = "SELECT " + kVersion + listed(table.compared.columns) + " FROM " + table.right +
                          where_versions() + (lock ? " FOR SHARE OF t SKIP LOCKED" : "");
  return right_.exec("read the right rows of " + table.compared.display_name + " on " + right_.label(), sql,
                     version_params(versions_of(rows, &RepairRow::right)));
}

// Values are needed where they are to be written again.
Rows RowRepair::lock_wrong(const RepairTable& table, std::span<const RepairRow> rows, RepairWay way) {
  const std::string own = way == RepairWay::kAnew ? listed(table.own) : "";
  const std::string sql =
      "SELECT " + kVersion + own + " FROM " + table.wrong + where_versions() + " FOR UPDATE OF t SKIP LOCKED";
  return wrong_.exec("lock the rows of " + table.compared.display_name + " to repair on " + wrong_.label(), sql,
                     version_params(versions_of(rows, &RepairRow::wrong)));
}

// They are locked: what does not go is kept by a trigger or a rule.
void RowRepair::delete_rows(const RepairTable& table, const std::vector<std::string>& versions) {
  if (versions.empty()) return;
  const std::string sql = "DELETE FROM " + table.wrong + where_versions();
  RefusedChange refused{.table = table.compared.display_name, .operation = "DELETE"};
  try {
    const std::uint64_t count =
        wrong_.exec("delete rows of " + table.compared.display_name, sql, version_params(versions)).affected();
    if (count == versions.size()) return;
    refused.message =
        "touched " + std::to_string(count) + " rows instead of " + std::to_string(versions.size()) + " that are there";
  } catch (const PgError& error) {
    if (error.error_class() != ErrorClass::kStop) throw;
    refused.sqlstate = error.sqlstate();
    refused.message = error.text() + (error.constraint().empty() ? "" : ", constraint " + error.constraint());
  }
  throw RowsRefused(std::move(refused));
}

// The right side's locks go last: until then the other side may not have committed.
void RowRepair::end_both() {
  if (wrong_.usable()) writer_.rollback();
  if (right_.usable()) right_.exec("let go of the right rows", "ROLLBACK");
}

RowRepair::Batch RowRepair::gather(const RepairTable& table, std::span<const RepairRow> rows, RepairWay way,
                                   const Rows& right, const Rows& wrong) {
  const std::map<std::string, int> rights = by_version(right);
  const std::map<std::string, int> wrongs = by_version(wrong);
  Batch batch;
  RepairCounts& written = batch.attempt.written;
  for (const RepairRow& row : rows) {
    const auto from = rights.find(row.right);
    const auto to = wrongs.find(row.wrong);
    if ((!row.right.empty() && from == rights.end()) || (!row.wrong.empty() && to == wrongs.end())) {
      ++batch.attempt.left;
      continue;
    }
    const bool anew = !row.wrong.empty() && (row.right.empty() || way == RepairWay::kAnew);
    if (anew) batch.deletes.push_back(row.wrong);
    ++(row.right.empty() ? written.deleted : row.wrong.empty() ? written.inserted : written.updated);
    if (row.right.empty()) continue;
    Batch::Written& one = (anew ? batch.whole : batch.compared).emplace_back();
    one.op = row.wrong.empty() || anew ? NetOp::kInsert : NetOp::kUpdate;
    add_values(one.values, right, from->second, table.compared.columns.size());
    if (anew) add_values(one.values, wrong, to->second, table.own.size());
  }
  return batch;
}

RepairAttempt RowRepair::write(const RepairTable& table, std::span<const RepairRow> rows, RepairWay way) {
  try {
    right_.exec("begin", "BEGIN");
    const Rows right = read_right(table, rows, table.may_lock_right);
    writer_.begin();
    const Rows wrong = lock_wrong(table, rows, way);
    Batch batch = gather(table, rows, way, right, wrong);
    if (batch.attempt.written.all() == 0) {
      end_both();
      return batch.attempt;
    }
    delete_rows(table, batch.deletes);
    Epoch epoch;
    Batch::add_segment(epoch, table.compared, batch.compared);
    Batch::add_segment(epoch, table.whole, batch.whole);
    if (!epoch.tables.empty()) static_cast<void>(writer_.write(std::span(&epoch, 1), {}, nullptr));
    writer_.commit_without_position();
    right_.exec("let go of the right rows", "COMMIT");
    return batch.attempt;
  } catch (...) {
    end_both();
    throw;
  }
}

std::vector<std::size_t> RowRepair::row_bytes(const RepairTable& table, std::span<const RepairRow> rows,
                                              RepairWay way) {
  std::vector<std::size_t> bytes(rows.size(), 0);
  const auto add = [&](PgConnection& side, const std::string& from, std::string columns,
                       std::string RepairRow::* version) {
    if (!columns.empty()) columns.erase(0, 2);
    const Rows sizes =
        side.exec("measure rows of " + table.compared.display_name + " on " + side.label(),
                  "SELECT " + kVersion + ", octet_length(ROW(" + columns + ")::text) FROM " + from + where_versions(),
                  version_params(versions_of(rows, version)));
    const std::map<std::string, int> found = by_version(sizes);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto one = found.find(rows[i].*version);
      if (one != found.end()) bytes[i] += static_cast<std::size_t>(sizes.integer(one->second, 1));
    }
  };
  add(right_, table.right, listed(table.compared.columns), &RepairRow::right);
  if (way == RepairWay::kAnew && !table.own.empty()) add(wrong_, table.wrong, listed(table.own), &RepairRow::wrong);
  return bytes;
}

std::vector<std::set<std::string>> RowRepair::holders(const RepairTable& table, std::span<const RepairRow> rows) {
  std::vector<std::set<std::string>> held(rows.size());
  const Rows right = read_right(table, rows, false);
  const std::map<std::string, int> rights = by_version(right);
  std::vector<std::vector<ColumnValue>> values;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto found = rights.find(rows[i].right);
    if (rows[i].right.empty() || found == rights.end()) continue;
    add_values(values.emplace_back(), right, found->second, table.compared.columns.size());
    places.push_back(i);
  }
  const std::vector<TupleView> tuples(values.begin(), values.end());
  const auto add = [&](std::size_t i, const HoldingRow& row) {
    const std::string version = row.relation + " " + row.place + " " + row.xmin;
    if (version != rows[places[i]].wrong) held[places[i]].insert(version);
  };
  try {
    const auto holding = find_holding_rows(wrong_, table.compared, tuples);
    for (std::size_t i = 0; i < holding.size(); ++i) {
      for (const HoldingRow& row : holding[i]) add(i, row);
    }
  } catch (const PgError& error) {
    if (error.sqlstate() != kUndefinedColumn) throw;  // a rule that reads a column which the right side does not have
  }
  if (table.compared.whole_rows) return held;
  const auto same_key = find_rows(wrong_, table.compared, tuples);
  for (std::size_t i = 0; i < same_key.size(); ++i) {
    if (same_key[i]) add(i, *same_key[i]);
  }
  return held;
}

}  // namespace teal
