#pragma once
#include <functional>
#include <optional>
#include <string>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// "Everything that was committed on the source up to now is durable on the target": a marker row goes through the
/// stream, behind everything that was committed before it.
/// Threads: one. Errors: PgError.
class SyncPoint {
 public:
  /// Inserts the marker on the link's source.
  SyncPoint(const Config& config, const LinkNames& names);

  /// The marker has been applied; its transaction may not be flushed yet.
  [[nodiscard]] bool applied();

  /// The marker has arrived, and the target has flushed the transaction that brought it.
  /// A target that cannot be asked at the moment has not reached it.
  [[nodiscard]] bool reached();

 private:
  void look();
  [[nodiscard]] bool ask(const std::function<bool()>& question);

  ConnectOptions target_connect_;
  LinkNames names_;
  std::string id_;
  std::optional<PgConnection> target_;
  std::string insert_lsn_;  ///< of the target after the marker was seen; empty before
};

}  // namespace teal
