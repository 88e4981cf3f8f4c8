#include "tools/verify_html.h"

#include <algorithm>
#include <cstdio>

#include "tools/html_text.h"

namespace teal {
namespace {

const char* colour(TableVerdict verdict) {
  switch (verdict) {
    case TableVerdict::kEqual:
      return "good";
    case TableVerdict::kDiffers:
      return "bad";
    case TableVerdict::kUnchecked:
      return "doubt";
  }
  return "";
}

const char* colour(FindingWeight weight) {
  switch (weight) {
    case FindingWeight::kWrong:
      return "bad";
    case FindingWeight::kUnchecked:
    case FindingWeight::kMatters:
      return "doubt";
    case FindingWeight::kNote:
      return "";
  }
  return "";
}

// 1234567 as 1 234 567.
std::string number(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, "\xC2\xA0");
  }
  return digits;
}

std::string duration(double seconds) {
  char text[40];
  if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else {
    const auto minutes = static_cast<std::uint64_t>(seconds / 60);
    std::snprintf(text, sizeof text, "%llu h %llu min", static_cast<unsigned long long>(minutes / 60),
                  static_cast<unsigned long long>(minutes % 60));
  }
  return text;
}

std::string coloured(const char* kind, const std::string& text) {
  return std::string("<span class=\"") + kind + "\">" + html_text(text) + "</span>";
}

std::string list_of(const std::vector<std::string>& keys, bool more) {
  std::string html = "<ul class=\"key\">";
  for (const std::string& key : keys) html += "<li>" + html_text(key) + "</li>";
  if (more) html += "<li>and more</li>";
  return html + "</ul>";
}

std::size_t count_of(const BeyondRows& beyond, FindingWeight weight) {
  return static_cast<std::size_t>(std::count_if(beyond.findings.begin(), beyond.findings.end(),
                                                [&](const VerifyFinding& one) { return one.weight == weight; }));
}

std::size_t count_of(std::span<const TableResult> results, TableVerdict verdict) {
  return static_cast<std::size_t>(
      std::count_if(results.begin(), results.end(), [&](const TableResult& one) { return one.verdict() == verdict; }));
}

std::string counted(std::size_t count, const char* one, const char* many) {
  return number(count) + " " + (count == 1 ? one : many);
}

std::string verdict_html(std::span<const TableResult> results, const BeyondRows& beyond) {
  const TableVerdict verdict = overall(overall(results), beyond);
  const std::size_t tables = count_of(results, TableVerdict::kDiffers);
  const std::size_t wrong = count_of(beyond, FindingWeight::kWrong);
  const std::size_t doubts = count_of(results, TableVerdict::kUnchecked) + count_of(beyond, FindingWeight::kUnchecked);
  std::string words;
  std::string more;
  switch (verdict) {
    case TableVerdict::kEqual:
      words = "Blue and green hold the same rows.";
      more = "Every row of the tables below was compared, or had been by an earlier run that a note names.";
      break;
    case TableVerdict::kDiffers:
      words = "Blue and green are not as they should be.";
      if (tables > 0) more = counted(tables, "table differs", "tables differ") + ".";
      if (wrong > 0) {
        more += (more.empty() ? "" : " ") + counted(wrong, "thing is", "things are") + " wrong besides: see below.";
      }
      break;
    case TableVerdict::kUnchecked:
      words = "Nothing that differs was found, but not everything could be checked.";
      break;
  }
  if (doubts > 0) {
    more += (more.empty() ? "" : " ") + counted(doubts, "thing", "things") + " could not be fully checked; " +
            "the reasons are below.";
  }
  const std::size_t matters = count_of(beyond, FindingWeight::kMatters);
  if (matters > 0) {
    more += " " + counted(matters, "finding matters", "findings matter") + " before the application moves.";
  }
  if (!beyond.looked) more += " Only rows were looked at.";
  return std::string("<div class=\"verdict ") + colour(verdict) + "\"><b>" + html_text(words) + "</b><p>" +
         html_text(more) + "</p></div>\n";
}

std::string facts_html(const VerifyRun& run, std::span<const TableResult> results) {
  std::uint64_t rows = 0;
  for (const TableResult& result : results) rows += result.rows;
  std::string html = "<dl>";
  const auto fact = [&](const char* name, const std::string& value) {
    html += std::string("<dt>") + name + "</dt><dd>" + html_text(value) + "</dd>";
  };
  const auto server = [](const VerifiedSide& side) { return side.address + ", PostgreSQL " + side.version; };
  fact("Migration", run.name);
  fact("Begun", run.started);
  fact("Took", duration(run.seconds));
  fact("Compared",
       counted(results.size(), "table", "tables") + ", " + number(rows) + " rows" +
           (run.seconds > 0
                ? ", " + number(static_cast<std::uint64_t>(static_cast<double>(rows) / run.seconds)) + " a second"
                : ""));
  fact("Blue", server(run.blue));
  fact("Green", server(run.green));
  fact("Meanwhile",
       run.links_ran ? "replication ran; rows that were on their way were waited for" : "no replication ran");
  fact("Rows hashed", run.hashed_here ? "by teal, 128 bits each" : "by the servers, twice 64 bits each");
  for (const std::string& note : run.notes) fact("Note", note);
  return html + "</dl>\n";
}

