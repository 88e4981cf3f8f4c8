#include "engine/catalog_types.h"

#include <utility>

#include "engine/catalog_columns.h"
#include "engine/type_fit.h"

namespace teal {
namespace {

constexpr std::uint32_t oid_at(long long value) { return static_cast<std::uint32_t>(value); }

// What a type is made of, one row per member: as a lateral subquery over pg_type t.
std::string members(int server_major) {
  return "SELECT t.typbasetype AS type WHERE t.typtype = 'd' "
         "UNION ALL SELECT t.typelem WHERE t.typcategory = 'A' AND t.typelem <> 0 "
         "UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid "
         "AND a.attnum > 0 AND NOT a.attisdropped "
         "UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid" +
         std::string(server_major >= 14 ? " UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid"
                                        : "");
}

TypesByOid read_heads(PgConnection& connection, const std::string& types) {
  const Rows rows = connection.exec(
      "read the types on " + connection.label(),
      "SELECT t.oid, n.nspname, t.typname, CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN 'a' "
      "ELSE t.typtype::text END, coalesce(c.relkind <> 'c', false), t.typnotnull, coalesce(e.extname, ''), "
      "coalesce((SELECT concat_ws(', ', "
      "'SUBTYPE_OPCLASS = ' || quote_ident(pn.nspname) || '.' || quote_ident(p.opcname), "
      "'COLLATION = ' || quote_ident(ln.nspname) || '.' || quote_ident(l.collname), "
      "'CANONICAL = ' || nullif(r.rngcanonical, 0)::regproc::text) "
      "FROM pg_range r JOIN pg_opclass p ON p.oid = r.rngsubopc JOIN pg_namespace pn ON pn.oid = p.opcnamespace "
      "LEFT JOIN pg_collation l ON l.oid = r.rngcollation LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace "
      "WHERE r.rngtypid = t.oid), '') "
      "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid "
      "LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e' "
      "LEFT JOIN pg_extension e ON e.oid = d.refobjid WHERE t.oid = ANY ($1::oid[])",
      {types});
  TypesByOid found;
  for (int i = 0; i < rows.size(); ++i) {
    TypeDefinition type;
    type.oid = oid_at(rows.integer(i, 0));
    type.name = {rows.str(i, 1), rows.str(i, 2)};
    type.kind = static_cast<TypeKind>(rows.at(i, 3).front());
    type.of_table = rows.boolean(i, 4);
    type.not_null = rows.boolean(i, 5);
    type.extension = rows.str(i, 6);
    type.order = rows.str(i, 7);
    found.emplace(type.oid, std::move(type));
  }
  return found;
}

// What was made since the types were listed is nobody's concern yet.
TypeDefinition* find(TypesByOid& types, const Rows& rows, int row) {
  const auto found = types.find(oid_at(rows.integer(row, 0)));
  return found == types.end() ? nullptr : &found->second;
}

void read_parts(PgConnection& connection, const std::string& types, TypesByOid& found) {
  const std::string multirange = connection.server_major() >= 14
                                     ? "UNION ALL SELECT r.rngmultitypid, '', r.rngtypid, -1, 0, 0 FROM pg_range r "
                                       "WHERE r.rngmultitypid = ANY ($1::oid[]) "
                                     : "";
  const Rows rows = connection.exec(
      "read what the types on " + connection.label() + " are made of",
      "SELECT p.owner, p.name, format_type(p.type, p.modifier), p.type, p.modifier, NOT EXISTS (SELECT FROM "
      "pg_collation l WHERE l.oid = p.coll AND NOT l.collisdeterministic) FROM ("
      "SELECT t.oid, a.attname::text, a.atttypid, a.atttypmod, a.attnum, a.attcollation FROM pg_type t "
      "JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped "
      "WHERE t.oid = ANY ($1::oid[]) AND t.typtype = 'c' "
      "UNION ALL SELECT t.oid, '', t.typbasetype, t.typtypmod, 0, t.typcollation FROM pg_type t "
      "WHERE t.oid = ANY ($1::oid[]) AND t.typtype = 'd' "
      "UNION ALL SELECT t.oid, '', t.typelem, -1, 0, 0 FROM pg_type t "
      "WHERE t.oid = ANY ($1::oid[]) AND t.typcategory = 'A' AND t.typelem <> 0 "
      "UNION ALL SELECT r.rngtypid, '', r.rngsubtype, -1, 0, r.rngcollation FROM pg_range r "
      "WHERE r.rngtypid = ANY ($1::oid[]) " +
          multirange + ") AS p (owner, name, type, modifier, place, coll) ORDER BY p.owner, p.place",
      {types});
  for (int i = 0; i < rows.size(); ++i) {
    TypeDefinition* type = find(found, rows, i);
    if (type == nullptr) continue;
    type->parts.push_back({rows.str(i, 1), rows.str(i, 2), oid_at(rows.integer(i, 3)),
                           static_cast<std::int32_t>(rows.integer(i, 4)), rows.boolean(i, 5)});
  }
}

TypesByOid read_definitions(PgConnection& connection, const std::string& types) {
  TypesByOid found = read_heads(connection, types);
  read_parts(connection, types, found);
  const Rows labels = connection.exec("read the labels of enums on " + connection.label(),
                                      "SELECT enumtypid, enumlabel FROM pg_enum WHERE enumtypid = ANY ($1::oid[]) "
                                      "ORDER BY enumtypid, enumsortorder",
                                      {types});
  for (int i = 0; i < labels.size(); ++i) {
    if (TypeDefinition* type = find(found, labels, i)) type->labels.push_back(labels.str(i, 1));
  }
  const Rows checks = connection.exec("read the checks of domains on " + connection.label(),
                                      "SELECT contypid, conname, pg_get_constraintdef(oid) FROM pg_constraint "
                                      "WHERE contypid = ANY ($1::oid[]) AND contype = 'c' ORDER BY contypid, conname",
                                      {types});
  for (int i = 0; i < checks.size(); ++i) {
    if (TypeDefinition* type = find(found, checks, i)) type->checks.push_back({checks.str(i, 1), checks.str(i, 2)});
  }
  return found;
}

}  // namespace

bool TypeDefinition::built_in() const { return oid < kFirstUserTypeOid; }

std::string TypeDefinition::quoted() const { return quote_qualified(name.schema, name.name); }

std::string TypeDefinition::summary() const {
  std::string out;
  for (const TypePart& part : parts) {
    out += (out.empty() ? "" : ", ") + (part.name.empty() ? "" : part.name + " ") + part.type;
  }
  switch (kind) {
    case TypeKind::kComposite:
      return "(" + out + ")";
    case TypeKind::kDomain:
      return out + (not_null ? " NOT NULL" : "");
    case TypeKind::kRange:
      return "a range of " + out + (order.empty() ? "" : " (" + order + ")");
    case TypeKind::kEnum:
      return "an enum";
    default:
      return "a base type";
  }
}

std::string TypeDefinition::create_sql() const {
  std::string body;
  switch (kind) {
    case TypeKind::kEnum:
      for (const std::string& label : labels) body += (body.empty() ? "" : ", ") + quote_literal(label);
      return "CREATE TYPE " + quoted() + " AS ENUM (" + body + ");";
    case TypeKind::kDomain:
      body = parts.at(0).type + (not_null ? " NOT NULL" : "");
      for (const TypeCheck& check : checks) {
        body += " CONSTRAINT " + quote_identifier(check.name) + " " + check.expression;
      }
      return "CREATE DOMAIN " + quoted() + " AS " + body + ";";
    case TypeKind::kComposite:
      if (of_table) return "";
      for (const TypePart& part : parts) {
        body += (body.empty() ? "" : ", ") + quote_identifier(part.name) + " " + part.type;
      }
      return "CREATE TYPE " + quoted() + " AS (" + body + ");";
    case TypeKind::kRange:
      return "CREATE TYPE " + quoted() + " AS RANGE (SUBTYPE = " + parts.at(0).type +
             (order.empty() ? "" : ", " + order) + ");";
    default:
      return "";
  }
}

TypesByOid read_types(PgConnection& connection, const std::vector<std::uint32_t>& types) {
  const Rows rows =
      connection.exec("find what the columns' types on " + connection.label() + " are made of",
                      "WITH RECURSIVE reached (type) AS (SELECT unnest($1::oid[]) UNION "
                      "SELECT m.type FROM reached r JOIN pg_type t ON t.oid = r.type CROSS JOIN LATERAL (" +
                          members(connection.server_major()) + ") AS m) SELECT type FROM reached",
                      {oid_array(types)});
  std::vector<std::uint32_t> reached;
  reached.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) reached.push_back(oid_at(rows.integer(i, 0)));
  return read_definitions(connection, oid_array(reached));
}

std::map<TableName, TypeDefinition> find_types(PgConnection& connection, const std::vector<TableName>& names) {
  std::vector<std::string> schemas;
  std::vector<std::string> types;
  for (const TableName& name : names) {
    schemas.push_back(name.schema);
    types.push_back(name.name);
  }
  const Rows rows = connection.exec("look up the types on " + connection.label(),
                                    "SELECT t.oid FROM unnest($1::text[], $2::text[]) AS w (schema, name) "
                                    "JOIN pg_namespace n ON n.nspname = w.schema "
                                    "JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = w.name",
                                    {text_array(schemas), text_array(types)});
  std::vector<std::uint32_t> oids;
  oids.reserve(static_cast<std::size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) oids.push_back(oid_at(rows.integer(i, 0)));
  std::map<TableName, TypeDefinition> found;
  for (auto& [oid, type] : read_definitions(connection, oid_array(oids))) found.emplace(type.name, std::move(type));
  return found;
}

}  // namespace teal
