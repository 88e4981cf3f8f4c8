#include "tools/sequence_facts.h"

#include <algorithm>
#include <cstdlib>

#include "engine/catalog_columns.h"
#include "engine/pg_error.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr std::size_t kReadAtOnce = 200;  // of a statement with one SELECT for each

// A column with a default draws from what that names; one that merely owns a sequence is filled from it by the
// application or a trigger. Rank puts the first before the second.
constexpr const char* kDrawn = R"sql(
WITH wanted AS (
  SELECT c.oid, w.schema, w.name FROM unnest($1::text[], $2::text[]) AS w (schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
), drawn AS (
  SELECT d.objid AS sequence, w.oid, d.refobjsubid::int2 AS attnum, CASE d.deptype WHEN 'i' THEN 0 ELSE 2 END AS rank
  FROM wanted w JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = w.oid AND d.refobjsubid > 0
    AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  UNION ALL
  SELECT d.refobjid, w.oid, a.adnum, 1 FROM wanted w JOIN pg_attrdef a ON a.adrelid = w.oid
  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
), known AS (
  SELECT DISTINCT ON (d.oid, d.attnum) d.oid, a.attname, a.atttypid, s.*, n.nspname, c.relname, c.oid AS id,
    pg_get_userbyid(c.relowner) AS owner, pg_has_role(c.relowner, 'USAGE') AS owned,
    has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT') AS readable,
    has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'UPDATE') AS settable
  FROM drawn d JOIN pg_sequence s ON s.seqrelid = d.sequence JOIN pg_class c ON c.oid = d.sequence
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname <> 'teal'
  JOIN pg_attribute a ON a.attrelid = d.oid AND a.attnum = d.attnum AND NOT a.attisdropped
  ORDER BY d.oid, d.attnum, d.rank, d.sequence
)
SELECT w.schema, w.name, k.attname, k.nspname, k.relname, k.owner, k.owned, k.readable, k.seqincrement, k.seqstart,
  CASE k.atttypid WHEN 'int2'::regtype THEN greatest(k.seqmin, -32768)
    WHEN 'int4'::regtype THEN greatest(k.seqmin, -2147483648) ELSE k.seqmin END,
  CASE k.atttypid WHEN 'int2'::regtype THEN least(k.seqmax, 32767)
    WHEN 'int4'::regtype THEN least(k.seqmax, 2147483647) ELSE k.seqmax END, k.seqcycle, k.settable, k.seqcache
FROM wanted w LEFT JOIN known k USING (oid) ORDER BY w.schema, w.name, k.attname
)sql";

// The columns of kDrawn. A sequence that only tables draw from that are not selected stays with them.
constexpr const char* kNamed = R"sql(
WITH selected AS (
  SELECT c.oid FROM unnest($2::text[], $3::text[]) AS w (schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
), drawn AS (
  SELECT d.objid AS sequence, d.refobjid AS oid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  UNION ALL
  SELECT d.refobjid, a.adrelid FROM pg_attrdef a JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass
    AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> a.adrelid
)
SELECT NULL, NULL, NULL, n.nspname, c.relname, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'),
  has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT'), s.seqincrement, s.seqstart,
  s.seqmin, s.seqmax, s.seqcycle, has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'UPDATE'),
  s.seqcache
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1::text[]) AND n.nspname <> 'teal' AND c.relpersistence = 'p'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND (EXISTS (SELECT FROM drawn JOIN selected USING (oid) WHERE drawn.sequence = c.oid)
    OR NOT EXISTS (SELECT FROM drawn WHERE drawn.sequence = c.oid))
)sql";

