#include "engine/catalog_extensions.h"

#include "engine/catalog_columns.h"

namespace teal {

std::vector<ExtensionState> read_extensions(PgConnection& source, PgConnection& target) {
  const Rows there = source.exec("read the extensions of " + source.label(),
                                 "SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n "
                                 "ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY e.oid");
  std::vector<std::string> names;
  std::vector<ExtensionState> extensions;
  for (int i = 0; i < there.size(); ++i) {
    names.push_back(there.str(i, 0));
    extensions.push_back({.name = there.str(i, 0), .schema = there.str(i, 1)});
  }
  if (names.empty()) return extensions;
  const Rows here =
      target.exec("look up the extensions on " + target.label(),
                  "SELECT e.oid IS NOT NULL, a.name IS NOT NULL, coalesce((v.trusted OR NOT v.superuser) AND "
                  "has_database_privilege(current_database(), 'CREATE') OR r.rolsuper, false) "
                  "FROM unnest($1::text[]) WITH ORDINALITY AS w (name, place) "
                  "JOIN pg_roles r ON r.rolname = current_user LEFT JOIN pg_extension e ON e.extname = w.name "
                  "LEFT JOIN pg_available_extensions a ON a.name = w.name "
                  "LEFT JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version "
                  "ORDER BY w.place",
                  {text_array(names)});
  for (int i = 0; i < here.size(); ++i) {
    ExtensionState& extension = extensions[static_cast<std::size_t>(i)];
    extension.installed = here.boolean(i, 0);
    extension.available = here.boolean(i, 1);
    extension.may_create = here.boolean(i, 2);
  }
  return extensions;
}

}  // namespace teal
