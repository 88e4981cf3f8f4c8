#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// Proves that the link's publication has published every change of `copied` (table to PublishedTable::entry, as of
/// the copy): no table left it, was put back or made anew, and no operation, row or column is held back. What a
/// publication held back is never sent again (invariant I9). `publication` missing: also broken.
/// Returns partitions that are gone: detached, or dropped with their rows, which is for the operator to repeat.
/// Errors: Stopped(kRefused) that names the tables, or the option; PgError.
std::vector<TableName> check_publication(PgConnection& source, const LinkNames& names,
                                         const std::map<TableName, std::string>& copied);

/// The same, again and again while the link streams, with a session of its own.
/// Threads: one. What changes and changes back between two looks, or while no teal runs, is noticed only for tables
/// (their entries are new then), not for options.
class PublicationWatch {
 public:
  PublicationWatch(const Config& config, const LinkNames& names);

  /// Returns whether both sides could be asked. Errors: as check_publication.
  bool check();

 private:
  ConnectOptions source_connect_;
  ConnectOptions target_connect_;
  LinkNames names_;
  std::optional<PgConnection> source_;
  std::optional<PgConnection> target_;
};

}  // namespace teal
