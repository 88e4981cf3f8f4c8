#include "applier/holding_rows.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "applier/array_param.h"
#include "engine/pg_error.h"
#include "engine/pg_pipeline.h"

namespace teal {
namespace {

constexpr const char* kOperation = "look for rows that hold a unique value";
constexpr int kPlaceColumns = 4;  // before the key's columns

// One row for each column of each unique index, in order. Equality is the operator of the index's own class.
constexpr const char* kIndexes =
    "SELECT i.indexrelid::text, c.relkind = 'p', coalesce(a.attname::text, ''), "
    "pg_get_indexdef(i.indexrelid, k, true), 'OPERATOR(' || quote_ident(n.nspname) || '.' || o.oprname || ')', "
    "coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), "
    "coalesce(pg_get_expr(i.indpred, i.indrelid), '') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
    "CROSS JOIN generate_series(1, i.indnkeyatts::int) AS k JOIN pg_opclass f ON f.oid = i.indclass[k - 1] "
    "JOIN pg_amop m ON m.amopfamily = f.opcfamily AND m.amoplefttype = f.opcintype AND m.amoprighttype = f.opcintype "
    "AND m.amopstrategy = 3 JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace "
    "LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1] AND a.attnum > 0 "
    "WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indislive ORDER BY i.indexrelid, k";

struct UniqueIndex {
  struct Part {
    std::string column;  // "": an expression
    std::string sql;
    std::string equality;
  };
  bool partitioned = false;  // its table
  bool nulls_alike = false;
  std::string predicate;
  std::vector<Part> parts;
};

std::vector<UniqueIndex> read_indexes(PgConnection& session, const TargetTable& table) {
  const Rows rows = session.exec("read a table's unique indexes", kIndexes, {table.sql_name});
  std::vector<UniqueIndex> indexes;
  std::string last;
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.str(i, 0) != last) {
      last = rows.str(i, 0);
      indexes.push_back({rows.boolean(i, 1), rows.boolean(i, 5), rows.str(i, 6), {}});
    }
    indexes.back().parts.push_back({rows.str(i, 2), rows.str(i, 3), rows.str(i, 4)});
  }
  return indexes;
}

bool is_keys(const UniqueIndex& index, const TargetTable& table) {
  std::set<std::string> key;
  for (const std::uint16_t ordinal : table.key) key.insert(table.columns[ordinal].name);
  std::set<std::string> columns;
  for (const UniqueIndex::Part& part : index.parts) columns.insert(quote_identifier(part.column));
  return columns == key;
}

// The server's own spelling of each value, whatever form the stream has; nullopt: NULL, or not sent.
using Spelled = std::vector<std::optional<std::string>>;

Spelled spell(PgConnection& session, const TargetTable& table, TupleView values) {
  Spelled spelled(values.size());
  std::string list;
  std::vector<std::size_t> ordinals;
  std::vector<Oid> types;
  std::vector<BinaryParam> params;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].has_value()) continue;
    ordinals.push_back(i);
    types.push_back(table.columns[i].binary ? table.columns[i].element : kTextOid);
    params.push_back({reinterpret_cast<const char*>(values[i].data), values[i].size});
    list += (list.empty() ? "$" : ", $") + std::to_string(params.size()) + "::text";
  }
  if (ordinals.empty()) return spelled;
  PgPipeline pipeline(session);
  pipeline.prepare(kOperation, "", "SELECT " + list, types);
  pipeline.execute(kOperation, "", params);
  const std::vector<ResultHandle> results = pipeline.run_or_throw();
  for (std::size_t i = 0; i < ordinals.size(); ++i)
    spelled[ordinals[i]] = PQgetvalue(results[1].get(), 0, static_cast<int>(i));
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

std::string row_sql(const TargetTable& table, const Types& types, const Spelled& values) {
  std::string columns;
  for (std::size_t i = 0; i < values.size(); ++i) {
    columns += (columns.empty() ? "" : ", ") + literal(types[i], values[i]) + " AS " + table.columns[i].name;
  }
  return "SELECT " + columns;
}

// With what the server computes from it: an index can be on that, and no stream sends it.
std::string with_generated(PgConnection& session, const TargetTable& table, const std::string& row) {
  const Rows rows = session.exec("read a table's generated columns",
                                 "SELECT quote_ident(attname), pg_get_expr(adbin, adrelid) FROM pg_attribute "
                                 "JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = "
                                 "to_regclass($1) AND attgenerated <> '' AND NOT attisdropped",
                                 {table.sql_name});
  std::string generated;
  for (int i = 0; i < rows.size(); ++i) generated += ", (" + rows.str(i, 1) + ") AS " + rows.str(i, 0);
  return generated.empty() ? row : "SELECT t.*" + generated + " FROM (" + row + ") AS t";
}

// In the form in which the stream sends it, see key_hash. Results are binary.
std::string sent(const MappedColumn& column) {
  const std::string value = "t." + column.name;
  return column.binary ? value : "CASE WHEN " + value + " IS DISTINCT FROM NULL THEN concat(" + value + ") END";
}

// The index's columns and its predicate name the columns of a row without a table.
std::string parts_of(const UniqueIndex& index) {
  std::string parts;
  for (std::size_t i = 0; i < index.parts.size(); ++i)
    parts += ", (" + index.parts[i].sql + ") AS teal_e" + std::to_string(i);
  return parts;
}

