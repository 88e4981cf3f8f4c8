#include "tools/status_endpoint.h"

#include "engine/log.h"
#include "engine/pg_error.h"
#include "tools/metrics.h"

namespace teal {
namespace {

constexpr std::chrono::seconds kReadAgainAfter{1};
constexpr std::chrono::seconds kAnswerWithin{5};

constexpr unsigned kUnavailable = 503;
constexpr unsigned kNotFound = 404;
constexpr const char* kJson = "application/json";
constexpr const char* kMetrics = "text/plain; version=0.0.4; charset=utf-8";

// Whether it does what it is there for.
HttpAnswer ready(const MigrationStatus& status, std::size_t links) {
  if (status.links.empty()) return {.status = kUnavailable, .body = "nothing is set up yet\n"};
  if (status.links.size() < links) return {.status = kUnavailable, .body = "the way back is not open yet\n"};
  HttpAnswer answer{.body = "ready\n"};
  for (const LinkStatus& link : status.links) {
    if (link.phase == "streaming") continue;
    if (answer.status != kUnavailable) answer = {.status = kUnavailable, .body = ""};
    answer.body += "link " + link.link + ": " + link.phase + "\n";
  }
  return answer;
}

}  // namespace

StatusEndpoint::StatusEndpoint(const Config& config)
    : config_(config), source_(config, "http", kAnswerWithin, stop_.get_token()) {
  if (config.http.listen.empty()) return;
  const std::optional<ListenAddress> address = parse_listen_address(config.http.listen);
  if (!address) throw Stopped(StopCode::kBug, "http.listen was not checked: " + config.http.listen);
  server_.emplace(*address, [this](const std::string& path) { return find(path); });
  log_event(LogLevel::kInfo, "answering by http", {{"host", address->host}, {"port", server_->port()}});
}

StatusEndpoint::~StatusEndpoint() { stop_.request_stop(); }

std::variant<HttpAnswer, HttpServer::Work> StatusEndpoint::find(const std::string& path) {
  if (path == "/healthz") return HttpAnswer{.body = "alive\n"};
  if (path == "/readyz" || path == "/status.json" || path == "/metrics") {
    return [this, path] { return answer_status(path); };
  }
  return HttpAnswer{.status = kNotFound, .body = "there are /healthz, /readyz, /status.json and /metrics\n"};
}

HttpAnswer StatusEndpoint::answer_status(const std::string& path) {
  look();
  const bool json = path == "/status.json";
  if (!problem_.empty()) {
    const std::string text = json ? nlohmann::json{{"name", config_.name}, {"error", problem_}}.dump(
                                        -1, ' ', false, nlohmann::json::error_handler_t::replace)
                                  : problem_;
    return {.status = kUnavailable, .type = json ? kJson : HttpAnswer{}.type, .body = text + "\n"};
  }
  if (path == "/readyz") return ready(status_, config_.direction == Direction::kBoth ? 2 : 1);
  if (path == "/metrics") return {.type = kMetrics, .body = metrics_text(status_)};
  return {.type = kJson,
          .body = status_json(status_).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

void StatusEndpoint::look() {
  if (read_at_ != Clock::time_point{} && Clock::now() - read_at_ < kReadAgainAfter) return;
  try {
    status_ = source_.read().value_or(MigrationStatus{.name = config_.name});
    problem_.clear();
  } catch (const PgError& error) {
    problem_ = error.what();
  } catch (const Stopped& stopped) {
    problem_ = stopped.what();
  }
  read_at_ = Clock::now();
}

}  // namespace teal
