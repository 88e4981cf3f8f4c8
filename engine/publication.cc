#include "engine/publication.h"

#include <algorithm>
#include <set>

namespace teal {
namespace {

std::string names_in_words(const std::vector<TableName>& tables) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < std::min(tables.size(), kShown); ++i) out += (i == 0 ? "" : ", ") + to_string(tables[i]);
  if (tables.size() > kShown) out += " and " + std::to_string(tables.size() - kShown) + " more";
  return out;
}

std::vector<PublishedTable> read_parts(PgConnection& source, const std::string& name) {
  const Rows rows = source.exec(
      "list the partitions in the publication " + name,
      "SELECT n.nspname, c.relname, r.oid || '/' || c.oid || '/' || (SELECT string_agg(i.xmin::text, '.' ORDER BY "
      "i.inhparent) FROM pg_partition_ancestors(c.oid) a JOIN pg_inherits i ON i.inhrelid = a.relid), tn.nspname, "
      "top.relname, c.relpersistence = 'p', c.reltoastrelid, EXISTS (SELECT FROM pg_publication_rel own WHERE "
      "own.prpubid = p.oid AND own.prrelid = c.oid AND coalesce(to_jsonb(own) ->> 'prqual', to_jsonb(own) ->> "
      "'prattrs') IS NOT NULL) "
      "FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class top ON top.oid = r.prrelid "
      "JOIN pg_namespace tn ON tn.oid = top.relnamespace "
      "CROSS JOIN LATERAL pg_partition_tree(top.oid) t JOIN pg_class c ON c.oid = t.relid "
      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1 AND top.relkind = 'p' AND t.isleaf AND "
      "c.relkind = 'r' AND c.relpersistence <> 't'",
      {name});
  std::vector<PublishedTable> parts;
  parts.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    parts.push_back({.name = {rows.str(i, 0), rows.str(i, 1)},
                     .filtered = rows.boolean(i, 7),
                     .entry = rows.str(i, 2),
                     .target = {rows.str(i, 3), rows.str(i, 4)},
                     .logged = rows.boolean(i, 5),
                     .toast = rows.str(i, 6)});
  }
  return parts;
}

std::string publication_list(const std::vector<TableName>& tables, const std::set<TableName>& parents) {
  std::string out;
  for (const TableName& table : tables) {
    out += (out.empty() ? "" : ", ") + std::string(parents.contains(table) ? "ONLY " : "") +
           quote_qualified(table.schema, table.name);
  }
  return out;
}

}  // namespace

std::string entry_listing(const std::string& entry) { return entry.substr(0, entry.find('/')); }

std::string entry_table(const std::string& entry) {
  const std::size_t slash = entry.find('/');
  if (slash == std::string::npos) return "";
  return entry.substr(slash + 1, entry.find('/', slash + 1) - slash - 1);
}

std::optional<Publication> read_publication(PgConnection& source, const std::string& name) {
  // Through jsonb, because some of the columns are not there in older servers.
  const std::string schemas =
      source.server_major() >= 15 ? "EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid)" : "false";
  const Rows rows =
      source.exec("look for the publication " + name,
                  "SELECT pg_get_userbyid(p.pubowner), pg_has_role(p.pubowner, 'USAGE'), p.puballtables OR " + schemas +
                      ", p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot, "
                      "coalesce(to_jsonb(p) ->> 'pubgencols', 'n') NOT IN ('n', 'false') FROM pg_publication p WHERE "
                      "p.pubname = $1",
                  {name});
  if (rows.empty()) return std::nullopt;
  Publication publication;
  publication.name = name;
  publication.owner = rows.str(0, 0);
  publication.owned = rows.boolean(0, 1);
  publication.open_ended = rows.boolean(0, 2);
  publication.all_operations = rows.boolean(0, 3);
  publication.via_root = rows.boolean(0, 4);
  publication.generated_columns = rows.boolean(0, 5);
  const Rows tables =
      source.exec("list the tables of the publication " + name,
                  "SELECT n.nspname, c.relname, coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> "
                  "'prattrs') IS NOT NULL, r.oid || '/' || c.oid, c.relkind = 'p' FROM pg_publication_rel r "
                  "JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid "
                  "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1 "
                  "ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
                  {name});
  for (int i = 0; i < tables.size(); ++i) {
    const TableName table{tables.str(i, 0), tables.str(i, 1)};
    publication.tables.push_back({table, tables.boolean(i, 2), tables.str(i, 3), tables.boolean(i, 4), table});
  }
  publication.parts = read_parts(source, name);
  return publication;
}

