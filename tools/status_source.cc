#include "tools/status_source.h"

#include <utility>

#include "engine/pg_error.h"

namespace teal {

StatusSource::StatusSource(const Config& config, std::string role, std::chrono::seconds within, std::stop_token stop)
    : config_(config), role_(std::move(role)), within_(within), stop_(std::move(stop)) {}

PgConnection StatusSource::connect(bool blue) const {
  ConnectOptions options = connect_options(config_, blue, role_);
  if (within_.count() > 0) options.connect_timeout = within_;
  options.answer_within = within_;
  PgConnection connection = PgConnection::connect(options);
  connection.set_stop_token(stop_);
  return connection;
}

std::optional<MigrationStatus> StatusSource::read() {
  try {
    if (!blue_) blue_.emplace(connect(true));
    if (!green_) green_.emplace(connect(false));
    MigrationStatus status;
    status.links = read_links(config_, *blue_, *green_);
    if (status.links.empty()) return std::nullopt;
    status.name = config_.name;
    status.skew = measure_clock_skew(*blue_, *green_);
    status.verify = read_verify_of(status.links, config_.name, *green_);
    status.verify_max_age = config_.verify.max_age;
    status.cutovers = read_cutovers(*blue_, *green_, config_.name);
    status.verifying = read_verify_progress(*green_, config_.name);
    return status;
  } catch (...) {
    blue_.reset();
    green_.reset();
    throw;
  }
}

}  // namespace teal
