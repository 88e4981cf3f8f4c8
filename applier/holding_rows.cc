#include "applier/holding_rows.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "applier/array_param.h"
#include "applier/holding_index.h"
#include "engine/binary_types.h"
#include "engine/pg_error.h"
#include "engine/pg_pipeline.h"

namespace teal {
namespace {

constexpr const char* kOperation = "look for rows that hold a unique value";
constexpr int kPlaceColumns = 5;  // before the key's columns

bool is_keys(const HoldingIndex& index, const TargetTable& table) {
  std::set<std::string> key;
  for (const std::uint16_t ordinal : table.key) key.insert(table.columns[ordinal].name);
  std::set<std::string> columns;
  for (const HoldingIndex::Part& part : index.parts) columns.insert(quote_identifier(part.column));
  return columns == key;
}

// The server's own spelling of each value of each row, whatever form the stream has; nullopt: NULL, or not sent.
using Spelled = std::vector<std::vector<std::optional<std::string>>>;

void spell_binary(PgConnection& session, const TargetTable& table, std::span<const TupleView> rows, Spelled& spelled) {
  std::vector<std::size_t> ordinals;
  std::vector<Oid> types;
  std::vector<ArrayParam> arrays;
  std::string params;
  std::string names;
  std::string texts;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const MappedColumn& column = table.columns[i];
    if (!column.binary) continue;
    ordinals.push_back(i);
    types.push_back(binary_array_type(column.element).value_or(0));
    ArrayParam& array = arrays.emplace_back();
    array.reset(column.element, true, rows.size() * 16);
    for (const TupleView& row : rows)
      array.add(row[i].has_value() ? row[i] : ColumnValue{nullptr, 0, ColumnKind::kNull});
    const std::string number = std::to_string(ordinals.size());
    const std::string comma = ordinals.size() == 1 ? "" : ", ";
    params += comma + "$" + number;
    names += "v" + number + ", ";
    texts += comma + "v" + number + "::text";
  }
  if (ordinals.empty()) return;
  std::vector<BinaryParam> values;
  values.reserve(arrays.size());
  for (ArrayParam& array : arrays) values.push_back(array.param());
  PgPipeline pipeline(session);
  pipeline.prepare(
      kOperation, "",
      "SELECT " + texts + " FROM unnest(" + params + ") WITH ORDINALITY AS s(" + names + "nth) ORDER BY nth", types);
  pipeline.execute(kOperation, "", values);
  const std::vector<ResultHandle> results = pipeline.run_or_throw();
  const PGresult* result = results[1].get();
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t i = 0; i < ordinals.size(); ++i) {
      const auto at = std::pair(static_cast<int>(row), static_cast<int>(i));
      if (PQgetisnull(result, at.first, at.second) == 0)
        spelled[row][ordinals[i]] = PQgetvalue(result, at.first, at.second);
    }
  }
}

Spelled spell(PgConnection& session, const TargetTable& table, std::span<const TupleView> rows) {
  Spelled spelled(rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    spelled[row].resize(table.columns.size());
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      if (rows[row][i].kind == ColumnKind::kText) spelled[row][i] = std::string(rows[row][i].text());
    }
  }
  spell_binary(session, table, rows, spelled);
  return spelled;
}

// Of the columns, on the side that is asked: the other side's may be wider, and write the same number in another way.
using Types = std::vector<std::string>;

Types targets_types(const TargetTable& table) {
  Types types;
  types.reserve(table.columns.size());
  for (const MappedColumn& column : table.columns) types.push_back(column.full_type);
  return types;
}

Types read_types(PgConnection& session, const TargetTable& table) {
  const Rows rows = session.exec("read the types of a table's columns",
                                 "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
                                 "to_regclass($1) AND attnum > 0 AND NOT attisdropped",
                                 {table.sql_name});
  Types types = targets_types(table);
  for (int row = 0; row < rows.size(); ++row) {
    const std::string name = quote_identifier(rows.str(row, 0));
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (table.columns[i].name == name) types[i] = rows.str(row, 1);
    }
  }
  return types;
}

// It goes through the type's input function.
std::string literal(const std::string& type, const std::optional<std::string>& value) {
  return (value ? quote_literal(*value) : std::string("NULL")) + "::" + type;
}

// A name that no column of the table has.
std::string own_name(const TargetTable& table, std::string name) {
  const auto taken = [&](const MappedColumn& column) { return column.name == quote_identifier(name); };
  while (std::any_of(table.columns.begin(), table.columns.end(), taken)) name += '_';
  return name;
}