std::string repair_html(const std::string& text) {
  return text.empty() ? "" : "<h2>Repair</h2>\n<pre>" + html_text(text) + "</pre>\n";
}

std::string findings_html(const BeyondRows& beyond) {
  if (!beyond.looked) return "";
  std::string html = "<h2>Besides rows</h2>\n";
  if (beyond.findings.empty()) {
    return html +
           "<p>Definitions, sequences, foreign keys, unique rules and collations were looked at; nothing was "
           "found.</p>\n";
  }
  html += "<table><thead><tr><th>Weight</th><th>What</th><th>Where</th><th>Finding</th></tr></thead><tbody>\n";
  for (const VerifyFinding& finding : by_weight(beyond.findings)) {
    html += "<tr><td>" + coloured(colour(finding.weight), word(finding.weight)) + "</td><td>" + word(finding.area) +
            "</td><td>" + html_text(finding.side.empty() ? "both" : finding.side) +
            (finding.table.empty() ? "" : "<br/>" + html_text(finding.table)) + "</td><td>" + html_text(finding.text);
    if (!finding.keys.empty()) {
      html += "<details open=\"open\"><summary>" + counted(finding.keys.size(), "row", "rows") +
              (finding.more_keys ? " and more" : "") + "</summary>" + list_of(finding.keys, finding.more_keys) +
              "</details>";
    }
    html += "</td></tr>\n";
  }
  return html + "</tbody></table>\n";
}

std::string table_row(const TableResult& result) {
  std::string html = "<tr><td>" + html_text(to_string(result.table.blue.name)) + "</td><td>" +
                     coloured(colour(result.verdict()), word(result.verdict())) + "</td><td class=\"n\">" +
                     number(result.rows) + "</td><td>";
  std::vector<std::string> keys;
  keys.reserve(result.differences.size());
  for (const Difference& difference : result.differences) {
    keys.push_back(std::string(word(difference.kind)) + ": " + key_text(result.table, difference));
  }
  if (!keys.empty()) {
    html += "<details open=\"open\"><summary>" + counted(keys.size(), "row that is", "rows that are") +
            " not the same</summary>" + list_of(keys, result.unnamed > 0) + "</details>";
  }
  const std::vector<std::string> reasons = doubts(result);
  if (!reasons.empty()) html += "Not checked:" + list_of(reasons, false);
  return html + "</td></tr>\n";
}

// Those that differ first, then those with doubts.
std::string tables_html(std::span<const TableResult> results) {
  std::string html =
      "<h2>Tables</h2>\n<table><thead><tr><th>Table</th><th>Result</th><th class=\"n\">Rows</th><th></th></tr></thead>"
      "<tbody>\n";
  for (const TableVerdict verdict : {TableVerdict::kDiffers, TableVerdict::kUnchecked, TableVerdict::kEqual}) {
    for (const TableResult& result : results) {
      if (result.verdict() == verdict) html += table_row(result);
    }
  }
  return html + "</tbody></table>\n";
}

constexpr const char* kWords = R"html(<h2>What the words mean</h2>
<dl>
<dt>Blue, green</dt><dd>the database that the application comes from, and the one it moves to</dd>
<dt>equal</dt><dd>every row of the table is on both sides, with the same values</dd>
<dt>differs</dt><dd>the rows named are not the same on both sides, and nothing was on its way that would change that</dd>
<dt>not fully checked</dt><dd>nothing was found that differs, and something could not be compared, for the reason given</dd>
<dt>wrong</dt><dd>rows break a rule of their database, or the next insert will fail</dd>
<dt>matters</dt><dd>the sides are not alike in a way that the application will notice, or something is to be mended</dd>
<dt>note</dt><dd>worth knowing; nothing goes wrong by it alone</dd>
<dt>Rows</dt><dd>those of blue that were compared</dd>
</dl>
)html";

}  // namespace

std::string verify_html(const VerifyRun& run, std::span<const TableResult> results, const BeyondRows& beyond,
                        const std::string& repair) {
  const std::string title = "Blue and green compared: " + run.name;
  return html_page(title,
                   verdict_html(results, beyond) + facts_html(run, results) + repair_html(repair) +
                       findings_html(beyond) + tables_html(results) + kWords,
                   "keys of rows are shown, their other values are not");
}

}  // namespace teal
