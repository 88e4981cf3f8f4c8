#include "tools/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/exit_code.h"
#include "tools/preflight.h"
#include "tools/status_report.h"

namespace teal {
namespace {

using testing::HasSubstr;

Invocation accepted(const std::vector<std::string>& arguments) {
  const auto parsed = parse_cli(arguments);
  if (const auto* answer = std::get_if<CliAnswer>(&parsed)) throw std::invalid_argument(answer->text);
  return std::get<Invocation>(parsed);
}

CliAnswer answered(const std::vector<std::string>& arguments) {
  const auto parsed = parse_cli(arguments);
  if (!std::holds_alternative<CliAnswer>(parsed)) throw std::invalid_argument("accepted");
  return std::get<CliAnswer>(parsed);
}

template <typename T>
Failure failure_of(const T& error) {
  try {
    throw error;
  } catch (...) {
    return describe_current_exception();
  }
}

TEST(Cli, KnowsEachCommand) {
  EXPECT_EQ(accepted({"check"}).command, Command::kCheck);
  EXPECT_EQ(accepted({"init"}).command, Command::kInit);
  EXPECT_EQ(accepted({"run"}).command, Command::kRun);
  EXPECT_EQ(accepted({"status"}).command, Command::kStatus);
  EXPECT_EQ(accepted({"tail"}).command, Command::kTail);
  EXPECT_EQ(accepted({"conflicts", "stats"}).command, Command::kConflicts);
  EXPECT_EQ(accepted({"quarantine", "list"}).command, Command::kQuarantine);
  EXPECT_EQ(accepted({"finish"}).command, Command::kFinish);
  EXPECT_EQ(accepted({"version"}).command, Command::kVersion);
}

TEST(Cli, TakesGlobalFlagsBeforeAndAfterTheCommand) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"-c", "x.yml", "--blue", "host=a", "--green=host=b", "--log-level", "debug",
                                 "--log-format", "json", "--json", "--quiet", "status"},
        std::vector<std::string>{"status", "-c", "x.yml", "--blue", "host=a", "--green=host=b", "--log-level", "debug",
                                 "--log-format", "json", "--json", "-q"}}) {
    const Invocation invocation = accepted(arguments);
    EXPECT_EQ(invocation.config.file, "x.yml");
    EXPECT_EQ(invocation.config.blue, "host=a");
    EXPECT_EQ(invocation.config.green, "host=b");
    EXPECT_EQ(invocation.config.log_level, "debug");
    EXPECT_EQ(invocation.config.log_format, "json");
    EXPECT_TRUE(invocation.output.json);
    EXPECT_TRUE(invocation.output.quiet);
  }
}

TEST(Cli, LeavesUnsaidWhatIsNotSaid) {
  const Invocation invocation = accepted({"run"});
  EXPECT_EQ(invocation.config.file, std::nullopt);
  EXPECT_EQ(invocation.config.blue, std::nullopt);
  EXPECT_FALSE(invocation.run_no_copy);
  EXPECT_FALSE(invocation.run_until_synced);
}

TEST(Cli, TakesTheFlagsOfCommands) {
  EXPECT_TRUE(accepted({"run", "--no-copy"}).run_no_copy);
  EXPECT_TRUE(accepted({"run", "--until-synced"}).run_until_synced);
  EXPECT_TRUE(accepted({"status", "--watch"}).status.watch);
  EXPECT_TRUE(accepted({"finish", "--force"}).finish.force);
  EXPECT_TRUE(accepted({"finish", "--yes"}).finish.yes);
}

