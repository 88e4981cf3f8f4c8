#include "tools/known_migrations.h"

#include "tools/link_facts.h"

namespace teal {

std::set<std::string> known_migrations(PgConnection& connection) {
  std::string sql =
      "SELECT substring(name FROM '^teal_([a-z][a-z0-9]*)_(?:blue_to_green|green_to_blue)(?:_ctl)?$') FROM ("
      "SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database() "
      "UNION ALL SELECT pubname::text FROM pg_publication) AS made (name)";
  if (has_control_table(connection, "progress")) sql += " UNION ALL SELECT migration FROM teal.progress";
  const Rows rows = connection.exec("list the migrations on " + connection.label(), sql);
  std::set<std::string> names;
  for (int i = 0; i < rows.size(); ++i) {
    if (!rows.is_null(i, 0)) names.insert(rows.str(i, 0));
  }
  return names;
}

}  // namespace teal
