#pragma once
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/config.h"
#include "engine/pg_connection.h"
#include "tools/status_report.h"

namespace teal {

/// Reads where a migration stands, again and again, by one session on either side. Threads: one.
class StatusSource {
 public:
  /// `role`: how its sessions appear on the servers; `within`: for each answer, zero: as long as it takes. Lifetime:
  /// `config` outlives it.
  StatusSource(const Config& config, std::string role, std::chrono::seconds within = {}, std::stop_token stop = {});

  /// nullopt: nothing is set up. Errors: PgError; what was connected is connected anew the next time.
  [[nodiscard]] std::optional<MigrationStatus> read();

 private:
  [[nodiscard]] PgConnection connect(bool blue) const;

  const Config& config_;
  const std::string role_;
  const std::chrono::seconds within_;
  const std::stop_token stop_;
  std::optional<PgConnection> blue_;
  std::optional<PgConnection> green_;
};

}  // namespace teal
