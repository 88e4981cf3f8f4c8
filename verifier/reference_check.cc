#include "verifier/reference_check.h"

#include "engine/pg_error.h"

namespace teal {
namespace {

// A foreign key is compared by the operators that it was made with, parent first, and under the parent's collation.
// Source: ri_triggers.c
const char* const kReferences = R"sql(
, child AS (SELECT oid, min(i) AS i FROM parts GROUP BY 1)
SELECT coalesce(p.i, parent.i), p.i IS NOT NULL, o.conname, o.convalidated, o.confmatchtype = 'f',
  coalesce((to_jsonb(o) ->> 'conperiod')::boolean, false),
  coalesce((to_jsonb(o) ->> 'conenforced')::boolean, true),
  has_schema_privilege(cn.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
  cn.nspname, c.relname, c.relkind = 'p', fn.nspname, f.relname, f.relkind = 'p',
  k.number, ca.attname, fa.attname, 'OPERATOR(' || quote_ident(pn.nspname) || '.' || r.oprname || ')',
  coalesce((SELECT quote_ident(ln.nspname) || '.' || quote_ident(l.collname) FROM pg_collation l
            JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = fa.attcollation), '')
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class f ON f.oid = o.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
LEFT JOIN child p ON p.oid = o.conrelid LEFT JOIN child parent ON parent.oid = o.confrelid
CROSS JOIN LATERAL unnest(o.conkey, o.confkey, o.conpfeqop) WITH ORDINALITY AS k (child, parent, oper, number)
JOIN pg_attribute ca ON ca.attrelid = c.oid AND ca.attnum = k.child
JOIN pg_attribute fa ON fa.attrelid = f.oid AND fa.attnum = k.parent
JOIN pg_operator r ON r.oid = k.oper JOIN pg_namespace pn ON pn.oid = r.oprnamespace
WHERE o.contype = 'f' AND o.conparentid = 0 AND (p.oid IS NOT NULL OR parent.oid IS NOT NULL)
ORDER BY 1, cn.nspname, c.relname, o.conname, k.number
)sql";

struct ReferenceKey {
  std::string child;
  std::string parent;
  std::string oper;
  std::string collation;
};

struct Reference {
  long long table = 0;
  bool of_selected = true;  // else only the table that it refers to is
  std::string name;
  bool validated = true;
  bool match_full = false;
  bool period = false;
  bool enforced = true;
  bool readable = true;
  TableName child;
  bool child_partitioned = false;
  TableName parent;
  bool parent_partitioned = false;
  std::vector<ReferenceKey> keys = {};
};

std::vector<Reference> read_references(SideLook& side) {
  const Rows rows = side.catalog("look at the foreign keys", kReferences);
  std::vector<Reference> references;
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.integer(i, 14) == 1) {
      references.push_back({.table = rows.integer(i, 0),
                            .of_selected = rows.boolean(i, 1),
                            .name = rows.str(i, 2),
                            .validated = rows.boolean(i, 3),
                            .match_full = rows.boolean(i, 4),
                            .period = rows.boolean(i, 5),
                            .enforced = rows.boolean(i, 6),
                            .readable = rows.boolean(i, 7),
                            .child = {rows.str(i, 8), rows.str(i, 9)},
                            .child_partitioned = rows.boolean(i, 10),
                            .parent = {rows.str(i, 11), rows.str(i, 12)},
                            .parent_partitioned = rows.boolean(i, 13)});
    }
    references.back().keys.push_back({rows.str(i, 15), rows.str(i, 16), rows.str(i, 17), rows.str(i, 18)});
  }
  return references;
}

std::string from_sql(const TableName& table, bool partitioned) {
  return (partitioned ? "" : "ONLY ") + quote_qualified(table.schema, table.name);
}

// Without a row that it refers to. MATCH SIMPLE lets a key with any NULL pass, MATCH FULL one that is NULL as a whole.
std::string orphans_sql(const Reference& reference, const std::string& columns, std::size_t limit) {
  std::string own;
  std::string same;
  for (const ReferenceKey& key : reference.keys) {
    own += (own.empty() ? "c." : ", c.") + quote_identifier(key.child);
    same += (same.empty() ? "p." : " AND p.") + quote_identifier(key.parent) + " " + key.oper + " c." +
            quote_identifier(key.child) + (key.collation.empty() ? "" : " COLLATE " + key.collation);
  }
  const std::string from =
      "SELECT " + columns + " FROM " + from_sql(reference.child, reference.child_partitioned) + " c";
  std::string sql = from + " WHERE num_nulls(" + own + ") = 0 AND NOT EXISTS (SELECT FROM " +
                    from_sql(reference.parent, reference.parent_partitioned) + " p WHERE " + same + ")";
  if (reference.match_full) {
    sql += " UNION ALL " + from + " WHERE num_nulls(" + own + ") > 0 AND num_nonnulls(" + own + ") > 0";
  }
  return sql + " LIMIT " + std::to_string(limit);
}

