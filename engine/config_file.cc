// Reads the configuration file.
//
// Design: each section is a list of keys with what each does with its value, so that reading, the search for unknown
// keys and "did you mean" share one list. Values are scalars from which this file makes numbers itself: yaml-cpp's
// conversions accept too much (octal, "1e3", "~") and name no key. Rejected: a schema language; there are few keys.
#include "engine/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "conflict/policy.h"
#include "engine/config_values.h"
#include "engine/nearest_name.h"

namespace teal {
namespace {

constexpr std::chrono::milliseconds kKeepMin = std::chrono::minutes(1);
constexpr std::chrono::milliseconds kKeepMax = std::chrono::hours(24 * 36'500);
constexpr std::chrono::milliseconds kVerifyLagLeast = std::chrono::seconds(6);

class FileReader {
 public:
  FileReader(std::string file, const Environment& environment, std::vector<std::string>& problems)
      : file_(std::move(file)), environment_(environment), problems_(problems) {}

  void read(const YAML::Node& root, Config& config);

 private:
  using Reader = std::function<void(const YAML::Node&, const std::string&)>;
  struct Key {
    std::string name;
    Reader read;
  };

  void read_section(const YAML::Node& node, const std::string& path, const std::vector<Key>& keys);
  [[nodiscard]] Key unsupported(const std::string& name);
  [[nodiscard]] Key text(const std::string& name, std::string& out);
  template <typename T>
  [[nodiscard]] Key integer(const std::string& name, T& out, std::int64_t least, std::int64_t most);
  [[nodiscard]] Key bytes(const std::string& name, std::size_t& out, std::uint64_t least);
  [[nodiscard]] Key patterns(const std::string& name, std::vector<TablePattern>& out);
  [[nodiscard]] Key tables(TableSelection& out);
  [[nodiscard]] Key copy(CopyConfig& out);
  [[nodiscard]] Key verify(VerifyConfig& out);
  [[nodiscard]] Key apply(ApplyConfig& out);
  [[nodiscard]] Key conflicts(ConflictConfig& out);
  [[nodiscard]] Key table_conflicts(std::vector<TableConflicts>& out);
  [[nodiscard]] Key policy(const std::string& name, std::optional<ConflictPolicy>& out);
  template <typename T>
  [[nodiscard]] Key boolean(const std::string& name, T& out);
  [[nodiscard]] Key duration(const std::string& name, std::chrono::milliseconds& out);
  [[nodiscard]] Key sequences(SequenceConfig& out);
  [[nodiscard]] Key alerts(AlertConfig& out);
  [[nodiscard]] Key http(HttpConfig& out);
  [[nodiscard]] Key log(LogConfig& out);

  /// A key whose value `set` takes; `set` returns what is wrong with it, or "".
  [[nodiscard]] Key scalar(const std::string& name, std::function<std::string(const std::string&)> set);
  std::optional<std::string> scalar_value(const YAML::Node& node, const std::string& path);
  [[nodiscard]] std::string place(const YAML::Node& node) const {
    return file_ + ":" + std::to_string(node.Mark().line + 1);
  }
  void problem(const YAML::Node& node, const std::string& path, const std::string& what) {
    problems_.push_back(place(node) + ": " + path + (path.empty() ? "" : ": ") + what);
  }

  std::string file_;
  const Environment& environment_;
  std::vector<std::string>& problems_;
};

std::string join(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

void FileReader::read_section(const YAML::Node& node, const std::string& path, const std::vector<Key>& keys) {
  if (!node.IsMap()) return problem(node, path, "must hold key: value pairs");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      problem(entry.first, path, "a key must be a word");
      continue;
    }
    const std::string name = entry.first.Scalar();
    const std::string full = join(path, name);
    if (!seen.insert(name).second) {
      problem(entry.first, full, "is given twice");
      continue;
    }
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == name; });
    if (key != keys.end()) {
      key->read(entry.second, full);
      continue;
    }
    std::vector<std::string> names;
    names.reserve(keys.size());
    for (const Key& k : keys) names.push_back(k.name);
    problem(entry.first, full, "unknown key" + did_you_mean(nearest_names(name, names, 2)));
  }
}

