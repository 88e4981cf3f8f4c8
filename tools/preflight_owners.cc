#include <algorithm>

#include "engine/catalog_columns.h"
#include "tools/preflight_checks.h"

namespace teal {

void note_owners(Preflight& preflight, PgConnection& target, const std::vector<TargetRelation>& targets) {
  const bool altered =
      std::any_of(preflight.report.findings.begin(), preflight.report.findings.end(), [&](const Finding& finding) {
        return finding.side == preflight.target() && finding.mend.find("ALTER TABLE") != std::string::npos;
      });
  if (!altered) return;
  std::vector<std::string> schemas;
  std::vector<std::string> names;
  for (const TargetRelation& relation : targets) {
    schemas.push_back(relation.name.schema);
    names.push_back(relation.name.name);
  }
  const Rows rows = target.exec("read the owners of the tables on " + preflight.target(),
                                "SELECT string_agg(DISTINCT pg_get_userbyid(c.relowner)::text, ', ') "
                                "FROM unnest($1::text[], $2::text[]) AS w (schema, name) "
                                "JOIN pg_namespace n ON n.nspname = w.schema "
                                "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name",
                                {text_array(schemas), text_array(names)});
  if (rows.is_null(0, 0)) return;
  preflight.report.notes.push_back("the tables on " + preflight.target() + " belong to " + rows.str(0, 0) +
                                   ": what alters them is run as their owner there, or as an administrator");
}

}  // namespace teal
