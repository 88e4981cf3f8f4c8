#include "tools/cutover_report.h"

#include <array>
#include <cstdio>

#include "engine/failpoint.h"
#include "tools/html_text.h"

namespace teal {
namespace {

std::string ms_text(double ms) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), ms < 10 ? "%.1f ms" : "%.0f ms", ms);
  return text.data();
}

std::string verdict(const CutoverReport& report) {
  const std::string where = report.from + " to " + report.to;
  switch (report.result) {
    case CutoverResult::kMoved:
      return "moved: applications write on " + report.to;
    case CutoverResult::kUndone:
      return "undone: applications write on " + report.from + " as before";
    case CutoverResult::kRefused:
      return "refused: nothing was held back, applications write on " +
             (report.writes_on.empty() ? report.from : report.writes_on);
    case CutoverResult::kReady:
      return "ready: nothing stands in the way from " + where;
    case CutoverResult::kBroken:
      return "NOT FINISHED: repeat the command";
  }
  return "";
}

std::string pause_line(const CutoverReport& report) {
  if (report.pause_ms) return "writes waited for " + ms_text(*report.pause_ms);
  if (report.predicted_ms) return "writes would wait for about " + ms_text(*report.predicted_ms);
  return "";
}

std::string list_html(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string html = "<h2>" + html_text(title) + "</h2>\n<ul>\n";
  for (const std::string& item : items) html += "<li>" + html_text(item) + "</li>\n";
  return html + "</ul>\n";
}

}  // namespace

const char* to_string(CutoverResult result) {
  switch (result) {
    case CutoverResult::kMoved:
      return "moved";
    case CutoverResult::kUndone:
      return "undone";
    case CutoverResult::kRefused:
      return "refused";
    case CutoverResult::kReady:
      return "ready";
    case CutoverResult::kBroken:
      return "broken";
  }
  return "";
}

nlohmann::ordered_json CutoverReport::summary() const {
  return {{"result", to_string(result)},
          {"started_at", started_at},
          {"tries", tries},
          {"pause_ms", pause_ms ? nlohmann::ordered_json(*pause_ms) : nlohmann::ordered_json()},
          {"left_at", left_at},
          {"opened_at", opened_at}};
}

nlohmann::ordered_json CutoverReport::json() const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const CutoverStep& step : steps) {
    list.push_back({{"step", step.what}, {"at_ms", step.at_ms}, {"took_ms", step.took_ms}, {"detail", step.detail}});
  }
  nlohmann::ordered_json json{{"name", name},
                              {"from", from},
                              {"to", to},
                              {"result", to_string(result)},
                              {"writes_on", writes_on},
                              {"started_at", started_at},
                              {"tries", tries},
                              {"pause_ms", pause_ms ? nlohmann::ordered_json(*pause_ms) : nlohmann::ordered_json()},
                              {"obstacles", obstacles},
                              {"notes", notes},
                              {"left_at", left_at},
                              {"opened_at", opened_at},
                              {"sequences", sequences},
                              {"steps", std::move(list)}};
  if (predicted_ms) json["predicted_ms"] = *predicted_ms;
  return json;
}

std::string CutoverReport::text() const {
  std::string text;
  for (const std::string& note : notes) text += "note: " + note + "\n";
  for (const std::string& obstacle : obstacles) text += "- " + obstacle + "\n";
  text += verdict(*this);
  if (const std::string pause = pause_line(*this); !pause.empty()) text += "; " + pause;
  if (!sequences.empty())
    text += "; " + std::to_string(sequences.size()) + (sequences.size() == 1 ? " sequence moved" : " sequences moved");
  if (tries > 1) text += "; " + std::to_string(tries) + " tries";
  return text + "\n";
}

std::string CutoverReport::html() const {
  const bool good = result == CutoverResult::kMoved || result == CutoverResult::kReady;
  const char* colour = good ? "good" : result == CutoverResult::kBroken ? "bad" : "doubt";
  std::string body = std::string("<div class=\"verdict ") + colour + "\"><b>" + html_text(verdict(*this)) + "</b><p>" +
                     html_text(pause_line(*this)) + "</p></div>\n<dl><dt>started</dt><dd>" + html_text(started_at) +
                     "</dd><dt>tries</dt><dd>" + std::to_string(tries) + "</dd>";
  if (!left_at.empty()) body += "<dt>" + html_text(from) + " was left at</dt><dd>" + html_text(left_at) + "</dd>";
  if (!opened_at.empty()) body += "<dt>" + html_text(to) + " was opened at</dt><dd>" + html_text(opened_at) + "</dd>";
  body += "</dl>\n" + list_html("What stood in the way", obstacles) + list_html("Good to know", notes);
  body +=
      "<h2>Steps</h2>\n<table><thead><tr><th class=\"n\">at</th><th class=\"n\">took</th><th>step</th><th></th>"
      "</tr></thead><tbody>\n";
  for (const CutoverStep& step : steps) {
    body += "<tr><td class=\"n\">" + ms_text(step.at_ms) + "</td><td class=\"n\">" + ms_text(step.took_ms) +
            "</td><td>" + html_text(step.what) + "</td><td>" + html_text(step.detail) + "</td></tr>\n";
  }
  body += "</tbody></table>\n" + list_html("Sequences that were moved", sequences);
  return html_page("Cutover from " + from + " to " + to + ", " + to_string(result) + ": " + name, body,
                   "times since the command began");
}

CutoverClock::Noted::Noted(CutoverClock& clock, const std::string& what)
    : clock_(clock), at_(clock.report_.steps.size()) {
  TEAL_FAILPOINT("cutover_step");
  clock.report_.steps.push_back({what, clock.now_ms()});
}

CutoverClock::Noted::~Noted() {
  CutoverStep& step = clock_.report_.steps[at_];
  step.took_ms = clock_.now_ms() - step.at_ms;
  TEAL_FAILPOINT("cutover_step");
}

void CutoverClock::detail(const std::string& text) {
  if (!report_.steps.empty()) report_.steps.back().detail = text;
}

double CutoverClock::now_ms() const {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin_).count();
}

}  // namespace teal
