#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// "Everything that was committed on the source up to now is durable on the target": a marker row goes through the
/// stream, behind everything that was committed before it. With it go the marker, and its answer if that has come; an
/// answer that comes later goes with a later one.
/// Threads: one. Errors: PgError.
class SyncPoint {
 public:
  /// Inserts the marker on the link's source.
  SyncPoint(const Config& config, const LinkNames& names);
  SyncPoint(SyncPoint&&) noexcept = default;
  SyncPoint& operator=(SyncPoint&&) = delete;
  ~SyncPoint();

  /// The marker has been applied; its transaction may not be flushed yet.
  [[nodiscard]] bool applied();

  /// The marker has arrived, and the target has flushed the transaction that brought it.
  /// A target that cannot be asked at the moment has not reached it.
  [[nodiscard]] bool reached();

 private:
  void look();
  void forget(PgConnection& side, const std::string& from) const;
  [[nodiscard]] bool ask(const std::function<bool()>& question);

  ConnectOptions target_connect_;
  LinkNames names_;
  std::string id_;
  std::unique_ptr<PgConnection> source_;  ///< nullptr: moved from
  std::optional<PgConnection> target_;
  std::string insert_lsn_;  ///< of the target after the marker was seen; empty before
};

}  // namespace teal
