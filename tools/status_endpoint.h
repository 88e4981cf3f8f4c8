#pragma once
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/config.h"
#include "tools/http_server.h"
#include "tools/status_source.h"

namespace teal {

/// What `teal run` answers at `http.listen`: /healthz, /readyz, /status.json and /metrics. All but the first read the
/// two databases, at most once a second, within five seconds. Threads: those of its server, from construction to
/// destruction.
class StatusEndpoint {
 public:
  /// Does nothing where no address is configured. Lifetime: `config` outlives it.
  /// Errors: Stopped(kUsage) when the address cannot be had.
  explicit StatusEndpoint(const Config& config);
  StatusEndpoint(const StatusEndpoint&) = delete;
  StatusEndpoint& operator=(const StatusEndpoint&) = delete;
  ~StatusEndpoint();

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::variant<HttpAnswer, HttpServer::Work> find(const std::string& path);
  HttpAnswer answer_status(const std::string& path);
  void look();

  const Config& config_;
  std::stop_source stop_;
  StatusSource source_;     // of the server's worker, as what follows
  MigrationStatus status_;  // as it was read last
  std::string problem_;     // why it could not be read
  Clock::time_point read_at_;
  std::optional<HttpServer> server_;  // last: it uses all of the above
};

}  // namespace teal