DrawnSequence take_row(const Rows& rows, int row) {
  DrawnSequence drawn;
  drawn.name = {rows.str(row, 3), rows.str(row, 4)};
  drawn.owner = rows.str(row, 5);
  drawn.owned = rows.boolean(row, 6);
  drawn.readable = rows.boolean(row, 7);
  drawn.settable = rows.boolean(row, 13);
  drawn.numbers = {.last = rows.integer(row, 9),
                   .called = false,
                   .increment = rows.integer(row, 8),
                   .start = rows.integer(row, 9),
                   .min = rows.integer(row, 10),
                   .max = rows.integer(row, 11),
                   .cycles = rows.boolean(row, 12),
                   .cache = rows.integer(row, 14)};
  return drawn;
}

void read_all_standing(PgConnection& connection, std::map<TableName, DrawnSequence>& sequences) {
  std::vector<SequenceNumbers*> asked;
  std::string sql;
  const auto ask = [&] {
    if (asked.empty()) return;
    const Rows rows = connection.exec("read where the sequences stand", sql);
    for (int i = 0; i < rows.size(); ++i) {
      SequenceNumbers& numbers = *asked.at(static_cast<std::size_t>(rows.integer(i, 0)));
      numbers.last = rows.integer(i, 1);
      numbers.called = rows.boolean(i, 2);
    }
    asked.clear();
    sql.clear();
  };
  for (auto& [name, drawn] : sequences) {
    if (!drawn.readable) continue;
    sql += (sql.empty() ? "SELECT " : " UNION ALL SELECT ") + std::to_string(asked.size()) +
           ", last_value, is_called FROM " + quote_sequence(name);
    asked.push_back(&drawn.numbers);
    if (asked.size() == kReadAtOnce) ask();
  }
  ask();
}

// Half a step away, on the side where there is room.
std::int64_t beside(std::int64_t number, std::int64_t half) {
  return (number > 0) == (half > 0) ? number - half : number + half;
}

std::string words(const ColumnName& column) { return to_string(column.first) + "." + column.second; }

}  // namespace

std::string quote_sequence(const TableName& sequence) { return quote_qualified(sequence.schema, sequence.name); }

void read_standing(PgConnection& connection, const TableName& sequence, SequenceNumbers& numbers) {
  const Rows rows = connection.exec("read where the sequence " + to_string(sequence) + " stands",
                                    "SELECT last_value, is_called FROM " + quote_sequence(sequence));
  numbers.last = rows.integer(0, 0);
  numbers.called = rows.boolean(0, 1);
}

std::vector<SequenceRecord> read_sequence_records(PgConnection& connection, const std::string& migration) {
  if (!has_control_table(connection, "sequence_state")) return {};
  const Rows rows = connection.exec("read which sequences are interleaved",
                                    "SELECT schema_name, sequence_name, other_schema, other_name, columns, "
                                    "old_increment, old_start, increment, start, first FROM teal.sequence_state WHERE "
                                    "migration = $1 ORDER BY 1, 2",
                                    {migration});
  std::vector<SequenceRecord> records;
  records.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    records.push_back({{rows.str(i, 0), rows.str(i, 1)},
                       {rows.str(i, 2), rows.str(i, 3)},
                       rows.str(i, 4),
                       rows.integer(i, 5),
                       rows.integer(i, 6),
                       rows.integer(i, 7),
                       rows.integer(i, 8),
                       rows.integer(i, 9)});
  }
  return records;
}

SideSequences read_sequences(PgConnection& connection, const std::set<TableName>& tables,
                             const std::string& migration) {
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const TableName& table : tables) {
    schemas.push_back(table.schema);
    names.push_back(table.name);
  }
  const Rows rows =
      connection.exec("look which columns draw from sequences", kDrawn, {text_array(schemas), text_array(names)});
  SideSequences side;
  for (int i = 0; i < rows.size(); ++i) {
    const TableName table{rows.str(i, 0), rows.str(i, 1)};
    side.tables.insert(table);
    if (rows.is_null(i, 2)) continue;
    DrawnSequence drawn = take_row(rows, i);
    side.drawn[{table, rows.str(i, 2)}] = drawn.name;
    const auto [known, fresh] = side.sequences.try_emplace(drawn.name, drawn);
    if (fresh) continue;
    known->second.numbers.min = std::max(known->second.numbers.min, drawn.numbers.min);
    known->second.numbers.max = std::min(known->second.numbers.max, drawn.numbers.max);
  }
  for (SequenceRecord& record : read_sequence_records(connection, migration)) {
    const auto drawn = side.sequences.find(record.name);
    if (drawn != side.sequences.end()) drawn->second.record = std::move(record);
  }
  read_all_standing(connection, side.sequences);
  return side;
}

