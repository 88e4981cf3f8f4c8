#include <algorithm>
#include <iostream>
#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/time_text.h"
#include "tools/commands.h"
#include "tools/exit_code.h"
#include "tools/kept_verdicts.h"
#include "tools/lag_gate.h"
#include "tools/link_facts.h"
#include "tools/progress_line.h"
#include "tools/repair.h"
#include "tools/repair_report.h"
#include "tools/report_file.h"
#include "tools/signals.h"
#include "tools/status_report.h"
#include "tools/table_list.h"
#include "tools/verify_beyond.h"
#include "tools/verify_html.h"
#include "tools/verify_report.h"
#include "tools/verify_sides.h"
#include "tools/verify_state.h"

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPatience{10'000};
constexpr std::size_t kRepairedAtOnce = 100'000;  // differences of a table, whatever the report names

std::string names_of(const std::vector<LinkNames>& links) {
  std::string names;
  for (const LinkNames& link : links) names += (names.empty() ? "" : " and ") + link.link;
  return names;
}

// What a slot still holds looks as if it were missing. Once written by a repair, it would come a second time.
void refuse_repair_beside_standing(const Links& links, const VerifyOptions& options) {
  if (options.repair.empty() || options.dry_run || links.standing.empty()) return;
  throw Stopped(StopCode::kIncomplete,
                "nothing was repaired: set up and not running: " + names_of(links.standing) +
                    ", and what the slot holds would be written twice; start teal run, and "
                    "repair beside it (a change at which it stops: teal quarantine skip passes over it, and the repair "
                    "brings the row)");
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

VerifierOptions verifier_options(const Config& config, const VerifyOptions& options, const std::stop_token& stop) {
  VerifierOptions verifier;
  verifier.blue = connect_options(config, true, "verify");
  verifier.green = connect_options(config, false, "verify");
  verifier.jobs = options.jobs.value_or(config.verify.jobs);
  verifier.range_rows = config.verify.range_rows;
  verifier.statement_time = config.verify.statement_time;
  verifier.name_ranges = options.blocks;
  verifier.compare.differences_max = config.verify.max_diff_rows;
  verifier.compare.patience = options.patience.value_or(kPatience);
  verifier.compare.stop = stop;
  if (options.exact) verifier.compare.hashed = HashedIn::kClient;
  if (!options.repair.empty()) {
    verifier.compare.differences_max = std::max(config.verify.max_diff_rows, kRepairedAtOnce);
  }
  return verifier;
}

std::vector<TableResult> verify(const VerifierOptions& options, const std::vector<ComparedTable>& tables, bool quiet) {
  VerifierProgress progress;
  std::uint64_t expected = 0;
  for (const ComparedTable& table : tables) expected += table.rows;
  const ProgressLine line(
      [&](double seconds) {
        // What earlier runs have compared took no time.
        const std::uint64_t before = options.journal == nullptr ? 0 : options.journal->rows_taken_over();
        const std::uint64_t all = progress.rows.load();
        const auto rows = static_cast<double>(all - std::min(before, all));
        const auto left = static_cast<double>(expected - std::min(before, expected));
        return "verify: " + std::to_string(progress.tables_done.load()) + " of " + std::to_string(tables.size()) +
               " tables, " + std::to_string(all) + " rows, " +
               std::to_string(static_cast<std::uint64_t>(seconds > 0 ? rows / seconds : 0)) + " rows/s, " +
               time_left_text(rows, left, seconds);
      },
      quiet);
  return verify_tables(options, tables, progress);
}

// For status, and for whoever asks later. By a session of its own: those of the comparison may have waited for hours.
// `beyond`: nullptr where only rows were looked at; `journal`: nullptr where nothing was taken over.
void keep(const Config& config, const std::vector<TableResult>& results, bool all, Clock::duration took,
          const BeyondRows* beyond, const VerifyJournal* journal) {
  try {
    PgConnection green = PgConnection::connect(connect_options(config, false, "verify"));
    std::vector<VerdictNote> notes;
    std::vector<TableName> names;
    for (const TableResult& result : results) {
      const bool goes_on = journal != nullptr && result.ranges_before > 0;
      notes.push_back({result, took, !goes_on, goes_on ? journal->begun() : "", beyond});
      names.push_back(result.table.blue.name);
    }
    green.exec("begin", "BEGIN");
    keep_verdicts(green, config, "verify", notes);
    if (all) forget_other_verdicts(green, config, names);
    green.exec("commit what the comparison came to", "COMMIT");
  } catch (const PgError& error) {
    log_event(LogLevel::kWarn, "what the comparison came to is not kept, status does not show it",
              {{"reason", error.what()}});
  }
}

struct RepairTexts {
  std::string plan = {};  // was printed before it was followed
  std::string result = {};
};

void give(const VerifyRun& run, const std::vector<TableResult>& results, const BeyondRows& beyond,
          const nlohmann::ordered_json& json, const RepairTexts& repair, const OutputOptions& output,
          ReportFile& report) {
  if (report.wanted()) {
    report.write(report.is_page() ? verify_html(run, results, beyond, repair.plan + repair.result)
                                  : json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  if (output.json) {
    std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  } else {
    std::cout << repair.result << verify_text(run, results, beyond) << std::flush;
  }
}

int exit_code(TableVerdict verdict) {
  switch (verdict) {
    case TableVerdict::kEqual:
      return 0;
    case TableVerdict::kDiffers:
      return static_cast<int>(StopCode::kRefused);
    case TableVerdict::kUnchecked:
      break;
  }
  return static_cast<int>(StopCode::kIncomplete);
}

// As many differences are looked for as can be repaired at once; the report names as many as ever.
void name_at_most(std::vector<TableResult>& results, std::size_t most) {
  for (TableResult& result : results) {
    if (result.differences.size() <= most) continue;
    result.unnamed += result.differences.size() - most;
    result.differences.resize(most);
  }
}

// Where only tables differ that teal may not write, the answer is that it could not do it, and not what they hold. So
// it is where it did not come to the end.
int exit_code(const RepairReport& report, const std::vector<TableResult>& results) {
  const auto cut_short = [&](const RepairedTable& table) {
    return !table.done.stopped.empty() && results[table.result].verdict() != TableVerdict::kEqual;
  };
  if (std::any_of(report.tables.begin(), report.tables.end(), cut_short))
    return static_cast<int>(StopCode::kIncomplete);
  std::vector<TableResult> others;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const bool kept = std::any_of(report.tables.begin(), report.tables.end(), [&](const RepairedTable& table) {
      return table.result == i && !table.obstacles.empty();
    });
    if (!kept) others.push_back(results[i]);
  }
  const TableVerdict verdict = overall(others);
  const bool all = others.size() == results.size();
  return exit_code(verdict == TableVerdict::kEqual && !all ? TableVerdict::kUnchecked : verdict);
}

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

int repair_sides(const Config& config, const OutputOptions& output, const VerifyOptions& options,
                 const Compare& compare, const std::vector<ComparedTable>& tables, VerifyRun& run, ReportFile& file,
                 const std::stop_token& stop) {
  const Clock::time_point begun = Clock::now();
  const RepairOptions sides{options.repair == "blue", options.dry_run, stop};
  std::vector<TableResult> results = compare(tables);
  const Repair repair(config, sides);
  RepairReport report = repair.plan(results, config.verify.max_diff_rows);
  const std::string plan = repair_plan_text(sides, report, results);
  if (!output.json) std::cout << plan << std::flush;
  if (!sides.dry_run) repair.run(report, results, compare);
  keep(config, results, options.tables.empty(), Clock::now() - begun, nullptr, nullptr);
  const int code = sides.dry_run ? exit_code(overall(results)) : exit_code(report, results);
  name_at_most(results, config.verify.max_diff_rows);
  run.notes.emplace_back("only rows were looked at: compare once more without --repair for the rest");
  run.seconds = seconds_since(begun);
  nlohmann::ordered_json json = verify_json(run, results, {});
  json["repair"] = repair_json(sides, report, results);
  give(run, results, {}, json,
       {plan, sides.dry_run ? "nothing was written (--dry-run); compared:\n" : repair_text(sides, report, results)},
       output, file);
  return code;
}

VerifiedSide verified_side(const PgConnection& connection) {
  const char* version = PQparameterStatus(connection.raw(), "server_version");
  return {connection.address(), version == nullptr ? "" : version};
}

// All that can be compared of the table was, and is equal.
bool nothing_left(const TableResult& result) {
  return result.obstacles == result.table.obstacles && result.differences.empty() && result.in_flux == 0 &&
         result.unnamed == 0;
}

// Tells what the result does not show, and takes the file away once it has nothing left to go on with. `all_tables`: no
// table that it holds is left out of these results, but for those that are gone.
void conclude(VerifyJournal& journal, const std::vector<TableResult>& results, bool all_tables, VerifyRun& run) {
  std::size_t before = 0;
  std::size_t all = 0;
  for (const TableResult& result : results) {
    before += result.ranges_before;
    all += result.ranges;
  }
  if (before > 0) {
    run.notes.push_back(std::to_string(before) + " of " + std::to_string(all) +
                        " ranges were compared by earlier runs, since " + journal.begun() +
                        "; what was written to them after that is not in this result");
  }
  if (!journal.failure().empty()) {
    log_event(LogLevel::kWarn, "what was compared could not all be noted: the next run compares it again",
              {{"reason", journal.failure()}});
  }
  if (std::all_of(results.begin(), results.end(), nothing_left) && (all_tables || journal.complete())) journal.remove();
}

// What was found of the rows is told and kept, whatever becomes of this.
BeyondRows look_at_the_rest(const Config& config, const VerifierOptions& verifier,
                            const std::vector<ComparedTable>& tables, const VerifyOptions& options,
                            const OutputOptions& output) {
  std::string reason;
  try {
    return look_beyond(config, verifier, tables, options.exact, output.quiet);
  } catch (const PgError& error) {
    reason = error.what();
  } catch (const Interrupted& stopped) {
    reason = stopped.what();
  }
  BeyondRows beyond{.looked = true};
  beyond.findings.push_back({.weight = FindingWeight::kUnchecked,
                             .table = "",
                             .side = "",
                             .text = "not all but rows could be looked at: " + reason});
  return beyond;
}

std::string standing_text(const std::vector<LinkNames>& links) {
  return "set up and not running: " + names_of(links) +
         "; rows that are not the same may wait in the slot, and are not fully checked: start teal run, or end the "
         "migration with teal finish";
}

// How what is on its way is waited for. Of what a link holds that does not run nothing can be known.
MarkerPass markers(const Config& config, const Links& links, const std::stop_token& stop) {
  if (!links.standing.empty()) {
    log_event(LogLevel::kWarn, standing_text(links.standing), {{"name", config.name}});
    return [](Clock::time_point) { return false; };
  }
  if (links.running.empty()) {
    log_event(LogLevel::kWarn, "no link runs: rows that are written meanwhile, on either side, are not fully checked",
              {{"name", config.name}});
    return {};
  }
  return [&config, links = links.running, stop](Clock::time_point deadline) {
    return pass_markers(config, links, deadline, stop);
  };
}

// Whoever reads the report has to know what it is not about.
void note_selection(const Config& config, const VerifyOptions& options, VerifyRun& run) {
  const auto list = [](const std::string& what, const auto& items, const auto& text_of) {
    std::string text;
    for (const auto& item : items) text += (text.empty() ? "" : ", ") + text_of(item);
    return what + text;
  };
  const auto text_of = [](const TablePattern& pattern) { return pattern.text(); };
  if (!config.tables.include.empty()) {
    run.notes.push_back(list("tables that the configuration includes: ", config.tables.include, text_of));
  }
  if (!config.tables.exclude.empty()) {
    run.notes.push_back(list("tables that the configuration leaves out: ", config.tables.exclude, text_of));
  }
  if (!options.tables.empty()) {
    run.notes.push_back(
        list("of these only what --tables names: ", options.tables, [](const std::string& one) { return one; }));
  }
  if (options.rows_only) run.notes.emplace_back("nothing but rows was looked at (--rows-only)");
}

int verify_both(const Config& config, const OutputOptions& output, const VerifyOptions& options) {
  const SignalStop signals;
  const Clock::time_point started = Clock::now();
  ReportFile report(options.report);
  VerifierOptions verifier = verifier_options(config, options, signals.token());
  PgConnection blue = PgConnection::connect(verifier.blue);
  PgConnection green = PgConnection::connect(verifier.green);
  const Links links = wait_for_links(config, blue, green, verifier.compare.patience, signals.token());
  refuse_repair_beside_standing(links, options);
  LagGate gate(config, links.running, signals.token());
  verifier.before_range = [&](PgConnection& here, PgConnection& there) { gate.pass(here, there); };
  verifier.compare.pass_markers = markers(config, links, signals.token());
  std::vector<ComparedTable> tables = selected(read_compared_tables(blue, green, config.tables), options.tables);
  leave_out_uncopied(config, green, tables);
  choose_hashes(blue, green, verifier.compare.hashed, tables);
  VerifyRun run{.name = config.name,
                .blue = verified_side(blue),
                .green = verified_side(green),
                .started = to_string(now_timestamp()),
                .links_ran = !links.running.empty(),
                .hashed_here = verifier.compare.hashed == HashedIn::kClient};
  note_selection(config, options, run);
  if (!links.standing.empty()) run.notes.push_back(standing_text(links.standing));
  const auto compare = [&](const std::vector<ComparedTable>& some) { return verify(verifier, some, output.quiet); };
  if (!options.repair.empty()) {
    return repair_sides(config, output, options, compare, tables, run, report, signals.token());
  }
  std::unique_ptr<VerifyJournal> journal;
  if (!options.state.empty()) {
    journal = open_verify_state(options.state, config, blue, green, verifier.compare.hashed, tables);
    verifier.journal = journal.get();
  }
  const std::vector<TableResult> results = compare(tables);
  if (journal) conclude(*journal, results, options.tables.empty(), run);
  BeyondRows beyond;
  if (!options.rows_only) beyond = look_at_the_rest(config, verifier, tables, options, output);
  keep(config, results, options.tables.empty(), Clock::now() - started, beyond.looked ? &beyond : nullptr,
       journal.get());
  run.seconds = seconds_since(started);
  give(run, results, beyond, verify_json(run, results, beyond), {}, output, report);
  return exit_code(overall(overall(results), beyond));
}

}  // namespace

// The exit code of what a server refuses elsewhere would say here that the sides differ.
int verify_command(const Config& config, const OutputOptions& output, const VerifyOptions& options) {
  try {
    return verify_both(config, output, options);
  } catch (const PgError& error) {
    if (stop_code(error) != StopCode::kRefused) throw;
    throw Stopped(StopCode::kIncomplete, std::string("nothing could be checked: ") + error.what());
  }
}

}  // namespace teal
