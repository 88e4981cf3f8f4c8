#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stop_token>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/run_lock.h"
#include "tools/archive.h"
#include "tools/commands.h"
#include "tools/confirm.h"
#include "tools/cutover_journal.h"
#include "tools/deprovision.h"
#include "tools/exit_code.h"
#include "tools/known_migrations.h"
#include "tools/link_facts.h"
#include "tools/signals.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kLockPatience{5'000};  // a teal that just ended still holds its lock for a moment

bool confirmed(const std::string& name) {
  return confirm(
      "End the migration \"" + name + "\": drop its slots, publications, origins and progress on both sides?",
      "finish ends the migration \"" + name + "\" for good");
}

std::optional<PgConnection> connect_side(const Config& config, bool blue, bool force, std::vector<Leftover>& left) {
  try {
    return PgConnection::connect(connect_options(config, blue, "finish"));
  } catch (const PgError& error) {
    if (!force || stop_code(error) != StopCode::kUnreachable) throw;
    left.push_back({blue ? "blue" : "green", "not reached: " + error.text(),
                    "repeat teal finish when it is back; a slot that stays keeps its WAL"});
    return std::nullopt;
  }
}

// A name that nothing has may be a slip: what is there then is listed.
std::set<std::string> other_migrations(const std::string& name, PgConnection* blue, PgConnection* green) {
  std::set<std::string> others;
  for (PgConnection* side : {blue, green}) {
    if (side != nullptr) others.merge(known_migrations(*side));
  }
  others.erase(name);
  return others;
}

void print(const DeprovisionReport& report, const std::string& name, const std::set<std::string>& others,
           bool as_json) {
  if (as_json) {
    nlohmann::ordered_json json;
    json["finished"] = report.left.empty();
    json["removed"] = report.removed;
    json["left"] = nlohmann::ordered_json::array();
    for (const Leftover& left : report.left) {
      json["left"].push_back({{"side", left.side}, {"what", left.what}, {"mend", left.mend}});
    }
    json["others"] = others;
    std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return;
  }
  for (const std::string& line : report.removed) std::cout << "removed " << line << "\n";
  for (const Leftover& left : report.left) {
    std::cout << "left " << left.side << ": " << left.what << "\n  mend: " << left.mend << "\n";
  }
  if (!report.left.empty()) return;
  if (!report.removed.empty() || others.empty()) {
    std::cout << "nothing of \"" << name << "\" is left\n";
    return;
  }
  std::cout << "there was nothing of \"" << name << "\"; migrations that are there:";
  for (const std::string& other : others) std::cout << " " << other;
  std::cout << "\n";
}

// The name could be another configuration's, with another green: its slot is not ours to drop.
void check_claim(const Config& config, PgConnection& blue, PgConnection& green) {
  const std::optional<LinkTarget> claimed = read_link_target(blue, forward_link(config));
  const ServerFacts facts = read_server_facts(green);
  const std::optional<LinkRow> row = read_link_row(green, forward_link(config));
  if (row && row->source_system_id != read_server_facts(blue).system_id) {
    throw Stopped(StopCode::kRefused, "on green, the migration \"" + config.name +
                                          "\" comes from another blue (system identifier " + row->source_system_id +
                                          "): use that one's configuration; if it is gone for good, teal finish "
                                          "--force");
  }
  if (!claimed || *claimed == LinkTarget{facts.system_id, facts.database}) return;
  throw Stopped(StopCode::kRefused, "on blue, the migration \"" + config.name + "\" belongs to another green (" +
                                        to_string(*claimed) +
                                        "): use that one's configuration; if it is gone for good, teal finish --force");
}

// Before anything is taken away: what fails here leaves all as it was.
void archive(const Config& config, const std::string& file, std::optional<PgConnection>& blue,
             std::optional<PgConnection>& green) {
  if (!blue || !green) throw Stopped(StopCode::kUsage, "--archive needs both sides");
  const CutoverHistory history = read_cutovers(*blue, *green, config.name);
  if (!history.last) {
    throw Stopped(StopCode::kUsage,
                  "--archive: no cutover has left a side of \"" + config.name + "\"; dump it with pg_dump");
  }
  const SignalStop signals;
  const bool left_blue = history.writes_on == "green";
  archive_side(config, left_blue, file, signals.token());
  log_event(LogLevel::kInfo, "archived", {{"side", left_blue ? "blue" : "green"}, {"file", file}});
}

// Who finishes in the middle of a cutover would leave two writable sides, or none.
void refuse_within_cutover(const Config& config, std::optional<PgConnection>& blue,
                           std::optional<PgConnection>& green) {
  if (!blue || !green) return;
  const CutoverHistory history = read_cutovers(*blue, *green, config.name);
  if (!history.last || history.last->ended()) return;
  throw Stopped(StopCode::kRefused, "cutover " + std::to_string(history.last->number) + " to " + history.last->to +
                                        " has not ended: teal cutover --recover ends it, then repeat teal finish");
}

}  // namespace

int finish_command(const Config& config, const OutputOptions& output, const FinishOptions& options) {
  if (!options.yes && !confirmed(config.name)) {
    std::cerr << "nothing was changed\n";
    return static_cast<int>(StopCode::kRefused);
  }
  std::vector<Leftover> unreached;
  std::optional<PgConnection> blue = connect_side(config, true, options.force, unreached);
  std::optional<PgConnection> green = connect_side(config, false, options.force, unreached);
  if (!blue && !green) throw Stopped(StopCode::kUnreachable, "neither side can be reached: " + unreached[0].what);
  // A teal that still copies does not read its slot yet, so the slot alone does not tell that it is there.
  std::optional<RunLock> lock;
  if (green) lock.emplace(connect_options(config, false, "finish"), config.name, kLockPatience, std::stop_token());
  if (blue && green && !options.force) {
    check_claim(config, *blue, *green);
    refuse_within_cutover(config, blue, green);
  }
  if (!options.archive.empty()) archive(config, options.archive, blue, green);
  DeprovisionReport report = deprovision(config.name, blue ? &*blue : nullptr, green ? &*green : nullptr);
  const bool own_done = report.left.empty();
  report.left.insert(report.left.end(), unreached.begin(), unreached.end());
  print(report, config.name, other_migrations(config.name, blue ? &*blue : nullptr, green ? &*green : nullptr),
        output.json);
  // With --force, the side that is gone is no failure.
  return own_done ? 0 : static_cast<int>(StopCode::kRefused);
}

}  // namespace teal