// Of its values as the server writes them: not every type has an equality.
std::string is_same(const TargetTable& table, const Types& types, TupleView values, const Spelled& spelled) {
  std::string same = "true";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind == ColumnKind::kUnchangedToast) continue;
    same +=
        " AND t." + table.columns[i].name + "::text IS NOT DISTINCT FROM " + literal(types[i], spelled[i]) + "::text";
  }
  return "(" + same + ")::text";
}

std::string holding_sql(const UniqueIndex& index, const TargetTable& table, const std::string& row,
                        const std::string& same) {
  const std::string where = index.predicate.empty() ? "" : " WHERE " + index.predicate;
  std::string key;
  std::string names;
  for (std::size_t i = 0; i < table.key.size(); ++i) {
    const std::string name = "teal_k" + std::to_string(i);
    key += ", " + sent(table.columns[table.key[i]]) + " AS " + name;
    names += ", h." + name;
  }
  std::string matches;
  for (std::size_t i = 0; i < index.parts.size(); ++i) {
    const std::string mine = "n.teal_e" + std::to_string(i);
    const std::string theirs = "h.teal_e" + std::to_string(i);
    std::string equal = theirs;
    equal += " " + index.parts[i].equality + " " + mine;
    if (index.nulls_alike) equal = "(" + equal + " OR (" + mine + " IS NULL AND " + theirs + " IS NULL))";
    matches += (i == 0 ? " WHERE " : " AND ") + equal;
  }
  return "WITH n AS MATERIALIZED (SELECT true AS teal_n" + parts_of(index) + " FROM (" + row + ") AS t" + where +
         ") SELECT h.teal_relation, h.teal_place, h.teal_xmin, h.teal_same" + names +
         " FROM n, (SELECT t.tableoid::text AS teal_relation, t.ctid::text AS teal_place, t.xmin::text AS teal_xmin, " +
         same + " AS teal_same" + key + parts_of(index) + " FROM " + (index.partitioned ? "" : "ONLY ") +
         table.sql_name + " AS t" + where + ") AS h" + matches;
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

void add_rows(std::vector<HoldingRow>& found, const TargetTable& table, ResultHandle result) {
  const auto holder = std::make_shared<ResultHandle>(std::move(result));
  const PGresult* rows = holder->get();
  for (int i = 0; i < PQntuples(rows); ++i) {
    HoldingRow row;
    row.holder = holder;
    row.relation = text_at(rows, i, 0);
    row.place = text_at(rows, i, 1);
    row.xmin = text_at(rows, i, 2);
    row.same = text_at(rows, i, 3) == "true";
    for (std::size_t c = 0; c < table.key.size(); ++c) {
      const int column = kPlaceColumns + static_cast<int>(c);
      row.key.push_back({reinterpret_cast<const std::byte*>(PQgetvalue(rows, i, column)),
                         static_cast<std::uint32_t>(PQgetlength(rows, i, column)),
                         table.columns[table.key[c]].binary ? ColumnKind::kBinary : ColumnKind::kText});
    }
    row.hash = key_hash(table.row_key, row.key);
    const bool known =
        std::any_of(found.begin(), found.end(), [&](const HoldingRow& one) { return one.hash == row.hash; });
    if (!known) found.push_back(std::move(row));
  }
}

}  // namespace

std::vector<HoldingRow> find_holding_rows(PgConnection& session, const TargetTable& table, TupleView values) {
  std::vector<UniqueIndex> indexes = read_indexes(session, table);
  std::erase_if(indexes, [&](const UniqueIndex& index) { return is_keys(index, table); });
  std::vector<HoldingRow> found;
  if (indexes.empty()) return found;
  const Spelled spelled = spell(session, table, values);
  const Types types = targets_types(table);
  const std::string row = with_generated(session, table, row_sql(table, types, spelled));
  const std::string same = is_same(table, types, values, spelled);
  for (const UniqueIndex& index : indexes) {
    add_rows(found, table, read_rows(session, holding_sql(index, table, row, same)));
  }
  return found;
}

std::optional<HoldingRow> find_row(PgConnection& session, const TargetTable& table, TupleView values) {
  const Rows kind = session.exec("ask for a table's kind",
                                 "SELECT relkind = 'p' FROM pg_class WHERE oid = $1::regclass", {table.sql_name});
  UniqueIndex key;
  key.partitioned = kind.boolean(0, 0);
  for (const std::uint16_t ordinal : table.key) {
    const MappedColumn& column = table.columns[ordinal];
    key.parts.push_back({column.name, column.name, column.equality});
  }
  const Spelled spelled = spell(session, table, values);
  const Types types = read_types(session, table);
  std::vector<HoldingRow> found;
  add_rows(found, table,
           read_rows(session,
                     holding_sql(key, table, row_sql(table, types, spelled), is_same(table, types, values, spelled))));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::string delete_holding_row_sql(const TargetTable& table, const HoldingRow& row) {
  return "DELETE FROM " + table.sql_name + " AS t WHERE t.tableoid::text = " + quote_literal(row.relation) +
         " AND t.ctid = " + quote_literal(row.place) + "::tid AND t.xmin::text = " + quote_literal(row.xmin);
}

}  // namespace teal
