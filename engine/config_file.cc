// Reads the configuration file: its sections and their keys.
#include "engine/config_file.h"

#include <algorithm>
#include <utility>

#include "conflict/policy.h"
#include "engine/config_reader.h"
#include "engine/config_values.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kKeepMin = std::chrono::minutes(1);
constexpr std::chrono::milliseconds kKeepMax = std::chrono::hours(24 * 36'500);
constexpr std::chrono::milliseconds kPauseBudgetMin{100};
constexpr std::chrono::milliseconds kVerifyLagLeast = std::chrono::seconds(6);

class FileReader : private ConfigReader {
 public:
  using ConfigReader::ConfigReader;

  void read(const YAML::Node& root, Config& config);

 private:
  [[nodiscard]] Key tables(TableSelection& out);
  [[nodiscard]] Key copy(CopyConfig& out);
  [[nodiscard]] Key verify(VerifyConfig& out);
  [[nodiscard]] Key apply(ApplyConfig& out);
  [[nodiscard]] Key conflicts(ConflictConfig& out);
  [[nodiscard]] Key table_conflicts(std::vector<TableConflicts>& out);
  [[nodiscard]] Key policy(const std::string& name, std::optional<ConflictPolicy>& out);
  [[nodiscard]] Key sequences(SequenceConfig& out);
  [[nodiscard]] Key pgbouncer(std::vector<PgBouncerConfig>& out);
  [[nodiscard]] Key cutover(CutoverConfig& out);
  [[nodiscard]] Key alerts(AlertConfig& out);
  [[nodiscard]] Key http(HttpConfig& out);
  [[nodiscard]] Key log(LogConfig& out);
};

ConfigReader::Key FileReader::tables(TableSelection& out) {
  return {"tables", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path, {patterns("include", out.include), patterns("exclude", out.exclude)});
          }};
}

ConfigReader::Key FileReader::copy(CopyConfig& out) {
  return {"copy", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path,
                         {integer("jobs", out.jobs, 1, 64), boolean("schema", out.schema),
                          bytes("split_larger_than", out.split_larger_than, 0), bytes("max_rate", out.max_rate, 0)});
          }};
}

ConfigReader::Key FileReader::apply(ApplyConfig& out) {
  return {"apply", [this, &out](const YAML::Node& node, const std::string& path) {
            const std::size_t problems_before = problem_count();
            read_section(
                node, path,
                {integer("batch_rows_max", out.batch_rows_max, 1, 1'000'000),
                 bytes("batch_bytes_max", out.batch_bytes_max, 64U << 10U),
                 bytes("queue_bytes_max", out.queue_bytes_max, 64U << 10U), duration("lock_timeout", out.lock_timeout),
                 integer("two_way_batch_rows", out.two_way_batch_rows, 1, 1'000'000),
                 bytes("spill_bytes_max", out.spill_bytes_max, 0), text("spill_dir", out.spill_dir),
                 bytes("unseen_bytes_max", out.unseen_bytes_max, 64U << 10U)});
            if (problem_count() == problems_before && out.queue_bytes_max < out.batch_bytes_max) {
              problem(node, path,
                      "queue_bytes_max (" + std::to_string(out.queue_bytes_max) + ") is less than batch_bytes_max (" +
                          std::to_string(out.batch_bytes_max) + "): a batch could never fill");
            }
          }};
}

