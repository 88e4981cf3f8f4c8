#include "engine/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "engine/config_file.h"
#include "engine/config_values.h"
#include "engine/nearest_name.h"
#include "engine/pg_error.h"
#include "tests/support/scratch_directory.h"

namespace teal {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

struct FileResult {
  Config config;
  std::vector<std::string> problems;
};

FileResult read(const std::string& text, const Environment& variables = environment({})) {
  FileResult result;
  read_config_file("teal.yml", text, variables, result.config, result.problems);
  return result;
}

// A usage error's text; fails the test when there is none.
std::string usage_error(const ConfigFlags& flags, const Environment& variables) {
  try {
    static_cast<void>(load_config(flags, variables));
  } catch (const Stopped& stopped) {
    EXPECT_EQ(stopped.code(), StopCode::kUsage);
    return stopped.what();
  }
  ADD_FAILURE() << "the configuration was accepted";
  return "";
}

TEST(ConfigValues, ReadsByteSizes) {
  const std::map<std::string, std::uint64_t> good{{"0", 0},
                                                  {"65536", 65536},
                                                  {"7B", 7},
                                                  {"64KiB", 65536},
                                                  {"16MiB", 16U << 20U},
                                                  {"1GiB", 1U << 30U},
                                                  {"2TiB", std::uint64_t{2} << 40U}};
  for (const auto& [text, bytes] : good) EXPECT_EQ(parse_bytes(text), bytes) << text;
  for (const char* bad :
       {"", "MiB", "-1", "1.5MiB", "4 MiB", "4MB", "4mib", "4MiBs", "9999999999TiB", "99999999999999999999"}) {
    EXPECT_EQ(parse_bytes(bad), std::nullopt) << bad;
  }
}

TEST(ConfigValues, ReadsDurations) {
  const std::map<std::string, milliseconds> good{{"0", milliseconds(0)},     {"200ms", milliseconds(200)},
                                                 {"1s", milliseconds(1000)}, {"5m", milliseconds(300'000)},
                                                 {"2h", hours(2)},           {"30d", hours(720)}};
  for (const auto& [text, duration] : good) EXPECT_EQ(parse_duration(text), duration) << text;
  for (const char* bad : {"", "200", "ms", "-1s", "1.5s", "1 s", "1S", "1w", "99999999999999999d"}) {
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
  }
}

TEST(ConfigValues, ReplacesVariablesOnce) {
  const Environment variables = environment({{"A", "${B}"}, {"B", "b"}, {"EMPTY", ""}});
  EXPECT_EQ(expand_variables("x${A}y${EMPTY}${B}", variables).text, "x${B}yb");
  EXPECT_EQ(expand_variables("costs $5 {A} $A", variables).text, "costs $5 {A} $A");
  for (const char* bad : {"${NOPE}", "${", "${}", "${A", "${9A}", "${A B}"}) {
    EXPECT_THAT(expand_variables(bad, variables).problem, Not(IsEmpty())) << bad;
  }
}

TEST(NearestName, OffersWhatIsNearAndNothingElse) {
  const std::vector<std::string> names{"include", "exclude", "blue"};
  EXPECT_THAT(nearest_names("inclde", names, 2), ElementsAre("include"));
  EXPECT_THAT(nearest_names("password", names, 2), IsEmpty());
  EXPECT_EQ(did_you_mean(names), "; did you mean include, exclude or blue?");
  EXPECT_EQ(did_you_mean({}), "");
}

TEST(ConfigFile, ReadsEveryKey) {
  const FileResult result = read(R"(
name: shop2
blue: host=old
green: "host=new password=${SECRET}"
direction: both
writers: both
pg_bindir: /usr/bin
tables:
  include: ["public.*", 'app."odd.name"']
  exclude: [public.audit_*]
copy: { jobs: 4, schema: false, split_larger_than: 2GiB, max_rate: 10MiB }
apply: { batch_rows_max: 10, batch_bytes_max: 64KiB, queue_bytes_max: 1MiB }
conflicts:
  default: blue_wins
  tables: { public.stock: { version_column: version }, "app.*": { policy: error, log_rows: true }, a.b: { log_rows: true } }
  log_rows: false
  keep: 7d
verify: { max_age: 2h, continuous: true, max_rate: 5000, statement_time: 300ms, max_lag: 1m }
sequences: { interleave: true }
log: { level: debug, format: json }
)",
                                 environment({{"SECRET", "s"}}));
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_EQ(result.config.name, "shop2");
  EXPECT_EQ(result.config.blue, "host=old");
  EXPECT_EQ(result.config.green, "host=new password=s");
  EXPECT_EQ(result.config.pg_bindir, "/usr/bin");
  ASSERT_EQ(result.config.tables.include.size(), 2U);
  EXPECT_EQ(result.config.tables.include[1].where(), "teal.yml:9: tables.include");
  ASSERT_EQ(result.config.tables.exclude.size(), 1U);
  EXPECT_EQ(result.config.copy.jobs, 4);
  EXPECT_EQ(result.config.copy.split_larger_than, std::size_t{2} << 30);
  EXPECT_EQ(result.config.copy.max_rate, std::size_t{10} << 20);
  EXPECT_FALSE(result.config.copy.schema);
  EXPECT_EQ(result.config.apply.batch_rows_max, 10U);
  EXPECT_EQ(result.config.apply.batch_bytes_max, 65536U);
  EXPECT_EQ(result.config.apply.queue_bytes_max, 1U << 20U);
  EXPECT_EQ(result.config.log.level, LogLevel::kDebug);
  EXPECT_EQ(result.config.log.format, LogFormat::kJson);
  EXPECT_EQ(result.config.direction, Direction::kBoth);
  EXPECT_EQ(result.config.writers, Writers::kBoth);
  const ConflictConfig& conflicts = result.config.conflicts;
  EXPECT_EQ(conflicts.policy_of({"public", "users"}), ConflictPolicy::kBlueWins);
  EXPECT_EQ(conflicts.policy_of({"public", "stock"}), ConflictPolicy::kVersionColumn);
  EXPECT_EQ(conflicts.version_column_of({"public", "stock"}), "version");
  EXPECT_EQ(conflicts.policy_of({"app", "users"}), ConflictPolicy::kError);
  EXPECT_EQ(conflicts.version_column_of({"app", "users"}), "");
  EXPECT_EQ(conflicts.policy_of({"a", "b"}), ConflictPolicy::kBlueWins) << "the default one";
  EXPECT_TRUE(conflicts.logs_rows_of({"a", "b"}));
  EXPECT_TRUE(conflicts.logs_rows_of({"app", "users"}));
  EXPECT_FALSE(conflicts.logs_rows_of({"public", "stock"}));
  EXPECT_FALSE(conflicts.logs_rows_of({"public", "users"}));
  EXPECT_EQ(conflicts.keep, std::chrono::hours(7 * 24));
  EXPECT_TRUE(result.config.sequences.interleave);
  EXPECT_EQ(result.config.verify.max_age, std::chrono::hours(2));
  EXPECT_TRUE(result.config.verify.continuous);
  EXPECT_EQ(result.config.verify.max_rate, 5000U);
  EXPECT_EQ(result.config.verify.statement_time, milliseconds(300));
  EXPECT_EQ(result.config.verify.max_lag, milliseconds(60'000));
}

TEST(ConfigFile, LeavesDefaultsWhereNothingIsSaid) {
  for (const char* text : {"", "# nothing\n", "---\n", "{}"}) {
    const FileResult result = read(text);
    EXPECT_THAT(result.problems, IsEmpty()) << text;
    EXPECT_EQ(result.config.name, "default");
    EXPECT_EQ(result.config.copy.jobs, 2);
    EXPECT_EQ(result.config.copy.split_larger_than, std::size_t{1} << 30);
    EXPECT_EQ(result.config.copy.max_rate, 0U);
    EXPECT_EQ(result.config.apply.queue_bytes_max, 16U << 20U);
    EXPECT_TRUE(result.config.conflicts.logs_rows_of({"public", "users"}));
    EXPECT_EQ(result.config.conflicts.keep, std::chrono::hours(30 * 24));
    EXPECT_FALSE(result.config.sequences.interleave);
  }
}

TEST(ConfigFile, NamesFileLineAndKeyOfEachMistake) {
  struct Case {
    const char* text;
    const char* problem;
  };
  const Case cases[] = {
      {"blue: a\ntables: { inclde: [] }", "teal.yml:2: tables.inclde: unknown key; did you mean include?"},
      {"sequences: { interleaved: true }", "teal.yml:1: sequences.interleaved: unknown key; did you mean interleave?"},
      {"sequences: { interleave: odd }", "teal.yml:1: sequences.interleave: \"odd\" is neither true nor false"},
      {"nmae: x", "teal.yml:1: nmae: unknown key; did you mean name?"},
      {"zebra: 1", "teal.yml:1: zebra: unknown key"},
      {"name: Shop", "teal.yml:1: name: \"Shop\" must be 1 to 32 of a-z and 0-9, a letter first"},
      {"name: 1shop", "teal.yml:1: name: \"1shop\" must be"},
      {"name: a_b", "teal.yml:1: name: \"a_b\" must be"},
      {"name: abcdefghijklmnopqrstuvwxyz1234567", "teal.yml:1: name:"},
      {"name:", "teal.yml:1: name: has no value"},
      {"name: [a]", "teal.yml:1: name: must be a single value"},
      {"\n\ncopy: 3", "teal.yml:3: copy: must hold key: value pairs"},
      {"- a", "teal.yml:1: must hold key: value pairs"},
      {"copy:\n  jobs: 0", "teal.yml:2: copy.jobs: \"0\" is outside 1..64"},
      {"copy: { jobs: 65 }", "copy.jobs: \"65\" is outside 1..64"},
      {"copy: { jobs: many }", "copy.jobs: \"many\" is not a whole number"},
      {"copy: { jobs: 1e1 }", "copy.jobs: \"1e1\" is not a whole number"},
      {"copy: { schema: maybe }", "copy.schema: \"maybe\" is neither true nor false"},
      {"copy: { jobs: 1, jobs: 2 }", "copy.jobs: is given twice"},
      {"apply: { batch_rows_max: 1000001 }", "apply.batch_rows_max: \"1000001\" is outside 1..1000000"},
      {"apply: { batch_bytes_max: 63KiB }", "apply.batch_bytes_max: \"63KiB\" is less than 64KiB"},
      {"apply: { batch_bytes_max: lots }", "is not a size like"},
      {"apply: { batch_bytes_max: 32MiB }",
       "apply: queue_bytes_max (16777216) is less than batch_bytes_max (33554432)"},
      {"log: { level: loud }", "log.level: \"loud\" is not debug, info, warn or error"},
      {"log: { format: xml }", "log.format: \"xml\" is neither text nor json"},
      {"tables: { include: public.* }", "tables.include: must be a list"},
      {"tables:\n  include:\n    - users", "teal.yml:3: tables.include: \"users\" is not schema.table"},
      {"writers: three", "teal.yml:1: writers: \"three\" is neither one nor both"},
      {"apply: { lock_timeout: soon }", "apply.lock_timeout: \"soon\" is not a time like"},
      {"conflicts: { default: mine }", "conflicts.default: \"mine\" is not last_update_wins, first_update_wins"},
      {"conflicts: { tables: [a.b] }", "conflicts.tables: must hold schema.table: { ... } pairs"},
      {"conflicts: { tables: { stock: { policy: error } } }", "conflicts.tables: \"stock\" is not schema.table"},
      {"conflicts: { tables: { a.b: {} } }", "conflicts.tables.a.b: has neither a policy nor a version_column"},
      {"conflicts: { tables: { a.b: { policy: error, version_column: v } } }",
       "conflicts.tables.a.b: has both a policy and a version_column"},
      {"conflicts: { log_rows: some }", "conflicts.log_rows: \"some\" is neither true nor false"},
      {"conflicts: { keep: long }", "conflicts.keep: \"long\" is not a time like"},
      {"conflicts: { keep: 59s }", "conflicts: keep is outside 1m..36500d"},
      {"conflicts: { keep: 36501d }", "conflicts: keep is outside 1m..36500d"},
      {"direction: back", "teal.yml:1: direction: \"back\" is neither both nor forward"},
      {"green: x${NOPE}", "teal.yml:1: green: the environment variable NOPE is not set"},
      {"a: [", "teal.yml:1: not valid YAML"},
      {"blue: a\n\tgreen: b", "teal.yml:2: not valid YAML"},
      {"name: a\n---\nname: b", "teal.yml: holds more than one YAML document"},
      {"? [a]\n: b", "teal.yml:1: a key must be a word"},
  };
  for (const Case& one : cases) {
    const FileResult result = read(one.text);
    ASSERT_EQ(result.problems.size(), 1U) << one.text;
    EXPECT_THAT(result.problems[0], HasSubstr(one.problem)) << one.text;
  }
}

TEST(ConfigValues, S21ListensOnAddressesOfThisMachineOnly) {
  for (const auto& [text, host, port] :
       {std::tuple("127.0.0.1:8080", "127.0.0.1", 8080), std::tuple("127.9.8.7:0", "127.9.8.7", 0),
        std::tuple("[::1]:65535", "::1", 65535), std::tuple("localhost:80", "127.0.0.1", 80)}) {
    const auto address = parse_listen_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->host, host);
    EXPECT_EQ(address->port, port);
  }
  for (const char* bad : {"", "8080", ":8080", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "::1:8080", "127.0.0.1",
                          "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x", "[127.0.0.1]:80",
                          "example.org:80", "[]:80"}) {
    EXPECT_FALSE(parse_listen_address(bad)) << bad;
  }
  const FileResult refused = read("http: { listen: 0.0.0.0:8080 }");
  ASSERT_EQ(refused.problems.size(), 1U);
  EXPECT_THAT(refused.problems[0], HasSubstr("http.listen: \"0.0.0.0:8080\" is no address of this machine alone"));
  EXPECT_EQ(read("http: { listen: \"[::1]:9\" }").config.http.listen, "[::1]:9");
  EXPECT_EQ(read("").config.http.listen, "");
}

TEST(ConfigFile, RefusesKeysThatNothingActsOnYet) {
  for (const char* text : {"maps: []", "alerts: { max_lag: 5s }", "alerts: { webhook: x }", "migrations: {}"}) {
    const FileResult result = read(text);
    ASSERT_EQ(result.problems.size(), 1U) << text;
    EXPECT_THAT(result.problems[0], HasSubstr("not supported by teal " TEAL_VERSION " yet")) << text;
  }
}

TEST(ConfigFile, ReadsTheCutover) {
  const FileResult result = read(
      "cutover: { max_lag: 3s, pause_budget: 500ms, timeout: 1m, tries: 5, sequence_margin: 100, end_writers: true, "
      "end_connections: false, pgbouncer: [ { admin: a, database: d, config: c, green: \"host=g\" } ], hooks: { "
      "before: b, "
      "repoint: r, after: x, failed: f } }");
  ASSERT_EQ(result.problems, std::vector<std::string>{});
  const CutoverConfig& cutover = result.config.cutover;
  EXPECT_EQ(cutover.max_lag, std::chrono::seconds(3));
  EXPECT_EQ(cutover.pause_budget, std::chrono::milliseconds(500));
  EXPECT_EQ(cutover.timeout, std::chrono::minutes(1));
  EXPECT_EQ(cutover.tries, 5);
  EXPECT_EQ(cutover.sequence_margin, 100);
  EXPECT_TRUE(cutover.end_writers);
  EXPECT_FALSE(cutover.end_connections);
  ASSERT_EQ(cutover.pgbouncer.size(), 1U);
  EXPECT_EQ(cutover.pgbouncer[0].database, "d");
  EXPECT_EQ(cutover.pgbouncer[0].blue, "");
  EXPECT_EQ(cutover.pgbouncer[0].green, "host=g");
  EXPECT_EQ(cutover.hooks.repoint, "r");
}

TEST(ConfigFile, RefusesACutoverThatCannotBe) {
  for (const char* text : {"cutover: { pause_budget: 10ms }", "cutover: { pause_budget: 10s, timeout: 5s }",
                           "cutover: { pgbouncer: [ { admin: a, config: c } ] }", "cutover: { pgbouncer: {} }",
                           "cutover: { tries: 0 }", "cutover: { hooks: { during: x } }"}) {
    EXPECT_EQ(read(text).problems.size(), 1U) << text;
  }
}

TEST(ConfigFile, ReportsAllMistakesAtOnce) {
  EXPECT_EQ(read("nmae: x\ncopy: { jobs: 0 }\nlog: { level: x }").problems.size(), 3U);
}

TEST(ConfigFile, QuotesValuesAsTheyStandInTheFile) {
  const FileResult result = read("copy: { jobs: \"${N}\" }", environment({{"N", "canary"}}));
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_THAT(result.problems[0], HasSubstr("${N}"));
  EXPECT_THAT(result.problems[0], Not(HasSubstr("canary")));
}

/// In a directory of its own: a teal.yml of whoever runs the tests is none of theirs.
class LoadConfig : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::current_path(test::make_scratch_directory("config")); }
  void TearDown() override { std::filesystem::current_path(before_); }

 private:
  std::filesystem::path before_ = std::filesystem::current_path();
};

TEST_F(LoadConfig, TakesTheFileOfTheWorkingDirectoryWhenNoneIsNamed) {
  test::write_file("teal.yml", "name: here\nblue: host=a\ngreen: host=b\n");
  EXPECT_EQ(load_config({}, environment({})).name, "here");
}

TEST_F(LoadConfig, PrefersFlagToEnvironment) {
  ConfigFlags flags;
  flags.blue = "host=flag";
  flags.log_level = "error";
  const Config config = load_config(
      flags, environment({{"TEAL_BLUE", "host=env"}, {"TEAL_GREEN", "host=green"}, {"TEAL_LOG_LEVEL", "debug"}}));
  EXPECT_EQ(config.blue, "host=flag");
  EXPECT_EQ(config.green, "host=green");
  EXPECT_EQ(config.log.level, LogLevel::kError);
}

TEST_F(LoadConfig, SaysTheThreeWaysToNameADatabase) {
  const std::string text = usage_error({}, environment({{"TEAL_BLUE", "host=a"}}));
  EXPECT_THAT(text, HasSubstr("--green"));
  EXPECT_THAT(text, HasSubstr("TEAL_GREEN"));
  EXPECT_THAT(text, HasSubstr("configuration file"));
  EXPECT_THAT(text, Not(HasSubstr("--blue")));
}

TEST_F(LoadConfig, NeverPrintsAConnectionString) {
  for (const char* broken :
       {"host=a password=canary x", "host=a password=ca nary=y", "postgresql://u:canary@[h/db", "canary"}) {
    const std::string text = usage_error({}, environment({{"TEAL_BLUE", broken}, {"TEAL_GREEN", "host=b"}}));
    EXPECT_THAT(text, HasSubstr("blue: is not a connection string")) << broken;
    EXPECT_THAT(text, Not(HasSubstr("nary"))) << broken;
  }
}

TEST_F(LoadConfig, RefusesAFileThatIsNotThere) {
  EXPECT_THAT(usage_error({}, environment({{"TEAL_CONFIG", "/nonexistent/teal.yml"}})),
              HasSubstr("/nonexistent/teal.yml: there is no such file"));
}

TEST_F(LoadConfig, RefusesUnknownLogSettings) {
  ConfigFlags flags;
  flags.blue = flags.green = "host=a";
  flags.log_format = "xml";
  EXPECT_THAT(usage_error(flags, environment({{"TEAL_LOG_LEVEL", "loud"}})), HasSubstr("TEAL_LOG_LEVEL: \"loud\""));
  EXPECT_THAT(usage_error(flags, environment({})), HasSubstr("--log-format: \"xml\""));
}

}  // namespace
}  // namespace teal
