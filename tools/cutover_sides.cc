#include "tools/cutover_sides.h"

#include "engine/connect_params.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/link_facts.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLockPoll{20};
constexpr milliseconds kPoolerAnswers{1000};

PgConnection connect(const CutoverPlan& plan, bool blue, milliseconds answer_within) {
  ConnectOptions options = connect_options(plan.config, blue, "cutover");
  options.answer_within = answer_within;
  options.connect_timeout = std::max(std::chrono::ceil<std::chrono::seconds>(answer_within), std::chrono::seconds(2));
  return PgConnection::connect(options);
}

// A process that was killed has its session for a moment longer.
void take_lock(PgConnection& side, const std::string& migration, milliseconds patience, const std::stop_token& stop) {
  const auto until = steady_clock::now() + patience;
  for (;;) {
    const Rows taken =
        side.exec("lock out other cutovers on " + side.label(),
                  "SELECT pg_try_advisory_lock(hashtextextended('teal.cutover.' || $1, 0))", {migration});
    if (taken.boolean(0, 0)) return;
    if (steady_clock::now() > until || !pause_for(kLockPoll, stop)) {
      throw Stopped(StopCode::kRefused, "another teal cutover of \"" + migration + "\" is at work (its session on " +
                                            side.label() + " holds the lock): wait until it has ended");
    }
  }
}

}  // namespace

LinkNames CutoverPlan::forward() const {
  return {config.name, std::string(to == "green" ? kBlueToGreen : kGreenToBlue)};
}

CutoverSides::CutoverSides(const CutoverPlan& plan, milliseconds answer_within, milliseconds patience,
                           const std::stop_token& stop)
    : left_(connect(plan, plan.to == "green", answer_within)),
      target_(connect(plan, plan.to != "green", answer_within)),
      left_fence_(left_, plan.config.name, plan.to == "green" ? plan.blue_tables : plan.green_tables),
      target_fence_(target_, plan.config.name, plan.to == "green" ? plan.green_tables : plan.blue_tables) {
  take_lock(blue(), plan.config.name, patience, stop);
  take_lock(green(), plan.config.name, patience, stop);
}

PoolerTarget pooler_target(const Config& config, const PgBouncerConfig& pooler, bool green) {
  const std::string& own = green ? pooler.green : pooler.blue;
  const ConnectParams params = connect_params(
      {.conninfo = own.empty() ? (green ? config.green : config.blue) : own, .label = "", .application_name = ""});
  PoolerTarget target;
  for (std::size_t i = 0; i < params.keys.size(); ++i) {
    const std::string& key = params.keys[i];
    if (key == "host" || (key == "hostaddr" && target.host.empty())) target.host = params.values[i];
    if (key == "port") target.port = params.values[i];
    if (key == "dbname") target.dbname = params.values[i];
  }
  if (target.port.empty()) target.port = "5432";
  if (target.host.empty() || target.dbname.empty()) {
    throw Stopped(StopCode::kUsage, "cutover.pgbouncer: nothing says where " + pooler.config + " reaches " +
                                        (green ? "green" : "blue") + "; give it " + (green ? "green" : "blue") +
                                        ": \"host=... port=... dbname=...\"");
  }
  return target;
}

std::string conninfo_at(const ConnectOptions& options, const PoolerTarget& target) {
  const ConnectParams params = connect_params(options);
  std::string text;
  const auto add = [&](const std::string& key, const std::string& value) {
    text += key + "='";
    for (const char c : value) text += (c == '\'' || c == '\\' ? "\\" : "") + std::string(1, c);
    text += "' ";
  };
  for (std::size_t i = 0; i < params.keys.size(); ++i) {
    const std::string& key = params.keys[i];
    if (key != "host" && key != "hostaddr" && key != "port" && key != "dbname") add(key, params.values[i]);
  }
  add("host", target.host);
  add("port", target.port);
  add("dbname", target.dbname);
  return text;
}

std::vector<std::unique_ptr<Pooler>> open_poolers(const CutoverPlan& plan) {
  std::vector<std::unique_ptr<Pooler>> poolers;
  poolers.reserve(plan.limits.pgbouncer.size());
  for (const PgBouncerConfig& one : plan.limits.pgbouncer) {
    poolers.push_back(std::make_unique<Pooler>(
        PoolerOptions{.admin = one.admin, .database = one.database, .config = one.config}, kPoolerAnswers));
  }
  return poolers;
}

}  // namespace teal