ConfigReader::Key FileReader::verify(VerifyConfig& out) {
  return {"verify", [this, &out](const YAML::Node& node, const std::string& path) {
            const std::size_t problems_before = problem_count();
            read_section(node, path,
                         {integer("jobs", out.jobs, 1, 64), integer("range_rows", out.range_rows, 100, 10'000'000),
                          integer("max_diff_rows", out.max_diff_rows, 1, 1'000'000), duration("max_age", out.max_age),
                          duration("statement_time", out.statement_time), duration("max_lag", out.max_lag),
                          boolean("continuous", out.continuous), integer("max_rate", out.max_rate, 0, 1'000'000'000)});
            if (problem_count() == problems_before && out.max_lag.count() > 0 && out.max_lag < kVerifyLagLeast) {
              problem(node, path, "max_lag is less than 6s: an idle link tells only every five seconds how far it is");
            }
          }};
}

ConfigReader::Key FileReader::policy(const std::string& name, std::optional<ConflictPolicy>& out) {
  return scalar(name, [&out](const std::string& value) -> std::string {
    out = parse_conflict_policy(value);
    return out ? "" : "is not last_update_wins, first_update_wins, blue_wins, green_wins or error";
  });
}

ConfigReader::Key FileReader::table_conflicts(std::vector<TableConflicts>& out) {
  return {"tables", [this, &out](const YAML::Node& node, const std::string& path) {
            if (!node.IsMap()) return problem(node, path, "must hold schema.table: { ... } pairs");
            for (const auto& entry : node) {
              const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
              const std::string full = join(path, name);
              std::optional<TablePattern> pattern = TablePattern::parse(name, place(entry.first) + ": " + path);
              if (!pattern) {
                problem(entry.first, path, "\"" + name + "\" is not schema.table; write for example public.users");
                continue;
              }
              TableConflicts rule{std::move(*pattern), {}, {}, {}};
              read_section(entry.second, full,
                           {policy("policy", rule.policy), text("version_column", rule.version_column),
                            boolean("log_rows", rule.log_rows)});
              const bool by_column = !rule.version_column.empty();
              if (rule.policy && by_column) {
                problem(entry.first, full, "has both a policy and a version_column: keep the one that decides");
              } else if (!rule.policy && !by_column && !rule.log_rows) {
                problem(entry.first, full, "has neither a policy nor a version_column");
              } else {
                if (by_column) rule.policy = ConflictPolicy::kVersionColumn;
                out.push_back(std::move(rule));
              }
            }
          }};
}

ConfigReader::Key FileReader::conflicts(ConflictConfig& out) {
  return {"conflicts", [this, &out](const YAML::Node& node, const std::string& path) {
            std::optional<ConflictPolicy> chosen;
            const std::size_t problems_before = problem_count();
            read_section(node, path,
                         {policy("default", chosen), table_conflicts(out.tables), boolean("log_rows", out.log_rows),
                          duration("keep", out.keep)});
            if (problem_count() == problems_before && (out.keep < kKeepMin || out.keep > kKeepMax)) {
              problem(node, path, "keep is outside 1m..36500d");
            }
            out.default_policy = chosen.value_or(out.default_policy);
          }};
}

ConfigReader::Key FileReader::sequences(SequenceConfig& out) {
  return {"sequences", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path, {boolean("interleave", out.interleave)});
          }};
}

ConfigReader::Key FileReader::pgbouncer(std::vector<PgBouncerConfig>& out) {
  return {"pgbouncer", [this, &out](const YAML::Node& node, const std::string& path) {
            if (!node.IsSequence()) {
              return problem(node, path, "must be a list of { admin: ..., database: ..., config: ... }");
            }
            for (const auto& item : node) {
              PgBouncerConfig pooler;
              const std::size_t problems_before = problem_count();
              read_section(item, path,
                           {text("admin", pooler.admin), text("database", pooler.database),
                            text("config", pooler.config), text("blue", pooler.blue), text("green", pooler.green)});
              if (problem_count() > problems_before) continue;
              if (pooler.admin.empty() || pooler.database.empty() || pooler.config.empty()) {
                problem(item, path, "needs admin, database and config");
              } else {
                out.push_back(std::move(pooler));
              }
            }
          }};
}

ConfigReader::Key FileReader::cutover(CutoverConfig& out) {
  const auto hooks = [this, &out](const YAML::Node& node, const std::string& path) {
    read_section(node, path,
                 {text("before", out.hooks.before), text("repoint", out.hooks.repoint), text("after", out.hooks.after),
                  text("failed", out.hooks.failed)});
  };
  return {"cutover", [this, &out, hooks](const YAML::Node& node, const std::string& path) {
            const std::size_t problems_before = problem_count();
            read_section(node, path,
                         {duration("max_lag", out.max_lag), duration("pause_budget", out.pause_budget),
                          duration("timeout", out.timeout), integer("tries", out.tries, 1, 100),
                          integer("sequence_margin", out.sequence_margin, 0, 1'000'000'000),
                          boolean("end_writers", out.end_writers), boolean("end_connections", out.end_connections),
                          pgbouncer(out.pgbouncer), Key{"hooks", hooks}});
            if (problem_count() > problems_before) return;
            if (out.pause_budget < kPauseBudgetMin) problem(node, path, "pause_budget is less than 100ms");
            if (out.timeout < out.pause_budget) problem(node, path, "timeout is less than pause_budget");
          }};
}

ConfigReader::Key FileReader::alerts(AlertConfig& out) {
  return {"alerts", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path,
                         {duration("slot_loss_in", out.slot_loss_in), unsupported("max_lag"), unsupported("webhook")});
          }};
}

