#pragma once
#include <optional>
#include <stop_token>
#include <string>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// check_publication, again and again while the link streams, with a session of its own; and what it finds is noted in
/// teal.table_state, and followed until it is settled (departed_partitions.h).
/// Threads: one. What changes and changes back between two looks, or while no teal runs, is noticed only for tables
/// (their entries are new then), not for options.
class PublicationWatch {
 public:
  PublicationWatch(const Config& config, const LinkNames& names, std::stop_token stop);

  /// Returns whether both sides could be asked. Errors: as check_publication and settle_departed.
  bool check();

 private:
  void note_toast(const TableName& table, const std::string& toast);
  void note_gone(const TableName& table);

  ConnectOptions source_connect_;
  ConnectOptions target_connect_;
  LinkNames names_;
  std::stop_token stop_;
  std::optional<PgConnection> source_;
  std::optional<PgConnection> target_;
};

}  // namespace teal