// Part of the contract, but nothing here acts on it: refused, because a setting that is ignored is worse.
FileReader::Key FileReader::unsupported(const std::string& name) {
  return {name, [this](const YAML::Node& node, const std::string& path) {
            problem(node, path, "not supported by teal " TEAL_VERSION " yet; remove it");
          }};
}

std::optional<std::string> FileReader::scalar_value(const YAML::Node& node, const std::string& path) {
  if (!node.IsScalar()) {
    problem(node, path, node.IsNull() ? "has no value" : "must be a single value");
    return std::nullopt;
  }
  Expanded expanded = expand_variables(node.Scalar(), environment_);
  if (!expanded.problem.empty()) {
    problem(node, path, expanded.problem);
    return std::nullopt;
  }
  return std::move(expanded.text);
}

FileReader::Key FileReader::scalar(const std::string& name, std::function<std::string(const std::string&)> set) {
  return {name, [this, set = std::move(set)](const YAML::Node& node, const std::string& path) {
            const std::optional<std::string> value = scalar_value(node, path);
            if (!value) return;
            // Quoted as it stands in the file: what came from the environment may be a secret.
            const std::string wrong = set(*value);
            if (!wrong.empty()) problem(node, path, "\"" + node.Scalar() + "\" " + wrong);
          }};
}

FileReader::Key FileReader::text(const std::string& name, std::string& out) {
  return scalar(name, [&out](const std::string& value) {
    out = value;
    return "";
  });
}

template <typename T>
FileReader::Key FileReader::integer(const std::string& name, T& out, std::int64_t least, std::int64_t most) {
  return scalar(name, [&out, least, most](const std::string& value) -> std::string {
    const std::optional<std::int64_t> number = parse_integer(value);
    if (!number) return "is not a whole number";
    if (*number < least || *number > most) {
      return "is outside " + std::to_string(least) + ".." + std::to_string(most);
    }
    out = static_cast<T>(*number);
    return "";
  });
}

template <typename T>
FileReader::Key FileReader::boolean(const std::string& name, T& out) {
  return scalar(name, [&out](const std::string& value) -> std::string {
    const std::optional<bool> flag = parse_boolean(value);
    if (!flag) return "is neither true nor false";
    const bool on = *flag;
    out = on;
    return "";
  });
}

FileReader::Key FileReader::bytes(const std::string& name, std::size_t& out, std::uint64_t least) {
  return scalar(name, [&out, least](const std::string& value) -> std::string {
    const std::optional<std::uint64_t> number = parse_bytes(value);
    if (!number) return "is not a size like 65536, 64KiB, 16MiB or 1GiB";
    if (*number < least) return "is less than " + std::to_string(least >> 10U) + "KiB";
    if (*number > std::numeric_limits<std::size_t>::max()) return "is too large";
    out = static_cast<std::size_t>(*number);
    return "";
  });
}

FileReader::Key FileReader::patterns(const std::string& name, std::vector<TablePattern>& out) {
  return {name, [this, &out](const YAML::Node& node, const std::string& path) {
            if (!node.IsSequence()) return problem(node, path, "must be a list like [\"public.*\"]");
            for (const auto& item : node) {
              const std::optional<std::string> value = scalar_value(item, path);
              if (!value) continue;
              std::optional<TablePattern> pattern = TablePattern::parse(*value, place(item) + ": " + path);
              if (pattern) {
                out.push_back(std::move(*pattern));
              } else {
                problem(item, path, "\"" + item.Scalar() + "\" is not schema.table; write for example public.users");
              }
            }
          }};
}

FileReader::Key FileReader::tables(TableSelection& out) {
  return {"tables", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path, {patterns("include", out.include), patterns("exclude", out.exclude)});
          }};
}

FileReader::Key FileReader::copy(CopyConfig& out) {
  return {"copy", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path,
                         {integer("jobs", out.jobs, 1, 64), boolean("schema", out.schema),
                          bytes("split_larger_than", out.split_larger_than, 0), bytes("max_rate", out.max_rate, 0)});
          }};
}

