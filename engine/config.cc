#include "engine/config.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "engine/config_file.h"
#include "engine/pg_error.h"
#include "engine/pg_handle.h"

namespace teal {
namespace {

constexpr const char* kDefaultFile = "teal.yml";
constexpr std::uintmax_t kFileBytesMax = std::uintmax_t{1} << 20;

std::optional<std::string> non_empty(std::optional<std::string> value) {
  return value && value->empty() ? std::nullopt : value;
}

std::optional<std::string> file_name(const ConfigFlags& flags, const Environment& environment) {
  if (flags.file) return flags.file;
  if (const auto named = non_empty(environment("TEAL_CONFIG"))) return named;
  std::error_code ignored;
  if (std::filesystem::exists(kDefaultFile, ignored)) return kDefaultFile;
  return std::nullopt;
}

std::string read_whole_file(const std::string& name) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(name, error)) {
    throw Stopped(StopCode::kUsage, name +
                                        ": there is no such file; name the configuration with --config or "
                                        "TEAL_CONFIG");
  }
  if (std::filesystem::file_size(name, error) > kFileBytesMax) {
    throw Stopped(StopCode::kUsage, name + ": is larger than 1 MiB, so it is no configuration of teal");
  }
  std::ifstream in(name, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw Stopped(StopCode::kUsage, name + ": cannot be read; check its permissions");
  return text.str();
}

// Only that it is wrong, not how: libpq's messages quote parts of the string, and a part may be the password.
void check_conninfo(const std::string& side, const std::string& conninfo, bool file_was_right,
                    std::vector<std::string>& problems) {
  if (conninfo.empty()) {
    if (!file_was_right) return;  // the mistake there may be the reason
    std::string upper = side;
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    problems.push_back(side + ": where is this database? say it with --" + side + ", in the environment as TEAL_" +
                       upper + ", or in the configuration file as \"" + side +
                       ": postgresql://teal@host:5432/database\"");
    return;
  }
  const ConninfoHandle parsed(PQconninfoParse(conninfo.c_str(), nullptr));
  if (!parsed) {
    problems.push_back(side +
                       ": is not a connection string that libpq understands: use "
                       "postgresql://user@host:port/database or key=value pairs, special characters escaped");
  }
}

void apply_log_choice(const std::string& source, const std::optional<std::string>& level, LogConfig& log,
                      std::vector<std::string>& problems) {
  if (!level) return;
  if (const auto parsed = parse_log_level(*level)) {
    log.level = *parsed;
  } else {
    problems.push_back(source + ": \"" + *level + "\" is not debug, info, warn or error");
  }
}

}  // namespace

const TableConflicts* ConflictConfig::rule_of(const TableName& table) const {
  const auto rule =
      std::find_if(tables.begin(), tables.end(), [&](const TableConflicts& one) { return one.tables.matches(table); });
  return rule == tables.end() ? nullptr : &*rule;
}

ConflictPolicy ConflictConfig::policy_of(const TableName& table) const {
  const TableConflicts* rule = rule_of(table);
  return rule == nullptr ? default_policy : rule->policy.value_or(default_policy);
}

std::string ConflictConfig::version_column_of(const TableName& table) const {
  const TableConflicts* rule = rule_of(table);
  return rule == nullptr ? "" : rule->version_column;
}

bool ConflictConfig::logs_rows_of(const TableName& table) const {
  const TableConflicts* rule = rule_of(table);
  return rule == nullptr ? log_rows : rule->log_rows.value_or(log_rows);
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Config load_config(const ConfigFlags& flags, const Environment& environment) {
  Config config;
  std::vector<std::string> problems;
  if (const auto file = file_name(flags, environment)) {
    read_config_file(*file, read_whole_file(*file), environment, config, problems);
  }
  const auto override_with = [&](std::string& value, const std::optional<std::string>& flag, const char* variable) {
    if (const auto set = non_empty(environment(variable))) value = *set;
    if (flag) value = *flag;
  };
  override_with(config.blue, flags.blue, "TEAL_BLUE");
  override_with(config.green, flags.green, "TEAL_GREEN");
  apply_log_choice("TEAL_LOG_LEVEL", non_empty(environment("TEAL_LOG_LEVEL")), config.log, problems);
  apply_log_choice("--log-level", flags.log_level, config.log, problems);
  if (flags.log_format) {
    const auto format = parse_log_format(*flags.log_format);
    if (format) config.log.format = *format;
    if (!format) problems.push_back("--log-format: \"" + *flags.log_format + "\" is neither text nor json");
  }
  if (config.apply.spill_dir.empty()) config.apply.spill_dir = non_empty(environment("TMPDIR")).value_or("/var/tmp");
  const bool right = problems.empty();
  check_conninfo("blue", config.blue, right, problems);
  check_conninfo("green", config.green, right, problems);
  if (problems.empty()) return config;
  std::string text;
  for (const std::string& line : problems) text += (text.empty() ? "" : "\n") + line;
  throw Stopped(StopCode::kUsage, text);
}

}  // namespace teal
