#pragma once
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

struct TargetSessionOptions {
  ConnectOptions connect;
  std::string origin;  ///< acquired before anything is read
  /// on: every commit waits for its flush; off: the caller proves durability by itself (Durability). With synchronous
  /// standbys every commit waits for them, also that of an earlier session that may not have.
  bool synchronous_commit = false;
  /// Where applications write to the same rows: how long to wait for one lock (SQLSTATE 55P03), so that an application
  /// that waits for this session in turn is never the one that finds a deadlock. Half of the server's deadlock_timeout
  /// where that is less. nullopt: no limit.
  std::optional<std::chrono::milliseconds> lock_timeout = {};
};

/// Opens a session that writes rows under an origin: replica role (no triggers, no foreign key checks), plans pinned to
/// index lookups, commits as asked for. What was set is read back.
/// Errors: PgError; Stopped(kRefused) when the server did not take a setting.
[[nodiscard]] PgConnection open_target_session(const TargetSessionOptions& options, std::stop_token stop);

}  // namespace teal
