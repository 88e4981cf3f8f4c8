#include "tools/verify_progress.h"

#include <cstdlib>

#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr const char* kTable = "verify_progress";

nlohmann::ordered_json json_of(const VerifyProgress& progress) {
  return {
      {"table", progress.table},
      {"resting", progress.resting},
      {"tables_done", progress.tables_done},
      {"tables", progress.tables},
      {"ranges_done", progress.ranges_done},
      {"ranges", progress.ranges},
      {"range_states", progress.range_states},
      {"ranges_per_state", progress.ranges_each},
      {"last_ranges",
       {{"equal", progress.last.equal}, {"unchecked", progress.last.unchecked}, {"differs", progress.last.differs}}},
      {"counters",
       {{"passes", progress.passes},
        {"rows", progress.rows},
        {"ranges", progress.compared_ranges},
        {"keys", progress.keys},
        {"differences", progress.differences},
        {"interruptions", progress.interruptions}}}};
}

VerifyProgress progress_of(const nlohmann::json& json) {
  VerifyProgress progress;
  if (!json.is_object()) return progress;
  progress.table = json.value("table", "");
  progress.resting = json.value("resting", "");
  const auto number = [](const nlohmann::json& object, const char* name) {
    return object.value(name, std::uint64_t{0});
  };
  progress.tables_done = number(json, "tables_done");
  progress.tables = number(json, "tables");
  progress.ranges_done = number(json, "ranges_done");
  progress.ranges = number(json, "ranges");
  progress.range_states = json.value("range_states", "");
  progress.ranges_each = json.value("ranges_per_state", std::uint64_t{1});
  const nlohmann::json last = json.value("last_ranges", nlohmann::json::object());
  progress.last = {number(last, "equal"), number(last, "unchecked"), number(last, "differs")};
  const nlohmann::json counters = json.value("counters", nlohmann::json::object());
  progress.passes = number(counters, "passes");
  progress.rows = number(counters, "rows");
  progress.compared_ranges = number(counters, "ranges");
  progress.keys = number(counters, "keys");
  progress.differences = number(counters, "differences");
  progress.interruptions = number(counters, "interruptions");
  return progress;
}

}  // namespace

void keep_verify_progress(PgConnection& green, const std::string& migration, const VerifyProgress& progress) {
  green.exec_often("keep how far the comparison is",
                   "INSERT INTO teal.verify_progress (migration, progress) VALUES ($1, $2) ON CONFLICT (migration) DO "
                   "UPDATE SET progress = excluded.progress, updated_at = excluded.updated_at",
                   {migration, json_of(progress).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)});
}

std::optional<VerifyRunning> read_verify_progress(PgConnection& green, const std::string& migration) {
  if (!has_control_table(green, kTable)) return std::nullopt;
  const Rows rows = green.exec("read how far the comparison is",
                               "SELECT progress, extract(epoch FROM clock_timestamp() - updated_at) FROM "
                               "teal.verify_progress WHERE migration = $1",
                               {migration});
  if (rows.empty()) return std::nullopt;
  return VerifyRunning{progress_of(nlohmann::json::parse(rows.str(0, 0), nullptr, false)),
                       std::strtod(rows.str(0, 1).c_str(), nullptr)};
}

std::string verify_running_text(const std::optional<VerifyRunning>& running) {
  if (!running || !running->active()) return "";
  const VerifyProgress& progress = running->progress;
  std::string out = "verifying  ";
  if (!progress.resting.empty()) {
    out += "rests: " + progress.resting;
  } else if (progress.table.empty()) {
    out += "between two passes";
  } else {
    out += progress.table + ", range " + std::to_string(progress.ranges_done + 1) + " of about " +
           std::to_string(progress.ranges) + ", " + std::to_string(progress.tables_done) + " of " +
           std::to_string(progress.tables) + " tables done";
  }
  return out + "; " + std::to_string(progress.passes) + " passes, " + std::to_string(progress.rows) + " rows, " +
         std::to_string(progress.keys) + " changed rows, " + std::to_string(progress.differences) + " differences\n";
}

nlohmann::ordered_json verify_running_json(const std::optional<VerifyRunning>& running) {
  if (!running) return nullptr;
  nlohmann::ordered_json json = json_of(running->progress);
  json["active"] = running->active();
  json["updated_seconds_ago"] = running->seconds_ago;
  return json;
}

}  // namespace teal
