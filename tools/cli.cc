#include "tools/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "engine/config_values.h"
#include "engine/names.h"
#include "engine/nearest_name.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

// CLI11 keeps pointers into `invocation` until the arguments are parsed.
class CommandLine {
 public:
  explicit CommandLine(Invocation& invocation) : invocation_(invocation) {
    add_global_flags();
    add_commands();
  }
  CLI::App& app() { return app_; }

 private:
  void add_global_flags();
  void add_commands();
  void add_verify();
  void add_cutover();
  void add_sequences();
  void add_tail();
  void add_conflicts();
  void add_quarantine();
  static void add_duration(CLI::App& command, const std::string& name, std::optional<std::chrono::milliseconds>& out,
                           const char* description);
  CLI::App* add(const char* name, Command command, const char* description, const char* example);

  Invocation& invocation_;
  CLI::App app_{
      "teal keeps a green PostgreSQL database in step with a blue one, for upgrades and moves without downtime.",
      "teal"};
};

void CommandLine::add_global_flags() {
  ConfigFlags& config = invocation_.config;
  app_.require_subcommand(1);
  app_.fallthrough();
  app_.set_help_flag("-h,--help", "Print this help and exit");
  app_.add_option("-c,--config", config.file, "Configuration file (default: TEAL_CONFIG, then ./teal.yml if it exists)")
      ->type_name("FILE");
  app_.add_option("--blue", config.blue, "Connection string of the database that is left (or TEAL_BLUE)")
      ->type_name("CONNINFO");
  app_.add_option("--green", config.green, "Connection string of the database that is moved to (or TEAL_GREEN)")
      ->type_name("CONNINFO");
  app_.add_option("--log-level", config.log_level, "debug, info, warn or error (or TEAL_LOG_LEVEL)")
      ->type_name("LEVEL");
  app_.add_option("--log-format", config.log_format, "text or json")->type_name("FORMAT");
  app_.add_flag("--json", invocation_.output.json, "Print data as JSON");
  app_.add_flag("-q,--quiet", invocation_.output.quiet, "No progress on stderr, only warnings and errors");
  app_.footer(
      "Example:\n  teal --blue postgresql://teal@old/shop --green postgresql://teal@new/shop check\n"
      "`teal COMMAND --help` shows each command's flags and an example.");
}

CLI::App* CommandLine::add(const char* name, Command command, const char* description, const char* example) {
  CLI::App* sub = app_.add_subcommand(name, description);
  sub->footer(std::string("Example:\n  ") + example + "\nThe global flags (`teal --help`) work here too.");
  sub->final_callback([this, command] { invocation_.command = command; });
  return sub;
}

void CommandLine::add_commands() {
  add("check", Command::kCheck, "Print everything that is missing on both sides, with what mends it; change nothing",
      "teal -c teal.yml check");
  add("init", Command::kInit, "Create what teal needs on both sides; safe to repeat", "teal -c teal.yml init");
  CLI::App* run =
      add("run", Command::kRun, "The sidecar: init, copy what is not copied, then replicate until SIGTERM or SIGINT",
          "teal -c teal.yml run --until-synced");
  run->add_flag("--no-copy", invocation_.run_no_copy, "Green already holds blue's rows");
  run->add_flag("--until-synced", invocation_.run_until_synced,
                "Exit once everything that was committed on blue when the copy was done is durable on green");
  CLI::App* status = add("status", Command::kStatus, "Show phase, lag, slot health and tables, from the two databases",
                         "teal -c teal.yml status --watch");
  status->add_flag("--watch", invocation_.status.watch, "Refresh every two seconds until interrupted");
  add_verify();
  add_cutover();
  add_sequences();
  add_tail();
  add_conflicts();
  add_quarantine();
  CLI::App* finish = add("finish", Command::kFinish,
                         "End the migration: remove everything that teal created on both sides; safe to repeat",
                         "teal -c teal.yml finish --yes");
  finish->add_flag("--force", invocation_.finish.force, "Go on when one side cannot be reached");
  finish->add_flag("-y,--yes", invocation_.finish.yes, "Do not ask");
  finish
      ->add_option("--archive", invocation_.finish.archive,
                   "First dump the side that a cutover has left into this file (pg_dump, custom format)")
      ->type_name("FILE");
  add("version", Command::kVersion, "Print version, build, libpq and the supported servers", "teal version --json");
  app_.set_version_flag("--version", "teal " TEAL_VERSION);
}

