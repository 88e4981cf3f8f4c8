#include "tools/cutover_status.h"

#include <array>
#include <cstdio>

#include "tools/status_report.h"

namespace teal {
namespace {

std::string shortened(double value, const char* unit) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.0f %s", value, unit);
  return text.data();
}

// The link that brings what is written now to the other side.
std::string way_back_text(const CutoverHistory& history, std::span<const LinkStatus> links) {
  for (const LinkStatus& link : links) {
    if (link.source != history.writes_on) continue;
    if (link.phase != "streaming") return "no way back at the moment: link " + link.link + " is " + link.phase;
    const std::optional<double> lost = link.lost_in_seconds();
    return "they can go back: link " + link.link + " streams" +
           (lost ? ", its slot may be lost in " + shortened(*lost, "s") : "");
  }
  return "no way back: no link leads from " + history.writes_on;
}

}  // namespace

std::optional<double> last_pause_seconds(const CutoverHistory& history) {
  if (!history.last) return std::nullopt;
  const auto report = history.last->details.find("report");
  if (report == history.last->details.end()) return std::nullopt;
  const auto pause = report->find("pause_ms");
  if (pause == report->end() || !pause->is_number()) return std::nullopt;
  return pause->get<double>() / 1000;
}

std::string cutover_text(const CutoverHistory& history, std::span<const LinkStatus> links) {
  if (!history.last) return "";
  const CutoverEntry& last = *history.last;
  const std::string number = "cutover " + std::to_string(last.number) + " to " + last.to;
  std::string line = "writes     on " + history.writes_on + "; " + number;
  if (last.state == CutoverState::kMoved) {
    line = "writes     were moved to " + last.to + ", WHICH MAY NOT BE OPEN YET; " + number;
  }
  if (!last.ended()) {
    return line + " HAS NOT ENDED (" + std::string(to_string(last.state)) + ", " + shortened(last.seconds_ago, "s") +
           " ago): unless it is at work, repeat teal cutover\n";
  }
  line += last.state == CutoverState::kDone ? ", begun at " : ", undone, begun at ";
  line += last.started_at;
  if (const std::optional<double> pause = last_pause_seconds(history)) {
    line += ", writes waited for " + shortened(*pause * 1000, "ms");
  }
  if (last.state == CutoverState::kDone) line += "; " + way_back_text(history, links);
  return line + "\n";
}

nlohmann::ordered_json cutover_json(const CutoverHistory& history) {
  if (!history.last) return nullptr;
  const std::optional<double> pause = last_pause_seconds(history);
  return {{"writes_on", history.writes_on},
          {"number", history.last->number},
          {"to", history.last->to},
          {"state", to_string(history.last->state)},
          {"started_at", history.last->started_at},
          {"seconds_ago", history.last->seconds_ago},
          {"pause_ms", pause ? nlohmann::ordered_json(*pause * 1000) : nlohmann::ordered_json()}};
}

}  // namespace teal
