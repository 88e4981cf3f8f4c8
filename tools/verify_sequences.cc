#include "tools/verify_sequences.h"

#include <map>
#include <optional>
#include <set>
#include <string>

#include "engine/catalog_columns.h"
#include "engine/pg_error.h"
#include "tools/sequence_facts.h"

namespace teal {
namespace {

using Findings = std::vector<VerifyFinding>;

// Columns that hold a sequence's numbers as they are: identities, and defaults that draw and do nothing else (true).
// One without a default that owns a sequence (false) may be filled from it by the application.
std::map<ColumnName, bool> read_plain_columns(PgConnection& connection, const std::set<TableName>& tables) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const TableName& table : tables) {
    schemas.push_back(table.schema);
    names.push_back(table.name);
  }
  const Rows rows = connection.exec(
      "look which columns hold sequences' numbers on " + connection.label(),
      "SELECT w.schema, w.name, a.attname, a.attidentity <> '' OR d.oid IS NOT NULL FROM unnest($1::text[], "
      "$2::text[]) AS w (schema, name) JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = "
      "n.oid AND "
      "c.relname = w.name JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND "
      "a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype) LEFT JOIN pg_attrdef d ON "
      "d.adrelid = c.oid AND d.adnum = a.attnum WHERE d.oid IS NULL OR CASE WHEN a.attgenerated = '' "
      "THEN pg_get_expr(d.adbin, 0) END ~ "
      "'^\\(*nextval\\(''[^'']*''::regclass\\)\\)*(::[a-z]+)?$'",
      {text_array(schemas), text_array(names)});
  std::map<ColumnName, bool> columns;
  for (int i = 0; i < rows.size(); ++i) {
    columns[{{rows.str(i, 0), rows.str(i, 1)}, rows.str(i, 2)}] = rows.boolean(i, 3);
  }
  return columns;
}

// The furthest value in the column that the sequence is still to draw: numbers between its own are the other side's, or
// the application's. NULL when there is none. By the column's index, where it has one.
std::string met_sql(const ColumnName& column, const SequenceNumbers& numbers, std::int64_t next) {
  const bool up = numbers.increment > 0;
  const std::string name = quote_identifier(column.second);
  const std::string from = std::to_string(next);
  std::string sql = "SELECT trunc(" + std::string(up ? "max(" : "min(") + name + ")::numeric)::bigint FROM " +
                    quote_qualified(column.first.schema, column.first.name) + " WHERE " + name +
                    (up ? " >= " : " <= ") + from + " AND " + name + (up ? " <= " : " >= ") +
                    std::to_string(up ? numbers.max : numbers.min);
  if (numbers.increment != 1 && numbers.increment != -1) {
    sql += " AND (" + name + "::numeric - " + from + ") % " + std::to_string(numbers.increment) + " = 0";
  }
  return sql;
}

// The column is read before the sequence, because on a side that is written its numbers come into the column.
std::optional<std::int64_t> met_number(PgConnection& connection, const ColumnName& column, SequenceNumbers& numbers,
                                       const TableName& sequence) {
  const std::string operation = "look whether " + to_string(sequence) + " is behind " + to_string(column.first) + "." +
                                column.second + " on " + connection.label();
  std::optional<std::int64_t> next = next_number(numbers);
  if (!next) return std::nullopt;
  const Rows rows = connection.exec(operation, met_sql(column, numbers, *next));
  if (rows.is_null(0, 0)) return std::nullopt;
  const std::int64_t met = rows.integer(0, 0);
  read_standing(connection, sequence, numbers);
  next = next_number(numbers);
  if (!next || (numbers.increment > 0 ? met < *next : met > *next)) return std::nullopt;
  return met;
}

VerifyFinding behind(const std::string& side, bool written, const ColumnName& column, const DrawnSequence& sequence,
                     std::int64_t met) {
  const std::int64_t next = next_number(sequence.numbers).value_or(met);
  const auto steps = static_cast<std::uint64_t>((met - next) / sequence.numbers.increment) + 1;
  return {.area = FindingArea::kSequences,
          .weight = written ? FindingWeight::kWrong : FindingWeight::kMatters,
          .table = to_string(column.first),
          .side = side,
          .text = "sequence " + to_string(sequence.name) + " is behind column " + column.second + ": it draws " +
                  std::to_string(next) + " next, and the column has numbers up to " + std::to_string(met) +
                  " of those it would draw (" + std::to_string(steps) + " steps); " +
                  (written ? "inserts there collide until it is set behind them: "
                           : "before applications draw from it there, set it behind them: ") +
                  "SELECT setval(" + quote_literal(quote_sequence(sequence.name)) + ", " + std::to_string(met) + ")"};
}

void check_side(PgConnection& connection, const std::string& migration, const std::set<TableName>& tables, bool written,
                Findings& findings) {
  SideSequences side = read_sequences(connection, tables, migration);
  std::set<TableName> unreadable;
  const std::map<ColumnName, bool> plain = read_plain_columns(connection, tables);
  for (const auto& [column, name] : side.drawn) {
    const auto known = plain.find(column);
    if (known == plain.end()) continue;
    DrawnSequence& sequence = side.sequences.at(name);
    VerifyFinding unchecked{.area = FindingArea::kSequences,
                            .weight = FindingWeight::kUnchecked,
                            .table = to_string(column.first),
                            .side = connection.label(),
                            .text = "teal's role may not read sequence " + to_string(name)};
    if (!sequence.readable) {
      if (unreadable.insert(name).second) findings.push_back(std::move(unchecked));
      continue;
    }
    if (sequence.numbers.cycles) continue;  // it is meant to draw the same numbers again
    try {
      const std::optional<std::int64_t> met = met_number(connection, column, sequence.numbers, name);
      if (met) findings.push_back(behind(connection.label(), written && known->second, column, sequence, *met));
    } catch (const PgError& error) {
      if (!connection.usable() || connection.stop_requested()) throw;
      unchecked.text = error.what();
      findings.push_back(std::move(unchecked));
    }
  }
}

}  // namespace

std::vector<VerifyFinding> check_verified_sequences(const Config& config, const ConnectOptions& blue,
                                                    const ConnectOptions& green,
                                                    const std::vector<ComparedTable>& tables,
                                                    const std::stop_token& stop) {
  const bool both_written = config.writers == Writers::kBoth;
  Findings findings;
  const auto check = [&](const ConnectOptions& to, ComparedSide ComparedTable::* side, bool written) {
    std::set<TableName> names;
    for (const ComparedTable& table : tables) {
      if (table.readable) names.insert((table.*side).name);
    }
    try {
      PgConnection connection = PgConnection::connect(to);
      connection.set_stop_token(stop);
      check_side(connection, config.name, names, written, findings);
    } catch (const PgError& error) {
      findings.push_back(
          {.area = FindingArea::kSequences,
           .weight = FindingWeight::kUnchecked,
           .table = "",
           .side = to.label,
           .text = stop.stop_requested() ? "it was stopped before all of them were looked at" : error.what()});
    }
  };
  // With two links and one writer, which of the sides applications write is theirs to know.
  check(blue, &ComparedTable::blue, both_written || config.direction == Direction::kForward);
  check(green, &ComparedTable::green, both_written);
  return findings;
}

}  // namespace teal