std::map<TableName, DrawnSequence> read_named_sequences(PgConnection& connection, const std::set<TableName>& tables) {
  std::set<std::string> schemas;
  std::vector<std::string> table_schemas;
  std::vector<std::string> names;
  for (const TableName& table : tables) {
    schemas.insert(table.schema);
    table_schemas.push_back(table.schema);
    names.push_back(table.name);
  }
  const Rows rows =
      connection.exec("look for the sequences of the tables' schemas", kNamed,
                      {text_array({schemas.begin(), schemas.end()}), text_array(table_schemas), text_array(names)});
  std::map<TableName, DrawnSequence> found;
  for (int i = 0; i < rows.size(); ++i) {
    DrawnSequence drawn = take_row(rows, i);
    found.emplace(drawn.name, std::move(drawn));
  }
  read_all_standing(connection, found);
  return found;
}

SeriesPlan SequencePair::plan(std::int64_t margin) const {
  std::optional<std::int64_t> original;
  std::optional<std::int64_t> blue_member;
  if (blue.record) {
    original = blue.record->old_increment;
    blue_member = blue.record->first;
  } else if (green.record) {
    original = green.record->old_increment;
    blue_member = green.record->first - green.record->old_increment;
  } else if (blue.numbers.increment == green.numbers.increment && blue.owned != green.owned &&
             std::abs(blue.numbers.increment) == 2) {
    // The side that teal may not alter has its half already, and the other was made after its model. A larger even
    // increment is rather one that the application has always had, to use the numbers between for itself.
    original = blue.numbers.increment / 2;
    blue_member = blue.owned ? beside(green.numbers.last, *original) : blue.numbers.last;
  }
  return plan_series(blue.numbers, green.numbers, original, blue_member, margin);
}

SequencePairs pair_sequences(const SideSequences& blue, const SideSequences& green, bool made_as_blue) {
  SequencePairs found;
  std::map<TableName, std::size_t> of_blue;
  std::map<TableName, std::size_t> of_green;
  for (const auto& [column, name] : blue.drawn) {
    const auto there = green.drawn.find(column);
    const bool to_be_made = made_as_blue && !green.tables.contains(column.first);
    if (there == green.drawn.end() && !to_be_made) continue;
    const TableName& other = to_be_made ? name : there->second;
    const auto known = of_blue.find(name);
    const auto known_there = of_green.find(other);
    if (known == of_blue.end() && known_there == of_green.end()) {
      of_blue[name] = of_green[other] = found.pairs.size();
      SequencePair pair{blue.sequences.at(name), {}, words(column)};
      if (to_be_made) {
        pair.green = pair.blue;
        pair.green.owned = true;
        pair.green.record.reset();
      } else {
        pair.green = green.sequences.at(other);
      }
      found.pairs.push_back(std::move(pair));
    } else if (known != of_blue.end() && known_there != of_green.end() && known->second == known_there->second) {
      found.pairs[known->second].columns += ", " + words(column);
    } else {
      const std::size_t met = known != of_blue.end() ? known->second : known_there->second;
      found.crossed.push_back(words(column) + " draws from " + to_string(name) + " on blue and " + to_string(other) +
                              " on green, and " + found.pairs[met].columns + " from " +
                              to_string(found.pairs[met].blue.name) + " and " + to_string(found.pairs[met].green.name));
    }
  }
  return found;
}

}  // namespace teal
