#pragma once
#include <yaml-cpp/yaml.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/config.h"

namespace teal {

/// Reads sections of a configuration file: lists of keys, each with what it does with its value, so that reading, the
/// search for unknown keys and "did you mean" share one list. Values are scalars from which it makes numbers itself:
/// yaml-cpp's conversions accept too much (octal, "1e3", "~") and name no key. Rejected: a schema language; there are
/// few keys. What is wrong is noted with file, line and key, and reading goes on.
/// Lifetime: `environment` and `problems` outlive it, and what a key writes to outlives its reading. Threads: one.
class ConfigReader {
 public:
  ConfigReader(std::string file, const Environment& environment, std::vector<std::string>& problems)
      : file_(std::move(file)), environment_(environment), problems_(problems) {}

 protected:
  using Reader = std::function<void(const YAML::Node&, const std::string&)>;
  struct Key {
    std::string name;
    Reader read;
  };

  void read_section(const YAML::Node& node, const std::string& path, const std::vector<Key>& keys);
  /// Part of the contract, but nothing here acts on it: refused, because a setting that is ignored is worse.
  [[nodiscard]] Key unsupported(const std::string& name);
  /// A key whose value `set` takes; `set` returns what is wrong with it, or "".
  [[nodiscard]] Key scalar(const std::string& name, std::function<std::string(const std::string&)> set);
  [[nodiscard]] Key text(const std::string& name, std::string& out);
  template <typename T>
  [[nodiscard]] Key integer(const std::string& name, T& out, std::int64_t least, std::int64_t most);
  template <typename T>
  [[nodiscard]] Key boolean(const std::string& name, T& out);
  [[nodiscard]] Key bytes(const std::string& name, std::size_t& out, std::uint64_t least);
  [[nodiscard]] Key duration(const std::string& name, std::chrono::milliseconds& out);
  [[nodiscard]] Key patterns(const std::string& name, std::vector<TablePattern>& out);

  /// With the environment's variables in it; nullopt: that was a problem.
  std::optional<std::string> scalar_value(const YAML::Node& node, const std::string& path);
  [[nodiscard]] std::string place(const YAML::Node& node) const {
    return file_ + ":" + std::to_string(node.Mark().line + 1);
  }
  void problem(const YAML::Node& node, const std::string& path, const std::string& what) {
    problems_.push_back(place(node) + ": " + path + (path.empty() ? "" : ": ") + what);
  }
  [[nodiscard]] std::size_t problem_count() const { return problems_.size(); }
  [[nodiscard]] static std::string join(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "." + name;
  }

 private:
  [[nodiscard]] Key integer_of(const std::string& name, std::function<void(std::int64_t)> set, std::int64_t least,
                               std::int64_t most);
  [[nodiscard]] Key boolean_of(const std::string& name, std::function<void(bool)> set);

  std::string file_;
  const Environment& environment_;
  std::vector<std::string>& problems_;
};

template <typename T>
ConfigReader::Key ConfigReader::integer(const std::string& name, T& out, std::int64_t least, std::int64_t most) {
  return integer_of(name, [&out](std::int64_t number) { out = static_cast<T>(number); }, least, most);
}

template <typename T>
ConfigReader::Key ConfigReader::boolean(const std::string& name, T& out) {
  return boolean_of(name, [&out](bool flag) { out = flag; });
}

}  // namespace teal
