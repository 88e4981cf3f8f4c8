#include "tests/support/link_marker.h"

namespace teal::test {

bool LinkMarker::arrived(Sql& source, Sql& target) {
  if (!id_) {
    id_ = source.value("INSERT INTO teal.marker (migration, link) VALUES (" + sql_text(migration_) + ", " +
                       sql_text(link_) + ") RETURNING id");
  }
  return target.truth("SELECT count(*) > 0 FROM teal.marker_applied WHERE migration = " + sql_text(migration_) +
                      " AND id = " + *id_);
}

}  // namespace teal::test