// The TOAST table is made, and the columns' rows of the catalog are written, by the same transaction then.
bool was_rewritten_for_columns(PgConnection& source, const TableName& part) {
  const Rows rows = source.exec(
      "look why a partition was rewritten",
      "SELECT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.xmin = t.xmin) FROM "
      "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = c.reltoastrelid WHERE "
      "n.nspname = $1 AND c.relname = $2",
      {part.schema, part.name});
  return !rows.empty() && rows.boolean(0, 0);
}

std::string quoted_list(const std::vector<TableName>& tables) {
  std::string out;
  for (const TableName& table : tables) out += (out.empty() ? "" : ", ") + quote_qualified(table.schema, table.name);
  return out;
}

std::string create_publication_sql(const std::string& name, const TablesToPublish& tables) {
  return "CREATE PUBLICATION " + quote_identifier(name) + " FOR TABLE " +
         publication_list(tables.tables, tables.parents) + ";";
}

PublicationGap compare_publication(const std::optional<Publication>& present, const std::string& name,
                                   const TablesToPublish& wanted_tables) {
  const std::vector<TableName>& tables = wanted_tables.tables;
  const auto list = [&](const std::vector<TableName>& some) { return publication_list(some, wanted_tables.parents); };
  PublicationGap gap;
  const std::string quoted = quote_identifier(name);
  if (!present) {
    gap.differences.push_back("there is no publication " + name);
    gap.sql.push_back(create_publication_sql(name, wanted_tables));
    gap.needs_table_owner = true;
    return gap;
  }
  if (present->open_ended) {
    gap.differences.push_back("the publication " + name +
                              " is FOR ALL TABLES or FOR TABLES IN SCHEMA; teal needs a list");
    gap.sql = {"DROP PUBLICATION " + quoted + ";", create_publication_sql(name, wanted_tables)};
    gap.needs_table_owner = gap.needs_new_publication = true;
    return gap;
  }
  const std::set<TableName> wanted(tables.begin(), tables.end());
  std::set<TableName> listed;
  std::vector<TableName> missing;
  std::vector<TableName> extra;
  std::vector<TableName> filtered;
  for (const PublishedTable& table : present->tables) {
    listed.insert(table.name);
    if (!wanted.contains(table.name)) extra.push_back(table.name);
    if (table.filtered) filtered.push_back(table.name);
  }
  std::copy_if(tables.begin(), tables.end(), std::back_inserter(missing),
               [&](const TableName& table) { return !listed.contains(table); });
  if (!missing.empty()) gap.differences.push_back("the publication " + name + " lacks " + names_in_words(missing));
  if (!extra.empty()) {
    gap.differences.push_back("the publication " + name +
                              " has tables that are not selected: " + names_in_words(extra));
  }
  if (!filtered.empty()) {
    gap.differences.push_back("the publication " + name + " has row filters or column lists on " +
                              names_in_words(filtered));
    gap.sql.push_back("ALTER PUBLICATION " + quoted + " SET TABLE " + list(tables) + ";");
  } else {
    if (!missing.empty()) gap.sql.push_back("ALTER PUBLICATION " + quoted + " ADD TABLE " + list(missing) + ";");
    if (!extra.empty()) gap.sql.push_back("ALTER PUBLICATION " + quoted + " DROP TABLE " + list(extra) + ";");
  }
  gap.needs_table_owner = !missing.empty() || !filtered.empty();
  std::string options;
  const auto option = [&](const std::string& text) { options += (options.empty() ? "" : ", ") + text; };
  if (!present->all_operations) option("publish = 'insert, update, delete, truncate'");
  if (present->via_root) option("publish_via_partition_root = false");
  if (present->generated_columns) option("publish_generated_columns = none");
  if (!options.empty()) {
    gap.differences.push_back("the publication " + name + " needs other options: " + options);
    gap.sql.push_back("ALTER PUBLICATION " + quoted + " SET (" + options + ");");
  }
  return gap;
}

}  // namespace teal