void CommandLine::add_duration(CLI::App& command, const std::string& name,
                               std::optional<std::chrono::milliseconds>& out, const char* description) {
  const auto set = [name, &out](const std::string& text) {
    out = parse_duration(text);
    if (!out) throw CLI::ValidationError(name, "\"" + text + "\" is no duration like 500ms, 10s or 5m");
  };
  command.add_option_function<std::string>(name, set, description)->type_name("DURATION");
}

void CommandLine::add_verify() {
  VerifyOptions& options = invocation_.verify;
  CLI::App* verify = add("verify", Command::kVerify,
                         "Compare the rows of both sides, while they are being written; exit 0 equal, 1 differs, 3 not "
                         "everything could be checked",
                         "teal -c teal.yml verify --report verify.json");
  verify->add_option("--tables", options.tables, "Only these, schema.table with * and ?, comma between them")
      ->type_name("PATTERNS")
      ->allow_extra_args(false);
  verify->add_option("--jobs", options.jobs, "Ranges that are compared at the same time (default: verify.jobs)")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  add_duration(*verify, "--patience", options.patience,
               "How long to wait for rows that keep changing before they are not fully checked (default 10s)");
  verify->add_flag(
      "--exact", options.exact,
      "Read all rows and hash them here, instead of having the servers hash them; look for duplicates under "
      "the unique indexes of large tables too");
  verify
      ->add_option("--state", options.state,
                   "Note in this file what was compared, and go on where an earlier run with it was stopped")
      ->type_name("FILE");
  verify->add_flag("--blocks", options.blocks, "Name each range of keys that was compared, and what it came to");
  verify->add_flag("--rows-only", options.rows_only,
                   "Compare rows only: no definitions, sequences, foreign keys, duplicates, collations");
  verify
      ->add_option("--report", options.report,
                   "Write the report to this file, as JSON, or as a page for people where it ends in .html")
      ->type_name("FILE");
  CLI::Option* repair =
      verify
          ->add_option("--repair", options.repair,
                       "This side is right (blue or green): rows of the other one that differ are written as they are "
                       "on it, then compared again")
          ->check(CLI::IsMember({"blue", "green"}))
          ->type_name("SIDE");
  repair->excludes(verify->get_option("--state"));
  verify->add_flag("--dry-run", options.dry_run, "With --repair: print what would be written, and write nothing")
      ->needs(repair);
}