TEST(Cli, TakesWhichConflictsToShow) {
  const ConflictsOptions list =
      accepted({"conflicts", "list", "--limit", "3", "--table", "public.t", "--since", "2h"}).conflicts;
  EXPECT_EQ(list.action, ConflictsAction::kList);
  EXPECT_EQ(list.filter.limit, 3);
  EXPECT_EQ(list.filter.table, "public.t");
  EXPECT_EQ(list.filter.since, std::chrono::hours(2));
  const ConflictsOptions show = accepted({"conflicts", "show", "g17"}).conflicts;
  EXPECT_EQ(show.action, ConflictsAction::kShow);
  EXPECT_EQ(to_string(show.id), "g17");
  EXPECT_EQ(to_string(accepted({"conflicts", "show", "b4"}).conflicts.id), "b4");
  EXPECT_EQ(accepted({"conflicts", "stats"}).conflicts.action, ConflictsAction::kStats);
  for (const char* id : {"17", "g", "g0", "g-1", "x17", "g17x", "g99999999999999999999"}) {
    EXPECT_EQ(answered({"conflicts", "show", id}).exit_code, 2) << id;
  }
  EXPECT_EQ(answered({"conflicts", "list", "--limit", "0"}).exit_code, 2);
  EXPECT_EQ(answered({"conflicts", "list", "--since", "yesterday"}).exit_code, 2);
  EXPECT_EQ(answered({"conflicts"}).exit_code, 2);
  EXPECT_THAT(answered({"conflicts", "show", "--help"}).text, HasSubstr("teal -c teal.yml conflicts show g17"));
}

TEST(Cli, TakesWhatIsSaidAboutAStoppedChange) {
  EXPECT_EQ(accepted({"quarantine", "list", "--json"}).quarantine.action, QuarantineAction::kList);
  const QuarantineOptions retry = accepted({"quarantine", "retry", "7"}).quarantine;
  EXPECT_EQ(retry.action, QuarantineAction::kRetry);
  EXPECT_EQ(retry.id, 7);
  const QuarantineOptions skip = accepted({"quarantine", "skip", "8", "--yes", "-c", "x.yml"}).quarantine;
  EXPECT_EQ(skip.action, QuarantineAction::kSkip);
  EXPECT_EQ(skip.id, 8);
  EXPECT_TRUE(skip.yes);
}

TEST(Cli, TakesTheFlagsOfTail) {
  const TailOptions bare = accepted({"tail"}).tail;
  EXPECT_EQ(bare.side, "blue");
  EXPECT_EQ(bare.time, std::nullopt);
  EXPECT_EQ(bare.count, 0U);
  const TailOptions all = accepted({"tail", "--side", "green", "--tables", "a.b,c.*", "--tables", "d.e", "--format",
                                    "json", "--for", "1500ms", "-n", "3"})
                              .tail;
  EXPECT_EQ(all.side, "green");
  EXPECT_EQ(all.tables, (std::vector<std::string>{"a.b,c.*", "d.e"}));
  EXPECT_EQ(all.format, "json");
  EXPECT_EQ(all.time, std::chrono::milliseconds(1500));
  EXPECT_EQ(all.count, 3U);
}

TEST(Cli, TakesTheFlagsOfVerify) {
  EXPECT_EQ(accepted({"verify"}).verify.repair, "");
  const VerifyOptions plan = accepted({"verify", "--dry-run", "--repair", "green"}).verify;
  EXPECT_EQ(plan.repair, "green");
  EXPECT_TRUE(plan.dry_run);
  EXPECT_FALSE(accepted({"verify", "--repair", "blue"}).verify.dry_run);
}

TEST(Cli, AnswersUsageErrorsWithTwo) {
  struct Case {
    std::vector<std::string> arguments;
    const char* text;
  };
  const Case cases[] = {{{}, "subcommand is required"},
                        {{"chekc"}, "\"chekc\" is no command; did you mean check?"},
                        {{"check", "run"}, ""},
                        {{"check", "--bogus"}, "--bogus"},
                        {{"check", "--no-copy"}, "--no-copy"},
                        {{"run", "extra"}, "extra"},
                        {{"tail", "--side", "red"}, "--side"},
                        {{"tail", "--format", "xml"}, "--format"},
                        {{"tail", "--for", "10"}, "\"10\" is no duration"},
                        {{"tail", "--count", "0"}, "--count"},
                        {{"tail", "--count", "-1"}, "--count"},
                        {{"verify", "--repair", "red"}, "--repair"},
                        {{"verify", "--repair"}, "--repair"},
                        {{"verify", "--dry-run"}, "--repair"},
                        {{"quarantine"}, "subcommand is required"},
                        {{"quarantine", "skip"}, "ID is required"},
                        {{"quarantine", "retry", "x"}, "ID"},
                        {{"quarantine", "retry", "7", "--yes"}, "--yes"},
                        {{"-c"}, "--config"}};
  for (const Case& one : cases) {
    const CliAnswer answer = answered(one.arguments);
    EXPECT_EQ(answer.exit_code, 2) << one.text;
    EXPECT_THAT(answer.text, HasSubstr("teal: "));
    EXPECT_THAT(answer.text, HasSubstr(one.text));
  }
}

