#include "tests/support/link_marker.h"

namespace teal::test {

bool LinkMarker::arrived(Sql& blue, Sql& green) {
  if (!id_) {
    id_ = blue.value("INSERT INTO teal.marker (migration, link) VALUES (" + sql_text(migration_) +
                     ", 'blue_to_green') RETURNING id");
  }
  return green.truth("SELECT count(*) > 0 FROM teal.marker_applied WHERE migration = " + sql_text(migration_) +
                     " AND id = " + *id_);
}

}  // namespace teal::test
