#include <fstream>
#include <iostream>

#include "engine/log.h"
#include "engine/names.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/commands.h"
#include "tools/link_facts.h"
#include "tools/progress_line.h"
#include "tools/signals.h"
#include "tools/status_report.h"
#include "tools/sync_point.h"
#include "tools/table_list.h"
#include "tools/verify_report.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPatience{10'000};
constexpr std::chrono::milliseconds kLook{5};

// Those whose stream somebody reads: what has been committed is on its way by them.
std::vector<LinkNames> running_links(const Config& config, PgConnection& blue, PgConnection& green) {
  std::vector<LinkNames> running;
  for (const LinkNames& names : {forward_link(config), forward_link(config).reverse()}) {
    PgConnection& source = names.link == kBlueToGreen ? blue : green;
    const std::optional<SlotFacts> slot = read_slot(source, names.slot());
    if (slot && slot->active_pid) running.push_back(names);
  }
  return running;
}

// A marker for each link, and until all have come.
bool pass_markers(const Config& config, const std::vector<LinkNames>& links, Clock::time_point deadline,
                  const std::stop_token& stop) {
  std::vector<SyncPoint> points;
  points.reserve(links.size());
  for (const LinkNames& names : links) points.emplace_back(config, names);
  for (SyncPoint& point : points) {
    while (!point.applied()) {
      if (Clock::now() >= deadline || !pause_for(kLook, stop)) return false;
    }
  }
  return true;
}

std::vector<ComparedTable> selected(std::vector<ComparedTable> tables, const std::vector<std::string>& flags) {
  if (flags.empty()) return tables;
  const TableSelection selection = read_table_list(flags);
  std::vector<TableName> names;
  names.reserve(tables.size());
  for (const ComparedTable& table : tables) names.push_back(table.blue.name);
  check_each_pattern_matches(selection, names, "that the configuration selects");
  std::erase_if(tables, [&](const ComparedTable& table) { return !selection.selects(table.blue.name); });
  return tables;
}

void write_report(const std::string& file, const nlohmann::ordered_json& report) {
  std::ofstream out(file);
  out << report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  out.flush();
  if (!out) throw Stopped(StopCode::kRefused, "cannot write the report to " + file);
}

VerifierOptions verifier_options(const Config& config, const VerifyOptions& options, const std::stop_token& stop) {
  VerifierOptions verifier;
  verifier.blue = connect_options(config, true, "verify");
  verifier.green = connect_options(config, false, "verify");
  verifier.jobs = options.jobs.value_or(config.verify.jobs);
  verifier.range_rows = config.verify.range_rows;
  verifier.compare.differences_max = config.verify.max_diff_rows;
  verifier.compare.patience = options.patience.value_or(kPatience);
  verifier.compare.stop = stop;
  if (options.exact) verifier.compare.hashed = HashedIn::kClient;
  return verifier;
}

// Servers that hash unlike each other, or keep text in another encoding, only have to send the same text.
void choose_hashes(PgConnection& blue, PgConnection& green, VerifierOptions& verifier,
                   std::vector<ComparedTable>& tables) {
  const HashTrial trial = try_hashes(blue, green);
  if (!trial.hashes.empty() && verifier.compare.hashed == HashedIn::kServer) {
    log_event(LogLevel::kInfo, "rows are hashed here and not on the servers", {{"reason", trial.hashes}});
    verifier.compare.hashed = HashedIn::kClient;
  }
  if (trial.text.empty()) return;
  for (ComparedTable& table : tables) {
    table.readable = false;
    table.obstacles.push_back(trial.text);
  }
}

std::vector<TableResult> verify(const VerifierOptions& options, const std::vector<ComparedTable>& tables, bool quiet) {
  VerifierProgress progress;
  std::uint64_t expected = 0;
  for (const ComparedTable& table : tables) expected += table.rows;
  const ProgressLine line(
      [&](double seconds) {
        const auto rows = static_cast<double>(progress.rows.load());
        return "verify: " + std::to_string(progress.tables_done.load()) + " of " + std::to_string(tables.size()) +
               " tables, " + std::to_string(progress.rows.load()) + " rows, " +
               std::to_string(static_cast<std::uint64_t>(seconds > 0 ? rows / seconds : 0)) + " rows/s, " +
               time_left_text(rows, static_cast<double>(expected), seconds);
      },
      quiet);
  return verify_tables(options, tables, progress);
}

}  // namespace

int verify_command(const Config& config, const OutputOptions& output, const VerifyOptions& options) {
  const SignalStop signals;
  VerifierOptions verifier = verifier_options(config, options, signals.token());
  PgConnection blue = PgConnection::connect(verifier.blue);
  PgConnection green = PgConnection::connect(verifier.green);
  const std::vector<LinkNames> links = running_links(config, blue, green);
  if (links.empty()) {
    log_event(LogLevel::kWarn, "no link runs: rows that are written meanwhile, on either side, are not fully checked",
              {{"name", config.name}});
  } else {
    verifier.compare.pass_markers = [&](Clock::time_point deadline) {
      return pass_markers(config, links, deadline, signals.token());
    };
  }
  std::vector<ComparedTable> tables = selected(read_compared_tables(blue, green, config.tables), options.tables);
  choose_hashes(blue, green, verifier, tables);
  const std::vector<TableResult> results = verify(verifier, tables, output.quiet);
  const nlohmann::ordered_json report = verify_json(config.name, results);
  if (!options.report.empty()) write_report(options.report, report);
  if (output.json) {
    std::cout << report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  } else {
    std::cout << verify_text(results) << std::flush;
  }
  switch (overall(results)) {
    case TableVerdict::kEqual:
      return 0;
    case TableVerdict::kDiffers:
      return static_cast<int>(StopCode::kRefused);
    case TableVerdict::kUnchecked:
      break;
  }
  return static_cast<int>(StopCode::kIncomplete);
}

}  // namespace teal