// `rollback` is `cutover --to blue`.
void CommandLine::add_cutover() {
  CutoverOptions& options = invocation_.cutover;
  CLI::App* cutover = add("cutover", Command::kCutover,
                          "Move the applications' writes to green, or leave all as it was; exit 0 moved, 1 refused or "
                          "undone",
                          "teal -c teal.yml cutover --dry-run");
  cutover->add_option("--to", options.to, "The side that is to take the writes: green (default) or blue")
      ->check(CLI::IsMember({"blue", "green"}))
      ->type_name("SIDE");
  CLI::App* rollback = add("rollback", Command::kCutover, "Move the writes back: cutover --to blue",
                           "teal -c teal.yml rollback --dry-run");
  rollback->preparse_callback([&options](std::size_t) { options.to = "blue"; });
  for (CLI::App* command : {cutover, rollback}) {
    command->add_flag("--dry-run", options.dry_run, "Look at everything and measure, and move nothing");
    add_duration(*command, "--timeout", options.timeout, "For the whole procedure (default: cutover.timeout)");
    add_duration(*command, "--pause-budget", options.pause_budget,
                 "How long writes may wait; over it, everything is undone (default: cutover.pause_budget)");
    add_duration(*command, "--max-lag", options.max_lag, "How far the links may lag (default: cutover.max_lag)");
    command->add_option("--tries", options.tries, "How often (default: cutover.tries)")
        ->check(CLI::Range(1, 100))
        ->type_name("N");
    command->add_flag("--unverified", options.unverified, "Also when the sides were not found equal lately");
    command->add_flag("--no-way-back", options.no_way_back, "Also when no link leads back");
    command->add_flag("--fence", options.fence, "Fence the side that is left also with writers: both");
    command->add_flag("--recover", options.recover, "Only end what an earlier one has left, one way or the other");
    command
        ->add_option("--report", options.report,
                     "Write the report to this file, as JSON, or as a page for people where it ends in .html")
        ->type_name("FILE");
    command->add_flag("-y,--yes", options.yes, "Do not ask");
    add_duration(*command, "--watch", options.watch, "Look after it for so long when the writes have been moved");
    const auto condition = [&options](const std::string& text) {
      std::optional<WatchCondition> parsed = parse_watch_condition(text);
      if (!parsed) {
        throw CLI::ValidationError("--rollback-on", "\"" + text +
                                                        "\" is no condition like lag>5s, errors>2%, latency>50ms or "
                                                        "command:./healthy.sh");
      }
      options.rollback_on.push_back(std::move(*parsed));
    };
    command
        ->add_option_function<std::string>("--rollback-on", condition,
                                           "With --watch: move them back by itself when this is so; may be repeated")
        ->multi_option_policy(CLI::MultiOptionPolicy::Throw)
        ->trigger_on_parse()
        ->type_name("CONDITION")
        ->needs(command->get_option("--watch"));
    add_duration(*command, "--guarding", options.guarding, "");
    command->get_option("--guarding")->group("");  // of the process that another one makes: see CutoverGuard
  }
}

void CommandLine::add_sequences() {
  SequencesOptions& options = invocation_.sequences;
  CLI::App* sequences = add("sequences", Command::kSequences, "Set sequences, whose values no link carries",
                            "teal -c teal.yml sequences sync --dry-run");
  sequences->require_subcommand(1);
  CLI::App* sync = sequences->add_subcommand(
      "sync", "Move one side's sequences behind what the other side has drawn, none of them backwards");
  sync->footer("Example:\n  teal -c teal.yml sequences sync --to green");
  sync->add_option("--to", options.to, "Whose are moved: green (default) or blue")
      ->check(CLI::IsMember({"blue", "green"}))
      ->type_name("SIDE");
  sync->add_option("--margin", options.margin,
                   "Move so many steps further: numbers that the other side may draw afterwards (default 0)")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}))
      ->type_name("N");
  sync->add_flag("--dry-run", options.dry_run, "Print what would be done, and do nothing");
}

void CommandLine::add_tail() {
  TailOptions& options = invocation_.tail;
  CLI::App* tail =
      add("tail", Command::kTail, "Print one side's changes as they are committed, values of rows included",
          "teal -c teal.yml tail --tables public.orders --for 10s");
  tail->add_option("--side", options.side, "Whose changes: blue (default) or green")
      ->check(CLI::IsMember({"blue", "green"}))
      ->type_name("SIDE");
  tail->add_option("--tables", options.tables, "Only these, schema.table with * and ?, comma between them")
      ->type_name("PATTERNS")
      ->allow_extra_args(false);
  tail->add_option("--format", options.format, "text or json (a line each); text on a terminal, json elsewhere")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORMAT");
  add_duration(*tail, "--for", options.time, "End after this time: 500ms, 10s, 5m");
  tail->add_option("-n,--count", options.count, "End after this many transactions")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
}