FileReader::Key FileReader::apply(ApplyConfig& out) {
  return {"apply", [this, &out](const YAML::Node& node, const std::string& path) {
            const std::size_t problems_before = problems_.size();
            read_section(
                node, path,
                {integer("batch_rows_max", out.batch_rows_max, 1, 1'000'000),
                 bytes("batch_bytes_max", out.batch_bytes_max, 64U << 10U),
                 bytes("queue_bytes_max", out.queue_bytes_max, 64U << 10U), duration("lock_timeout", out.lock_timeout),
                 integer("two_way_batch_rows", out.two_way_batch_rows, 1, 1'000'000),
                 bytes("spill_bytes_max", out.spill_bytes_max, 0), text("spill_dir", out.spill_dir),
                 bytes("unseen_bytes_max", out.unseen_bytes_max, 64U << 10U)});
            if (problems_.size() == problems_before && out.queue_bytes_max < out.batch_bytes_max) {
              problem(node, path,
                      "queue_bytes_max (" + std::to_string(out.queue_bytes_max) + ") is less than batch_bytes_max (" +
                          std::to_string(out.batch_bytes_max) + "): a batch could never fill");
            }
          }};
}

FileReader::Key FileReader::verify(VerifyConfig& out) {
  return {"verify", [this, &out](const YAML::Node& node, const std::string& path) {
            const std::size_t problems_before = problems_.size();
            read_section(node, path,
                         {integer("jobs", out.jobs, 1, 64), integer("range_rows", out.range_rows, 100, 10'000'000),
                          integer("max_diff_rows", out.max_diff_rows, 1, 1'000'000), duration("max_age", out.max_age),
                          duration("statement_time", out.statement_time), duration("max_lag", out.max_lag),
                          boolean("continuous", out.continuous), integer("max_rate", out.max_rate, 0, 1'000'000'000)});
            if (problems_.size() == problems_before && out.max_lag.count() > 0 && out.max_lag < kVerifyLagLeast) {
              problem(node, path, "max_lag is less than 6s: an idle link tells only every five seconds how far it is");
            }
          }};
}

FileReader::Key FileReader::duration(const std::string& name, std::chrono::milliseconds& out) {
  return scalar(name, [&out](const std::string& value) -> std::string {
    const auto parsed = parse_duration(value);
    if (!parsed) return "is not a time like 200ms, 5s, 10m, 1h or 2d";
    out = *parsed;
    return "";
  });
}

FileReader::Key FileReader::policy(const std::string& name, std::optional<ConflictPolicy>& out) {
  return scalar(name, [&out](const std::string& value) -> std::string {
    out = parse_conflict_policy(value);
    return out ? "" : "is not last_update_wins, first_update_wins, blue_wins, green_wins or error";
  });
}

FileReader::Key FileReader::table_conflicts(std::vector<TableConflicts>& out) {
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

FileReader::Key FileReader::conflicts(ConflictConfig& out) {
  return {"conflicts", [this, &out](const YAML::Node& node, const std::string& path) {
            std::optional<ConflictPolicy> chosen;
            const std::size_t problems_before = problems_.size();
            read_section(node, path,
                         {policy("default", chosen), table_conflicts(out.tables), boolean("log_rows", out.log_rows),
                          duration("keep", out.keep)});
            if (problems_.size() == problems_before && (out.keep < kKeepMin || out.keep > kKeepMax)) {
              problem(node, path, "keep is outside 1m..36500d");
            }
            out.default_policy = chosen.value_or(out.default_policy);
          }};
}

FileReader::Key FileReader::sequences(SequenceConfig& out) {
  return {"sequences", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path, {boolean("interleave", out.interleave)});
          }};
}

FileReader::Key FileReader::alerts(AlertConfig& out) {
  return {"alerts", [this, &out](const YAML::Node& node, const std::string& path) {
            read_section(node, path,
                         {duration("slot_loss_in", out.slot_loss_in), unsupported("max_lag"), unsupported("webhook")});
          }};
}

FileReader::Key FileReader::http(HttpConfig& out) {
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

FileReader::Key FileReader::log(LogConfig& out) {
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
  std::vector<Key> keys{scalar("name", name),           text("blue", config.blue),  text("green", config.green),
                        scalar("direction", direction), scalar("writers", writers), text("pg_bindir", config.pg_bindir),
                        tables(config.tables),          copy(config.copy),          apply(config.apply),
                        conflicts(config.conflicts),    verify(config.verify),      sequences(config.sequences),
                        alerts(config.alerts),          http(config.http),          log(config.log)};
  for (const char* later : {"maps", "cutover", "migrations"}) {
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
