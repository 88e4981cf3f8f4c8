#include "verifier/unique_check.h"

#include "engine/pg_error.h"
#include "verifier/collation_check.h"

namespace teal {
namespace {

constexpr std::uint64_t kLargeRows = 1'000'000;  // of which grouping by a key may need a temporary file

// NULL as the operator of a key that is unique by its type's own equality. Two columns come by way of jsonb, because
// old servers do not have them.
const char* const kRules = R"sql(
SELECT p.i, n.nspname, c.relname, c.relkind = 'p', x.relname, o.conname IS NOT NULL,
  NOT i.indimmediate, i.indisvalid AND i.indisready AND i.indislive, moved.oid IS NOT NULL,
  coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), i.indisexclusion,
  coalesce(pg_get_expr(i.indpred, i.indrelid), ''), k.number, k.expression, k.name, coalesce(k.collation, ''), k.known,
  coalesce(k.operator, '')
FROM parts p JOIN pg_class c ON c.oid = p.oid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_index i ON i.indrelid = p.oid AND (i.indisunique OR i.indisexclusion)
JOIN pg_class x ON x.oid = i.indexrelid
LEFT JOIN pg_constraint o ON o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')
LEFT JOIN LATERAL (SELECT m.oid FROM %moved% m WHERE m.oid = ANY (i.indcollation::oid[]) LIMIT 1) moved ON true
CROSS JOIN LATERAL (
  SELECT s.number, pg_get_indexdef(i.indexrelid, s.number, false) AS expression,
    coalesce(a.attname, pg_get_indexdef(i.indexrelid, s.number, true)) AS name,
    (SELECT quote_ident(ln.nspname) || '.' || quote_ident(l.collname) FROM pg_collation l
     JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = i.indcollation[s.number - 1]) AS collation,
    q.opcdefault OR q.opcname LIKE '%pattern_ops' AS known,
    (SELECT 'OPERATOR(' || quote_ident(pn.nspname) || '.' || r.oprname || ')' FROM pg_operator r
     JOIN pg_namespace pn ON pn.oid = r.oprnamespace WHERE r.oid = o.conexclop[s.number]) AS operator
  FROM generate_series(1, i.indnkeyatts) s (number) JOIN pg_opclass q ON q.oid = i.indclass[s.number - 1]
  LEFT JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum = i.indkey[s.number - 1] AND a.attnum > 0
) k
WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
ORDER BY p.i, n.nspname, c.relname, x.relname, k.number
)sql";

struct RuleKey {
  std::string expression;
  std::string name;
  std::string oper;
};

// A unique index, or one that an exclusion constraint has.
struct UniqueRule {
  long long table = 0;
  TableName relation;  // the table or a partition
  bool partitioned = false;
  std::string name;
  bool constraint = false;
  bool deferrable = false;
  bool valid = true;
  bool moved = false;  // its collation is in another version
  bool nulls_are_equal = false;
  bool exclusion = false;
  bool known = true;  // its operator classes have their types' own equality
  std::string predicate;
  std::vector<RuleKey> keys = {};
};

std::vector<UniqueRule> read_rules(SideLook& side) {
  std::string sql = kRules;
  const std::string mark = "%moved%";
  sql.replace(sql.find(mark), mark.size(), moved_collations_sql(side.connection().server_major()));
  const Rows rows = side.catalog("look at the unique rules", sql);
  std::vector<UniqueRule> rules;
  for (int i = 0; i < rows.size(); ++i) {
    if (rows.integer(i, 12) == 1) {
      rules.push_back({.table = rows.integer(i, 0),
                       .relation = {rows.str(i, 1), rows.str(i, 2)},
                       .partitioned = rows.boolean(i, 3),
                       .name = rows.str(i, 4),
                       .constraint = rows.boolean(i, 5),
                       .deferrable = rows.boolean(i, 6),
                       .valid = rows.boolean(i, 7),
                       .moved = rows.boolean(i, 8),
                       .nulls_are_equal = rows.boolean(i, 9),
                       .exclusion = rows.boolean(i, 10),
                       .predicate = rows.str(i, 11)});
    }
    UniqueRule& rule = rules.back();
    rule.known = rule.known && (rule.exclusion || rows.boolean(i, 16));
    const std::string collation = rows.str(i, 15).empty() ? "" : " COLLATE " + rows.str(i, 15);
    rule.keys.push_back({"(" + rows.str(i, 13) + ")" + collation, rows.str(i, 14), rows.str(i, 17)});
  }
  return rules;
}

std::string listed(const UniqueRule& rule, const std::function<std::string(std::size_t)>& item, const char* between) {
  std::string text;
  for (std::size_t i = 0; i < rule.keys.size(); ++i) text += (i == 0 ? "" : between) + item(i);
  return text;
}

std::string key_name(std::size_t i) { return "k" + std::to_string(i); }

// The keys of the rows that the rule speaks of. Rows of tables that inherit from this one are not its own.
std::string ruled_rows_sql(const UniqueRule& rule, const std::string& more) {
  return "(SELECT " +
         listed(
             rule, [&](std::size_t i) { return rule.keys[i].expression + " AS " + key_name(i); }, ", ") +
         more + " FROM " + (rule.partitioned ? "" : "ONLY ") +
         quote_qualified(rule.relation.schema, rule.relation.name) +
         (rule.predicate.empty() ? "" : " WHERE " + rule.predicate) + ")";
}