TEST(Cli, ShowsAnExampleInEachHelp) {
  EXPECT_THAT(answered({"--help"}).text, HasSubstr("Example:"));
  for (const char* command : {"check", "init", "run", "status", "tail", "finish", "version"}) {
    const CliAnswer answer = answered({command, "--help"});
    EXPECT_EQ(answer.exit_code, 0);
    EXPECT_THAT(answer.text, HasSubstr("Example:\n  teal ")) << command;
  }
  EXPECT_EQ(answered({"--version"}).text, "teal " TEAL_VERSION "\n");
}

TEST(ExitCode, SaysWhatKindOfEndItWas) {
  EXPECT_EQ(failure_of(Stopped(StopCode::kData, "x")).exit_code, 5);
  EXPECT_EQ(failure_of(PgError("connect to blue", "Connection refused", "08001")).exit_code, 4);
  EXPECT_EQ(failure_of(PgError("connect to blue", "no", "28P01")).exit_code, 4);
  EXPECT_EQ(failure_of(PgError("connect to blue", "no", "3D000")).exit_code, 4);
  EXPECT_EQ(failure_of(PgError("create the slot", "no", "42501")).exit_code, 1);
  EXPECT_EQ(failure_of(std::logic_error("x")).exit_code, 70);
  EXPECT_THAT(failure_of(std::logic_error("x")).text, HasSubstr("a bug in teal"));
  EXPECT_EQ(failure_of(std::bad_alloc()).exit_code, 70);
  EXPECT_THAT(failure_of(std::bad_alloc()).text, HasSubstr("no memory left"));
}

TEST(ExitCode, AddsWhatToDoAboutAConnection) {
  const PgError refused("connect to blue", "FATAL:  password authentication failed for user \"teal\"", "08001");
  EXPECT_THAT(failure_of(refused).text, HasSubstr("check user and password"));
}

TEST(PreflightReport, LetsTheUnreachableServerDecideTheCode) {
  PreflightReport report;
  EXPECT_EQ(report.exit_code(), 0);
  report.findings.push_back({"blue", "a", "b", StopCode::kRefused});
  EXPECT_EQ(report.exit_code(), 1);
  report.findings.push_back({"green", "c", "d", StopCode::kUnreachable});
  EXPECT_EQ(report.exit_code(), 4);
  EXPECT_EQ(report.text(), "blue: a\n  mend: b\ngreen: c\n  mend: d");
}

LinkStatus streaming() {
  LinkStatus status;
  status.link = "blue_to_green";
  status.phase = "streaming";
  status.active = true;
  status.source_lsn = Lsn{5000};
  status.progress.applied = Lsn{3976};
  status.tables = {{{"a", "x"}, {"copied", 3, 100}}, {{"a", "y"}, {"pending", 0, 0}}};
  status.counters = {{"received", 7}};
  status.stale_seconds = 0.25;
  return status;
}

std::string text_of(const LinkStatus& link) { return status_text({"shop", {link}, ClockSkew()}); }
nlohmann::ordered_json json_of(const LinkStatus& link) { return status_json({"shop", {link}, ClockSkew()}); }

TEST(StatusReport, ShowsLagAndTables) {
  const std::string text = text_of(streaming());
  EXPECT_THAT(text, HasSubstr("phase      streaming, 1 of 2 tables copied\n"));
  EXPECT_THAT(text, HasSubstr("lag        1.0 KiB, 0.2 s\n"));
  EXPECT_THAT(text, HasSubstr("slot       missing"));
  EXPECT_THAT(text, HasSubstr("a.x  copied, 3 rows, 100 B\n"));
}