// The rows that are asked about, numbered, and which of their values were sent: "1101".
std::string rows_sql(const TargetTable& table, const Types& types, std::span<const TupleView> rows,
                     const Spelled& spelled) {
  std::string sql;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::string sent;
    std::string values;
    for (std::size_t i = 0; i < types.size(); ++i) {
      sent += rows[row][i].kind == ColumnKind::kUnchangedToast ? '0' : '1';
      values += ", " + literal(types[i], spelled[row][i]);
    }
    sql += (row == 0 ? "VALUES (" : ", (") + std::to_string(row) + ", '" + sent + "'" + values + ")";
  }
  std::string names = own_name(table, "teal_row") + ", " + own_name(table, "teal_sent");
  for (const MappedColumn& column : table.columns) names += ", " + column.name;
  return "SELECT * FROM (" + sql + ") AS v (" + names + ")";
}

// With what the server computes from them: an index can be on that, and no stream sends it.
std::string with_generated(PgConnection& session, const TargetTable& table, const std::string& asked) {
  const Rows rows = session.exec("read a table's generated columns",
                                 "SELECT quote_ident(attname), pg_get_expr(adbin, adrelid) FROM pg_attribute "
                                 "JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = "
                                 "to_regclass($1) AND attgenerated <> '' AND NOT attisdropped",
                                 {table.sql_name});
  std::string generated;
  for (int i = 0; i < rows.size(); ++i) generated += ", (" + rows.str(i, 1) + ") AS " + rows.str(i, 0);
  return generated.empty() ? asked : "SELECT t.*" + generated + " FROM (" + asked + ") AS t";
}

// In the form in which the stream sends it, see key_hash. Results are binary.
std::string sent(const MappedColumn& column) {
  const std::string value = "t." + column.name;
  return column.binary ? value : "CASE WHEN " + value + " IS DISTINCT FROM NULL THEN concat(" + value + ") END";
}

// Of `n` and `h`, by their values as the server writes them: not every type has an equality.
std::string is_same(const TargetTable& table) {
  std::string same = "true";
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const std::string value = ".teal_v" + std::to_string(i);
    same += " AND (substr(n.teal_sent, " + std::to_string(i + 1) + ", 1) = '0' OR h" + value +
            " IS NOT DISTINCT FROM n" + value + ")";
  }
  return "(" + same + ")::text";
}

std::string texts_of(const TargetTable& table) {
  std::string texts;
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    texts += ", t." + table.columns[i].name + "::text AS teal_v" + std::to_string(i);
  return texts;
}

// Only rows of which everything was sent that the index reads: what is not known is not what another row has. A column
// that the source does not send, as one that is generated, may come from any.
std::string where_known(const HoldingIndex& index, const TargetTable& table) {
  std::string known;
  std::size_t sent = 0;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (!index.reads.contains(table.columns[i].name)) continue;
    ++sent;
    known += (known.empty() ? "" : " AND ") +
             ("substr(t." + own_name(table, "teal_sent") + ", " + std::to_string(i + 1) + ", 1) = '1'");
  }
  return sent == index.reads.size() ? known : "strpos(t." + own_name(table, "teal_sent") + ", '0') = 0";
}

// `asked`: SQL of the rows that are asked about. `compares`: also whether they are the same rows.
std::string holding_sql(const HoldingIndex& index, const TargetTable& table, const std::string& asked, bool compares) {
  const std::string where = index.predicate.empty() ? "" : " WHERE " + index.predicate;
  const std::string known = compares ? "" : where_known(index, table);
  const std::string asks =
      known.empty() ? where : " WHERE " + known + (index.predicate.empty() ? "" : " AND (" + index.predicate + ")");
  std::string key;
  std::string names;
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    const std::string name = "teal_k" + std::to_string(i);
    key += ", " + sent(table.columns[table.key[i]]) + " AS " + name;
    names += ", h." + name;
  }
  const std::string texts = compares ? texts_of(table) : "";
  const std::string sql = "WITH n AS MATERIALIZED (SELECT t." + own_name(table, "teal_row") + " AS teal_row, t." +
                          own_name(table, "teal_sent") + " AS teal_sent" + index.sql_of_parts() + texts + " FROM (" +
                          asked + ") AS t" + asks + ") ";
  const std::string found =
      "SELECT n.teal_row::text, h.teal_relation, h.teal_place, h.teal_xmin, " +
      (compares ? is_same(table) : std::string("'false'::text")) + names +
      " FROM n, (SELECT t.tableoid::text AS teal_relation, t.ctid::text AS teal_place, t.xmin::text AS teal_xmin" +
      key + index.sql_of_parts() + texts + " FROM " + (index.partitioned ? "" : "ONLY ") + index.table + " AS t" +
      where + ") AS h";
  std::string all;
  for (const std::string& match : index.matches()) all += (all.empty() ? sql : " UNION ALL ") + found + match;
  return all;
}