std::string named_values(const Rows& rows, int row, const std::vector<std::string>& names, std::size_t from,
                         std::size_t to) {
  std::string left;
  std::string right;
  for (std::size_t i = from; i < to; ++i) {
    const int column = static_cast<int>(i);
    left += (i == from ? "" : ", ") + names[i];
    right += (i == from ? "" : ", ") + (rows.is_null(row, column) ? "NULL" : rows.str(row, column));
  }
  return "(" + left + ")=(" + right + ")";
}

// A row by its key, where its table is compared and has one, and what it refers to.
BrokenKeys read_orphans(SideLook& side, const Reference& reference, const std::string& operation,
                        std::size_t keys_max) {
  std::vector<std::string> names;
  if (reference.of_selected) {
    for (const ComparedKey& key : side.table(reference.table).key) names.push_back(key.name);
  }
  const std::size_t own = names.size();
  for (const ReferenceKey& key : reference.keys) names.push_back(key.child);
  std::string columns;
  for (const std::string& name : names)
    columns += (columns.empty() ? "c." : ", c.") + quote_identifier(name) + "::text";
  const Rows rows = side.read_only(operation, "", orphans_sql(reference, columns, keys_max + 1));
  BrokenKeys found;
  for (int i = 0; i < rows.size(); ++i) {
    if (found.keys.size() == keys_max) {
      found.more = true;
      break;
    }
    found.keys.push_back((own == 0 ? "" : named_values(rows, i, names, 0, own) + " with ") +
                         named_values(rows, i, names, own, names.size()));
  }
  return found;
}

VerifyFinding about(const SideLook& side, const Reference& reference, FindingWeight weight, std::string text) {
  return {.area = FindingArea::kOrphans,
          .weight = weight,
          .table = to_string(side.table(reference.table).blue.name),
          .side = side.label(),
          .text = std::move(text)};
}

std::string spoken(const Reference& reference) {
  return "foreign key " + reference.name + " of " + to_string(reference.child) + " to " + to_string(reference.parent);
}

void check(SideLook& side, const SettleOptions& options, const Reference& reference,
           std::vector<VerifyFinding>& findings) {
  if (!reference.of_selected && !reference.readable) {
    findings.push_back(about(side, reference, FindingWeight::kNote,
                             spoken(reference) + " was not looked at: teal's role may not read that table, which the "
                                                 "configuration does not select"));
    return;
  }
  const std::string operation = "look for rows that " + spoken(reference) + " should not let be";
  if (reference.period) throw PgError(operation, "it is one over periods", "");
  bool late = false;
  const auto read = [&] { return read_orphans(side, reference, operation, options.keys_max); };
  BrokenKeys broken = settled_keys(options, read, late);
  if (broken.keys.empty()) return;
  VerifyFinding finding = about(side, reference, reference.enforced ? FindingWeight::kWrong : FindingWeight::kMatters,
                                spoken(reference) + ": rows that refer to none; " +
                                    (reference.validated ? "" : "it is NOT VALID, so it may have been so before; ") +
                                    "bring the missing rows back, or delete these");
  if (!reference.validated && reference.enforced) finding.weight = FindingWeight::kMatters;
  if (late) {
    finding.weight = FindingWeight::kUnchecked;
    finding.text =
        spoken(reference) + ": some rows refer to none, and the links did not catch up while they were looked at again";
  }
  finding.keys = std::move(broken.keys);
  finding.more_keys = broken.more;
  findings.push_back(std::move(finding));
}

}  // namespace

std::vector<VerifyFinding> check_references(SideLook& side, const SettleOptions& options, LookProgress& progress) {
  std::vector<Reference> references = read_references(side);
  std::erase_if(references, [&](const Reference& reference) {
    return side.left_out(reference.child) || side.left_out(reference.parent);
  });
  progress.all += references.size();
  std::vector<VerifyFinding> findings;
  for (const Reference& reference : references) {
    try {
      check(side, options, reference, findings);
    } catch (const PgError& error) {
      if (!side.connection().usable() || side.connection().stop_requested()) throw;
      findings.push_back(about(side, reference, FindingWeight::kUnchecked, error.what()));
    }
    ++progress.done;
  }
  return findings;
}

}  // namespace teal
