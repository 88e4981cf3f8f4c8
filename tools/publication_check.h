#pragma once
#include <map>
#include <string>
#include <vector>

#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "tools/link_facts.h"

namespace teal {

/// What the publication shows of copied tables that stops nothing.
struct PublicationChanges {
  std::vector<TableName> gone;  ///< partitions that were detached, or dropped with their rows: the operator repeats it
  std::map<TableName, std::string> toast;  ///< new values of PublishedTable::toast, where they are explained
};

/// Proves that the link's publication has published every change of what is `copied` or `detached` in `states`, as of
/// the copy: no table left it, was put back, made anew, moved to another table or was unlogged for a while, and no
/// operation, row or column is held back. What a publication held back is never sent again (invariant I9).
/// `publication` missing: also broken.
/// Errors: Stopped(kRefused) that names the tables, or the option, and the way on; PgError.
[[nodiscard]] PublicationChanges check_publication(PgConnection& source, const LinkNames& names,
                                                   const std::map<TableName, TableCopyState>& states);

}  // namespace teal
