#include "tools/verify_state.h"

#include "engine/catalog_columns.h"
#include "engine/time_text.h"

namespace teal {
namespace {

std::string database_identity(PgConnection& connection) {
  const Rows rows = connection.exec("look which database " + connection.label() + " is",
                                    "SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || oid FROM "
                                    "pg_database WHERE datname = current_database()");
  return rows.str(0, 0);
}

// Each table's OID, what its rows lie in, and its columns' types: rows that were written anew under other types, or by
// TRUNCATE, are others. Of a partitioned table, whose partitions come and go, only the types.
std::vector<std::string> read_identities(PgConnection& connection, const std::vector<ComparedTable>& tables,
                                         ComparedSide ComparedTable::* side) {
  std::vector<std::string> names;
  names.reserve(tables.size());
  for (const ComparedTable& table : tables) {
    const TableName& name = (table.*side).name;
    names.push_back(quote_qualified(name.schema, name.name));
  }
  const Rows rows = connection.exec(
      "look which tables " + connection.label() + " has",
      "SELECT concat_ws(' ', coalesce(to_regclass(w.name)::oid, 0), pg_relation_filenode(to_regclass(w.name)), (SELECT "
      "string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ',' ORDER BY a.attnum) FROM "
      "pg_attribute a WHERE a.attrelid = to_regclass(w.name) AND a.attnum > 0 AND NOT a.attisdropped)) FROM "
      "unnest($1::text[]) WITH ORDINALITY AS w (name, i) ORDER BY i",
      {text_array(names)});
  std::vector<std::string> identities;
  identities.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) identities.push_back(rows.str(i, 0));
  return identities;
}

}  // namespace

std::unique_ptr<VerifyJournal> open_verify_state(const std::string& file, const Config& config, PgConnection& blue,
                                                 PgConnection& green, HashedIn hashed,
                                                 std::vector<ComparedTable>& tables) {
  const JournalScope scope{.migration = config.name,
                           .blue = database_identity(blue),
                           .green = database_identity(green),
                           .hashed = hashed == HashedIn::kServer ? "by the servers" : "by teal"};
  const std::vector<std::string> here = read_identities(blue, tables, &ComparedTable::blue);
  const std::vector<std::string> there = read_identities(green, tables, &ComparedTable::green);
  for (std::size_t i = 0; i < tables.size(); ++i) tables[i].signature = journal_signature(tables[i], here[i], there[i]);
  auto journal = std::make_unique<VerifyJournal>(file, scope, to_string(now_timestamp()));
  for (const ComparedTable& table : tables) {
    if (table.readable) journal->want(to_string(table.blue.name), table.signature);
  }
  return journal;
}

}  // namespace teal
