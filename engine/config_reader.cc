#include "engine/config_reader.h"

#include <algorithm>
#include <limits>
#include <set>

#include "engine/config_values.h"
#include "engine/nearest_name.h"

namespace teal {

void ConfigReader::read_section(const YAML::Node& node, const std::string& path, const std::vector<Key>& keys) {
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

ConfigReader::Key ConfigReader::unsupported(const std::string& name) {
  return {name, [this](const YAML::Node& node, const std::string& path) {
            problem(node, path, "not supported by teal " TEAL_VERSION " yet; remove it");
          }};
}

std::optional<std::string> ConfigReader::scalar_value(const YAML::Node& node, const std::string& path) {
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

ConfigReader::Key ConfigReader::scalar(const std::string& name, std::function<std::string(const std::string&)> set) {
  return {name, [this, set = std::move(set)](const YAML::Node& node, const std::string& path) {
            const std::optional<std::string> value = scalar_value(node, path);
            if (!value) return;
            // Quoted as it stands in the file: what came from the environment may be a secret.
            const std::string wrong = set(*value);
            if (!wrong.empty()) problem(node, path, "\"" + node.Scalar() + "\" " + wrong);
          }};
}

ConfigReader::Key ConfigReader::text(const std::string& name, std::string& out) {
  return scalar(name, [&out](const std::string& value) {
    out = value;
    return "";
  });
}

ConfigReader::Key ConfigReader::integer_of(const std::string& name, std::function<void(std::int64_t)> set,
                                           std::int64_t least, std::int64_t most) {
  return scalar(name, [set = std::move(set), least, most](const std::string& value) -> std::string {
    const std::optional<std::int64_t> number = parse_integer(value);
    if (!number) return "is not a whole number";
    if (*number < least || *number > most) {
      return "is outside " + std::to_string(least) + ".." + std::to_string(most);
    }
    set(*number);
    return "";
  });
}

ConfigReader::Key ConfigReader::boolean_of(const std::string& name, std::function<void(bool)> set) {
  return scalar(name, [set = std::move(set)](const std::string& value) -> std::string {
    const std::optional<bool> flag = parse_boolean(value);
    if (!flag) return "is neither true nor false";
    set(*flag);
    return "";
  });
}

ConfigReader::Key ConfigReader::bytes(const std::string& name, std::size_t& out, std::uint64_t least) {
  return scalar(name, [&out, least](const std::string& value) -> std::string {
    const std::optional<std::uint64_t> number = parse_bytes(value);
    if (!number) return "is not a size like 65536, 64KiB, 16MiB or 1GiB";
    if (*number < least) return "is less than " + std::to_string(least >> 10U) + "KiB";
    if (*number > std::numeric_limits<std::size_t>::max()) return "is too large";
    out = static_cast<std::size_t>(*number);
    return "";
  });
}

ConfigReader::Key ConfigReader::patterns(const std::string& name, std::vector<TablePattern>& out) {
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

ConfigReader::Key ConfigReader::duration(const std::string& name, std::chrono::milliseconds& out) {
  return scalar(name, [&out](const std::string& value) -> std::string {
    const auto parsed = parse_duration(value);
    if (!parsed) return "is not a time like 200ms, 5s, 10m, 1h or 2d";
    out = *parsed;
    return "";
  });
}

}  // namespace teal