void CommandLine::add_conflicts() {
  ConflictsOptions& options = invocation_.conflicts;
  CLI::App* conflicts = add("conflicts", Command::kConflicts,
                            "Show which rows were changed on both sides at a time, and which version stayed",
                            "teal -c teal.yml conflicts stats");
  conflicts->require_subcommand(1);
  const auto action = [&](const char* name, ConflictsAction value, const char* description, const char* example) {
    CLI::App* sub = conflicts->add_subcommand(name, description);
    sub->footer(std::string("Example:\n  teal -c teal.yml conflicts ") + example);
    sub->callback([&options, value] { options.action = value; });
    return sub;
  };
  CLI::App* list =
      action("list", ConflictsAction::kList, "The newest of both sides' logs", "list --table public.orders --since 2h");
  list->add_option("--limit", options.filter.limit, "At most this many (default 50)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
      ->type_name("N");
  list->add_option("--table", options.filter.table, "Only of this one, schema.table as the list shows it")
      ->type_name("TABLE");
  add_duration(*list, "--since", options.filter.since, "Only of this time up to now: 10m, 2h, 1d");
  CLI::App* show = action("show", ConflictsAction::kShow, "One of them, with the values of both rows", "show g17");
  const auto set_id = [&options](const std::string& text) {
    const std::optional<ConflictId> id = parse_conflict_id(text);
    if (!id) throw CLI::ValidationError("ID", "\"" + text + "\" is no conflict like b4 or g17");
    options.id = *id;
  };
  show->add_option_function<std::string>("ID", set_id, "As the list shows it")->required()->type_name("ID");
  action("stats", ConflictsAction::kStats, "How many there were, by link, table and type", "stats --json");
}

void CommandLine::add_quarantine() {
  QuarantineOptions& options = invocation_.quarantine;
  CLI::App* quarantine =
      add("quarantine", Command::kQuarantine, "Show the changes at which a link stopped, and say how it goes on",
          "teal -c teal.yml quarantine list");
  quarantine->require_subcommand(1);
  const auto action = [&](const char* name, QuarantineAction value, const char* description) {
    CLI::App* sub = quarantine->add_subcommand(name, description);
    sub->footer(std::string("Example:\n  teal -c teal.yml quarantine ") + name +
                (value == QuarantineAction::kList ? " --json" : " 3"));
    sub->callback([&options, value] { options.action = value; });
    if (value != QuarantineAction::kList) {
      sub->add_option("ID", options.id, "The change's number in the list")->required()->check(CLI::PositiveNumber);
      sub->add_option("--link", options.link, "Whose change, where both links have one of that number")
          ->check(CLI::IsMember({std::string(kBlueToGreen), std::string(kGreenToBlue)}))
          ->type_name("LINK");
    }
    return sub;
  };
  action("list", QuarantineAction::kList, "All of them, with what became of them");
  action("retry", QuarantineAction::kRetry, "The next run tries it again; takes a skip back");
  CLI::App* skip = action("skip", QuarantineAction::kSkip, "The next run passes over it, for good");
  skip->add_flag("-y,--yes", options.yes, "Do not ask");
}

// CLI11 only says that a subcommand is missing; whoever mistyped one wants to hear which.
std::string unknown_command(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining();
  const auto word = std::find_if(rest.begin(), rest.end(), [](const std::string& s) { return !s.starts_with("-"); });
  if (word == rest.end()) return "";
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return "teal: \"" + *word + "\" is no command" + did_you_mean(nearest_names(*word, names, 2)) +
         "\nRun with --help for more information.\n";
}

}  // namespace

std::variant<Invocation, CliAnswer> parse_cli(const std::vector<std::string>& arguments) {
  Invocation invocation;
  CommandLine line(invocation);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    line.app().parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = line.app().exit(error, out, err);
    if (code == 0) return CliAnswer{0, out.str()};
    if (line.app().get_subcommands().empty()) {
      const std::string wrong = unknown_command(line.app());
      if (!wrong.empty()) return CliAnswer{static_cast<int>(StopCode::kUsage), wrong};
    }
    return CliAnswer{static_cast<int>(StopCode::kUsage), "teal: " + err.str()};
  }
  return invocation;
}

}  // namespace teal