ResultHandle read_rows(PgConnection& session, const std::string& sql) {
  PgPipeline pipeline(session);
  pipeline.prepare(kOperation, "", sql, {});
  pipeline.execute(kOperation, "", {}, ResultForm::kBinary);
  std::vector<ResultHandle> results = pipeline.run_or_throw();
  return std::move(results[1]);
}

std::string text_at(const PGresult* rows, int row, int column) {
  return {PQgetvalue(rows, row, column), static_cast<std::size_t>(PQgetlength(rows, row, column))};
}

using FoundRows = std::span<std::vector<HoldingRow>>;

void add_rows(FoundRows found, const TargetTable& table, ResultHandle result) {
  const auto holder = std::make_shared<ResultHandle>(std::move(result));
  const PGresult* rows = holder->get();
  for (int i = 0; i < PQntuples(rows); ++i) {
    std::vector<HoldingRow>& held = found[std::stoul(text_at(rows, i, 0))];
    HoldingRow row;
    row.holder = holder;
    row.relation = text_at(rows, i, 1);
    row.place = text_at(rows, i, 2);
    row.xmin = text_at(rows, i, 3);
    row.same = text_at(rows, i, 4) == "true";
    for (std::size_t c = 0; c < table.key.size(); ++c) {
      const int column = kPlaceColumns + static_cast<int>(c);
      row.key.push_back({reinterpret_cast<const std::byte*>(PQgetvalue(rows, i, column)),
                         static_cast<std::uint32_t>(PQgetlength(rows, i, column)),
                         table.columns[table.key[c]].binary ? ColumnKind::kBinary : ColumnKind::kText});
    }
    row.hash = key_hash(table.row_key, row.key);
    const bool known =
        std::any_of(held.begin(), held.end(), [&](const HoldingRow& one) { return one.hash == row.hash; });
    if (!known) held.push_back(std::move(row));
  }
}

std::size_t bytes_of(TupleView row) {
  std::size_t bytes = 0;
  for (const ColumnValue& value : row) bytes += value.size;
  return bytes;
}

// So many rows at a time that their statement keeps a reasonable size. `look(rows, found)`
template <typename Look>
std::vector<std::vector<HoldingRow>> in_parts(std::span<const TupleView> rows, Look look) {
  constexpr std::size_t kRows = 1'000;
  constexpr std::size_t kBytes = std::size_t{1} << 20U;
  std::vector<std::vector<HoldingRow>> found(rows.size());
  for (std::size_t from = 0; from < rows.size();) {
    std::size_t to = from;
    for (std::size_t bytes = 0; to < rows.size() && to - from < kRows && (to == from || bytes < kBytes); ++to)
      bytes += bytes_of(rows[to]);
    look(rows.subspan(from, to - from), FoundRows(found).subspan(from, to - from));
    from = to;
  }
  return found;
}

}  // namespace

std::vector<std::vector<HoldingRow>> find_holding_rows(PgConnection& session, const TargetTable& table,
                                                       std::span<const TupleView> rows) {
  std::vector<HoldingIndex> indexes = read_holding_indexes(session, table.sql_name);
  // What has too many ways is looked up without the index: for many rows that would take for ever.
  std::erase_if(indexes, [&](const HoldingIndex& index) {
    return is_keys(index, table) || (rows.size() > 1 && !index.seeks_nulls());
  });
  if (indexes.empty()) return std::vector<std::vector<HoldingRow>>(rows.size());
  const Types types = targets_types(table);
  return in_parts(rows, [&](std::span<const TupleView> part, FoundRows found) {
    const std::string asked = with_generated(session, table, rows_sql(table, types, part, spell(session, table, part)));
    for (const HoldingIndex& index : indexes)
      add_rows(found, table, read_rows(session, holding_sql(index, table, asked, false)));
  });
}

std::vector<std::optional<HoldingRow>> find_rows(PgConnection& session, const TargetTable& table,
                                                 std::span<const TupleView> rows) {
  const Rows kind = session.exec("ask for a table's kind",
                                 "SELECT relkind = 'p' FROM pg_class WHERE oid = $1::regclass", {table.sql_name});
  HoldingIndex key;
  key.table = table.sql_name;
  key.partitioned = kind.boolean(0, 0);
  for (const std::uint16_t ordinal : table.key) {
    const MappedColumn& column = table.columns[ordinal];
    key.parts.push_back({column.name, column.name, column.equality});
  }
  const Types types = read_types(session, table);
  std::vector<std::vector<HoldingRow>> found = in_parts(rows, [&](std::span<const TupleView> part, FoundRows here) {
    const std::string asked = rows_sql(table, types, part, spell(session, table, part));
    add_rows(here, table, read_rows(session, holding_sql(key, table, asked, true)));
  });
  std::vector<std::optional<HoldingRow>> first(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!found[i].empty()) first[i] = std::move(found[i].front());
  }
  return first;
}

}  // namespace teal