TEST(StatusReport, HoldsTheSameAsJson) {
  const auto json = json_of(streaming());
  const auto& link = json["links"][0];
  EXPECT_EQ(json["name"], "shop");
  EXPECT_EQ(link["lag_bytes"], 1024);
  EXPECT_EQ(link["lag_seconds"], 0.25);
  EXPECT_EQ(link["tables_copied"], 1);
  EXPECT_EQ(link["tables"][1]["state"], "pending");
  EXPECT_EQ(link["counters"]["received"], 7);
  EXPECT_TRUE(link["slot"].is_null());
}

TEST(StatusReport, SaysWhatWasComparedLastAndWhenAndWhatWasNot) {
  const LinkStatus link = streaming();
  MigrationStatus status{"shop", {link}, ClockSkew(), std::nullopt, std::chrono::minutes(5)};
  EXPECT_THAT(status_text(status), HasSubstr("verified   never\n"));
  EXPECT_TRUE(status_json(status)["verify"].is_null());
  KeptVerdict equal;
  equal.table = {"a", "x"};
  equal.verdict = TableVerdict::kEqual;
  equal.seconds_ago = 200;
  status.verify = LastVerify{{equal}, {}};
  EXPECT_THAT(status_text(status), HasSubstr("verified   equal, 1 tables, the oldest 3 min ago\n"));
  status.verify->tables.push_back(equal);
  status.verify->tables[1].verdict = TableVerdict::kUnchecked;
  status.verify->tables[1].reasons = "one\ntwo";
  EXPECT_THAT(status_text(status), HasSubstr("  a.x  not fully checked, 3 min ago: one; two\n"));
  status.verify->tables[1].verdict = TableVerdict::kDiffers;
  status.verify->tables[1].seconds_ago = 301;
  EXPECT_THAT(status_text(status), HasSubstr("differs, 2 tables, the oldest 5 min ago: older than verify.max_age\n"));
  EXPECT_EQ(status_json(status)["verify"]["fresh"], false);
  status.verify = LastVerify{{equal}, {{"a", "y"}}};
  EXPECT_EQ(status.verify->verdict(), TableVerdict::kUnchecked);
  EXPECT_THAT(status_text(status), HasSubstr("  a.y  not compared yet\n"));
}

TEST(StatusReport, CommitThatNeverWasHasNoTime) {
  LinkStatus status = streaming();
  status.counters = {{"transactions", 0}, {"last_commit_time", "2000-01-01 00:00:00+00"}};
  EXPECT_TRUE(json_of(status)["links"][0]["counters"]["last_commit_time"].is_null());
  EXPECT_THAT(text_of(status), HasSubstr("last       source commit none yet\n"));
  // Of teal's own, which the other link has brought.
  status.counters = {{"transactions", 8}, {"last_commit_time", "2000-01-01 00:00:00.000000+00"}};
  EXPECT_TRUE(json_of(status)["links"][0]["counters"]["last_commit_time"].is_null());
  status.counters = {{"transactions", 1}, {"last_commit_time", "2026-11-20 13:23:18+00"}};
  EXPECT_EQ(json_of(status)["links"][0]["counters"]["last_commit_time"], "2026-11-20 13:23:18+00");
  EXPECT_THAT(text_of(status), HasSubstr("last       source commit of 2026-11-20 13:23:18+00\n"));
}

TEST(StatusReport, ProblemOfSeveralLinesStaysBelowItsTable) {
  LinkStatus status = streaming();
  status.tables[1].copy.problem = "green: a\n  mend: b\ngreen: c\n  mend: d";
  EXPECT_THAT(text_of(status), HasSubstr("  a.y  pending: green: a\n      mend: b\n    green: c\n      mend: d\n"));
}

TEST(StatusReport, NothingToApplyIsNoLagHoweverLongAgoItWas) {
  LinkStatus status = streaming();
  status.stale_seconds = 3600;
  EXPECT_EQ(status.lag_seconds(), 3600);
  status.progress.applied = status.source_lsn;
  EXPECT_EQ(status.lag_seconds(), 0.0);
}

}  // namespace
}  // namespace teal