ConfigReader::Key FileReader::http(HttpConfig& out) {
  const auto listen = [&out](const std::string& value) -> std::string {
    out.listen = value;
    if (value.empty() || parse_listen_address(value)) return "";
    return "is no address of this machine alone, like 127.0.0.1:8080: there is no password, so others come through a "
           "proxy that asks for one";
  };
  return {"http", [this, listen](const YAML::Node& node, const std::string& path) {
            read_section(node, path, {scalar("listen", listen)});
          }};
}

ConfigReader::Key FileReader::log(LogConfig& out) {
  const auto level = [&out](const std::string& value) -> std::string {
    const std::optional<LogLevel> parsed = parse_log_level(value);
    if (parsed) out.level = *parsed;
    return parsed ? "" : "is not debug, info, warn or error";
  };
  const auto format = [&out](const std::string& value) -> std::string {
    const std::optional<LogFormat> parsed = parse_log_format(value);
    if (parsed) out.format = *parsed;
    return parsed ? "" : "is neither text nor json";
  };
  return {"log", [this, level, format](const YAML::Node& node, const std::string& path) {
            read_section(node, path, {scalar("level", level), scalar("format", format)});
          }};
}

bool valid_name(const std::string& name) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 32 && letter(name.front()) && std::all_of(name.begin(), name.end(), allowed);
}

void FileReader::read(const YAML::Node& root, Config& config) {
  if (root.IsNull()) return;
  const auto name = [&config](const std::string& value) -> std::string {
    if (!valid_name(value)) return "must be 1 to 32 of a-z and 0-9, a letter first";
    config.name = value;
    return "";
  };
  const auto direction = [&config](const std::string& value) -> std::string {
    config.direction = value == "both" ? Direction::kBoth : Direction::kForward;
    return value == "both" || value == "forward" ? "" : "is neither both nor forward";
  };
  const auto writers = [&config](const std::string& value) -> std::string {
    config.writers = value == "both" ? Writers::kBoth : Writers::kOne;
    return value == "both" || value == "one" ? "" : "is neither one nor both";
  };
  std::vector<Key> keys{scalar("name", name),        text("blue", config.blue),
                        text("green", config.green), scalar("direction", direction),
                        scalar("writers", writers),  text("pg_bindir", config.pg_bindir),
                        tables(config.tables),       copy(config.copy),
                        apply(config.apply),         conflicts(config.conflicts),
                        verify(config.verify),       sequences(config.sequences),
                        cutover(config.cutover),     alerts(config.alerts),
                        http(config.http),           log(config.log)};
  for (const char* later : {"maps", "migrations"}) {
    keys.push_back(unsupported(later));
  }
  read_section(root, "", keys);
}

}  // namespace

void read_config_file(const std::string& file, const std::string& text, const Environment& environment, Config& config,
                      std::vector<std::string>& problems) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      problems.push_back(file + ": holds more than one YAML document");
      return;
    }
    if (!documents.empty()) FileReader(file, environment, problems).read(documents.front(), config);
  } catch (const YAML::Exception& error) {
    problems.push_back(file + ":" + std::to_string(error.mark.line + 1) + ": not valid YAML: " + error.msg);
  }
}

}  // namespace teal
