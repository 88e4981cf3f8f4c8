#include "tools/kept_verdicts.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "tools/link_facts.h"

namespace teal {
namespace {

constexpr const char* kTable = "verify_state";
const std::string kWrongBesides = "wrong besides rows: ";

const char* word(TableVerdict verdict) {
  switch (verdict) {
    case TableVerdict::kEqual:
      return "equal";
    case TableVerdict::kDiffers:
      return "differs";
    case TableVerdict::kUnchecked:
      break;
  }
  return "unchecked";
}

const char* in_words(TableVerdict verdict) {
  return verdict == TableVerdict::kUnchecked ? "not fully checked" : word(verdict);
}

TableVerdict verdict_of(std::string_view text) {
  if (text == "equal") return TableVerdict::kEqual;
  return text == "differs" ? TableVerdict::kDiffers : TableVerdict::kUnchecked;
}

// What is to be kept of a table: the verdict, and lines that say why.
struct Kept {
  TableVerdict verdict = TableVerdict::kEqual;
  std::string reasons;

  void add(const std::string& reason) { reasons += (reasons.empty() ? "" : "\n") + reason; }
  void doubt(const std::string& reason) {
    if (verdict == TableVerdict::kEqual) verdict = TableVerdict::kUnchecked;
    add(reason);
  }
  void wrong(const std::string& reason) {
    verdict = TableVerdict::kDiffers;
    add(kWrongBesides + reason);
  }
};

Kept rows_kept(const VerdictNote& note) {
  const TableResult& result = note.result;
  Kept kept{.verdict = result.verdict(), .reasons = ""};
  for (const std::string& obstacle : result.obstacles) kept.add(obstacle);
  if (result.in_flux > 0) kept.add(std::to_string(result.in_flux) + " rows kept changing, or were still on their way");
  if (result.unnamed > 0) kept.add(std::to_string(result.unnamed) + " further parts are not the same");
  if (note.whole) return kept;
  kept.doubt(result.ranges_before == 0 ? "parts of it were not compared"
                                       : std::to_string(result.ranges_before) + " of " + std::to_string(result.ranges) +
                                             " ranges were compared by earlier runs");
  return kept;
}

// What belongs to none of the tables that were compared is in the way of them all.
bool concerns(const VerifyFinding& finding, const TableName& name, const std::set<std::string>& compared) {
  return finding.table == to_string(name) || !compared.contains(finding.table);
}

void add_findings(Kept& kept, const BeyondRows& beyond, const TableName& name, const std::set<std::string>& compared) {
  for (const VerifyFinding& finding : beyond.findings) {
    if (!concerns(finding, name, compared)) continue;
    std::string text = (finding.side.empty() ? "" : finding.side + ": ") + finding.text;
    std::replace(text.begin(), text.end(), '\n', ' ');
    if (finding.weight == FindingWeight::kWrong) kept.wrong(text);
    if (finding.weight == FindingWeight::kUnchecked) kept.doubt(text);
  }
}

// Who compares rows alone knows nothing new of the rest.
void add_found_before(Kept& kept, PgConnection& green, const Config& config, const TableName& name) {
  const Rows rows = green.exec_often("read what was found besides rows",
                                     "SELECT reasons FROM teal.verify_state WHERE migration = $1 AND schema_name = $2 "
                                     "AND table_name = $3",
                                     {config.name, name.schema, name.name});
  if (rows.empty()) return;
  std::istringstream lines(rows.str(0, 0));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kWrongBesides)) kept.wrong(line.substr(kWrongBesides.size()));
  }
}

std::string age_text(double seconds) {
  std::array<char, 40> text{};
  const double age = std::max(seconds, 0.0);
  const int length = age < 120    ? std::snprintf(text.data(), text.size(), "%.0f s ago", age)
                     : age < 7200 ? std::snprintf(text.data(), text.size(), "%.0f min ago", age / 60)
                                  : std::snprintf(text.data(), text.size(), "%.0f h ago", age / 3600);
  return {text.data(), static_cast<std::size_t>(length)};
}

bool is_old(const LastVerify& last, std::chrono::milliseconds max_age) {
  return last.age_seconds() > std::chrono::duration<double>(max_age).count();
}

// A table that is equal needs no line of its own.
std::string table_text(const KeptVerdict& table) {
  if (table.verdict == TableVerdict::kEqual) return "";
  std::string out = "  " + to_string(table.table) + "  " + in_words(table.verdict);
  if (table.differences > 0) out += ", " + std::to_string(table.differences) + " rows";
  out += ", " + age_text(table.seconds_ago);
  std::string reasons = table.reasons;
  for (std::size_t at = 0; (at = reasons.find('\n', at)) != std::string::npos; at += 3) reasons.replace(at, 1, "; ");
  return out + (reasons.empty() ? "" : ": " + reasons) + "\n";
}

}  // namespace

TableVerdict LastVerify::verdict() const {
  TableVerdict verdict = never.empty() ? TableVerdict::kEqual : TableVerdict::kUnchecked;
  for (const KeptVerdict& table : tables) {
    if (table.verdict == TableVerdict::kDiffers) return TableVerdict::kDiffers;
    if (table.verdict == TableVerdict::kUnchecked) verdict = TableVerdict::kUnchecked;
  }
  return verdict;
}

double LastVerify::age_seconds() const {
  double age = 0;
  for (const KeptVerdict& table : tables) age = std::max(age, table.seconds_ago);
  return age;
}