std::string texts_sql(const UniqueRule& rule, const std::string& of) {
  return listed(rule, [&](std::size_t i) { return of + key_name(i) + "::text"; }, ", ");
}

std::string duplicates_sql(const UniqueRule& rule, std::size_t keys_max) {
  const std::string limit = " LIMIT " + std::to_string(keys_max + 1);
  if (rule.exclusion) {
    const std::string more = ", tableoid AS t, ctid AS c";
    return "SELECT " + texts_sql(rule, "a.") + " FROM " + ruled_rows_sql(rule, more) + " a JOIN " +
           ruled_rows_sql(rule, more) + " b ON (a.t, a.c) < (b.t, b.c) AND " +
           listed(
               rule, [&](std::size_t i) { return "a." + key_name(i) + " " + rule.keys[i].oper + " b." + key_name(i); },
               " AND ") +
           limit;
  }
  const auto plain = [](std::size_t i) { return key_name(i); };
  const std::string names = listed(rule, plain, ", ");
  return "SELECT " + texts_sql(rule, "") + " FROM " + ruled_rows_sql(rule, "") + " q" +
         (rule.nulls_are_equal ? "" : " WHERE num_nulls(" + names + ") = 0") + " GROUP BY " + names +
         " HAVING count(*) > 1" + limit;
}

BrokenKeys read_duplicates(SideLook& side, const UniqueRule& rule, const std::string& operation, std::size_t keys_max) {
  // An exclusion's rows are found by its index alone: every pair of rows would have to be looked at else.
  const std::string settings = rule.exclusion
                                   ? ""
                                   : "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; "
                                     "SET LOCAL enable_bitmapscan = off";
  const Rows rows = side.read_only(operation, settings, duplicates_sql(rule, keys_max));
  BrokenKeys found;
  for (int i = 0; i < rows.size(); ++i) {
    if (found.keys.size() == keys_max) {
      found.more = true;
      break;
    }
    const auto shown = [&](std::size_t k) {
      return rows.is_null(i, static_cast<int>(k)) ? "NULL" : rows.str(i, static_cast<int>(k));
    };
    found.keys.push_back(
        "(" +
        listed(rule, [&](std::size_t k) { return rule.keys[k].name; }, ", ") + ")=(" + listed(rule, shown, ", ") + ")");
  }
  return found;
}

std::string spoken(const UniqueRule& rule) {
  return std::string(rule.deferrable ? "deferrable " : "") +
         (rule.exclusion    ? "exclusion constraint "
          : rule.constraint ? "unique constraint "
                            : "unique index ") +
         rule.name + " of " + to_string(rule.relation);
}

VerifyFinding found_duplicates(const SideLook& side, const UniqueRule& rule, BrokenKeys broken, bool late) {
  VerifyFinding finding{.area = FindingArea::kDuplicates,
                        .weight = rule.valid ? FindingWeight::kWrong : FindingWeight::kMatters,
                        .table = to_string(side.table(rule.table).blue.name),
                        .side = side.label()};
  finding.text = "rows that " + spoken(rule) + " should keep apart" +
                 (rule.valid ? ""
                             : ", which is not valid because of such rows or of a CREATE INDEX CONCURRENTLY that "
                               "ended early") +
                 ": leave one of each, or give the others another key";
  if (late) {
    finding.weight = FindingWeight::kUnchecked;
    finding.text =
        spoken(rule) + ": there are such rows, and the links did not catch up while they were looked at again";
  }
  finding.keys = std::move(broken.keys);
  finding.more_keys = broken.more;
  return finding;
}

bool to_be_looked_at(const SideLook& side, const UniqueRule& rule, bool all) {
  if (rule.deferrable || !rule.valid) return true;
  // What forbids overlaps is kept at once by its index, and no other plan can tell.
  if (rule.exclusion) return false;
  return rule.moved || all || side.table(rule.table).rows <= kLargeRows;
}

}  // namespace

std::vector<VerifyFinding> check_duplicates(SideLook& side, const SettleOptions& options, bool all,
                                            LookProgress& progress) {
  std::vector<UniqueRule> rules = read_rules(side);
  std::erase_if(rules, [&](const UniqueRule& rule) { return !to_be_looked_at(side, rule, all); });
  progress.all += rules.size();
  std::vector<VerifyFinding> findings;
  for (const UniqueRule& rule : rules) {
    const std::string operation = "look for rows that " + spoken(rule) + " should keep apart";
    try {
      if (!rule.known) throw PgError(operation, "its operator class is not the type's own", "");
      bool late = false;
      const auto read = [&] { return read_duplicates(side, rule, operation, options.keys_max); };
      BrokenKeys broken = settled_keys(options, read, late);
      if (!broken.keys.empty()) findings.push_back(found_duplicates(side, rule, std::move(broken), late));
    } catch (const PgError& error) {
      if (!side.connection().usable() || side.connection().stop_requested()) throw;
      findings.push_back({.area = FindingArea::kDuplicates,
                          .weight = FindingWeight::kUnchecked,
                          .table = to_string(side.table(rule.table).blue.name),
                          .side = side.label(),
                          .text = error.what()});
    }
    ++progress.done;
  }
  return findings;
}

}  // namespace teal