void keep_verdicts(PgConnection& green, const Config& config, const std::string& made_by,
                   std::span<const VerdictNote> notes) {
  if (!read_link_row(green, forward_link(config)) || !has_control_table(green, kTable)) return;
  static const std::string kWrite =
      "INSERT INTO teal.verify_state (migration, schema_name, table_name, result, rows, differences, in_flux, reasons, "
      "whole, made_by, started_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, least(now() - $11::float8 * "
      "interval '1 second', nullif($12, '')::timestamptz)) ON CONFLICT (migration, schema_name, table_name) DO UPDATE "
      "SET result = excluded.result, rows = "
      "excluded.rows, differences = excluded.differences, in_flux = excluded.in_flux, reasons = excluded.reasons, "
      "whole = excluded.whole, made_by = excluded.made_by, started_at = excluded.started_at, finished_at = "
      "excluded.finished_at";
  std::set<std::string> compared;
  for (const VerdictNote& note : notes) compared.insert(to_string(note.result.table.blue.name));
  for (const VerdictNote& note : notes) {
    const TableResult& result = note.result;
    const TableName& name = result.table.blue.name;
    Kept kept = rows_kept(note);
    if (note.beyond != nullptr) {
      add_findings(kept, *note.beyond, name, compared);
    } else {
      add_found_before(kept, green, config, name);
    }
    const double seconds = std::chrono::duration<double>(note.took).count();
    green.exec_often(
        "keep what the comparison of " + to_string(name) + " came to", kWrite,
        {config.name, name.schema, name.name, word(kept.verdict), std::to_string(result.rows),
         std::to_string(result.differences.size()), std::to_string(result.in_flux), kept.reasons,
         note.whole && result.obstacles.empty() ? "t" : "f", made_by, std::to_string(seconds), note.begun});
  }
}

void forget_other_verdicts(PgConnection& green, const Config& config, std::span<const TableName> tables) {
  if (!has_control_table(green, kTable)) return;
  std::string known;
  for (const TableName& name : tables) {
    known += (known.empty() ? "(" : ", (") + quote_literal(name.schema) + ", " + quote_literal(name.name) + ")";
  }
  green.exec("forget comparisons of tables that are not selected",
             "DELETE FROM teal.verify_state WHERE migration = $1" +
                 (known.empty() ? "" : " AND (schema_name, table_name) NOT IN (VALUES " + known + ")"),
             {config.name});
}

std::optional<LastVerify> read_last_verify(PgConnection& green, const std::string& migration,
                                           const std::set<TableName>& replicated) {
  if (!has_control_table(green, kTable)) return std::nullopt;
  const Rows rows =
      green.exec("read what was compared last",
                 "SELECT schema_name, table_name, result, rows, differences, in_flux, reasons, whole, "
                 "made_by, started_at, finished_at, extract(epoch FROM clock_timestamp() - started_at) FROM "
                 "teal.verify_state WHERE migration = $1 ORDER BY 1, 2",
                 {migration});
  if (rows.empty()) return std::nullopt;
  LastVerify last;
  last.never = replicated;
  for (int i = 0; i < rows.size(); ++i) {
    KeptVerdict& table = last.tables.emplace_back();
    table.table = {rows.str(i, 0), rows.str(i, 1)};
    table.verdict = verdict_of(rows.at(i, 2));
    table.rows = rows.integer(i, 3);
    table.differences = rows.integer(i, 4);
    table.in_flux = rows.integer(i, 5);
    table.reasons = rows.str(i, 6);
    table.whole = rows.boolean(i, 7);
    table.made_by = rows.str(i, 8);
    if (table.verdict == TableVerdict::kEqual && !table.whole) table.verdict = TableVerdict::kUnchecked;
    table.started_at = rows.str(i, 9);
    table.finished_at = rows.str(i, 10);
    table.seconds_ago = std::strtod(rows.str(i, 11).c_str(), nullptr);
    last.never.erase(table.table);
  }
  return last;
}

std::string last_verify_text(const std::optional<LastVerify>& last, std::chrono::milliseconds max_age) {
  if (!last) return "verified   never\n";
  std::string out = std::string("verified   ") + in_words(last->verdict()) + ", " +
                    std::to_string(last->tables.size()) + " tables, the oldest " + age_text(last->age_seconds());
  out += is_old(*last, max_age) ? ": older than verify.max_age\n" : "\n";
  for (const KeptVerdict& table : last->tables) out += table_text(table);
  for (const TableName& table : last->never) out += "  " + to_string(table) + "  not compared yet\n";
  return out;
}

nlohmann::ordered_json last_verify_json(const std::optional<LastVerify>& last, std::chrono::milliseconds max_age) {
  if (!last) return nullptr;
  auto tables = nlohmann::ordered_json::array();
  for (const KeptVerdict& table : last->tables) {
    tables.push_back({{"schema", table.table.schema},
                      {"table", table.table.name},
                      {"result", in_words(table.verdict)},
                      {"rows", table.rows},
                      {"differences", table.differences},
                      {"in_flux", table.in_flux},
                      {"not_checked", table.reasons},
                      {"whole", table.whole},
                      {"made_by", table.made_by},
                      {"started_at", table.started_at},
                      {"finished_at", table.finished_at},
                      {"age_seconds", table.seconds_ago}});
  }
  auto never = nlohmann::ordered_json::array();
  for (const TableName& table : last->never) never.push_back(to_string(table));
  return {{"result", in_words(last->verdict())},
          {"age_seconds", last->age_seconds()},
          {"fresh", !is_old(*last, max_age)},
          {"tables", tables},
          {"never_compared", never}};
}

}  // namespace teal
