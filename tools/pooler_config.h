#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace teal {

/// Where a pooler's database leads.
struct PoolerTarget {
  std::string host;
  std::string port;
  std::string dbname;

  friend bool operator==(const PoolerTarget&, const PoolerTarget&) = default;
};
/// "host=... port=... dbname=...", for people.
[[nodiscard]] std::string to_string(const PoolerTarget& target);

/// Where the line of `database` in the section [databases] of pgbouncer.ini leads; keys that it leaves out are "".
/// Of several lines the last. nullopt: there is no such line. A fallback (`*`) is none. Source: pgbouncer(5).
[[nodiscard]] std::optional<PoolerTarget> read_pooler_target(const std::string& ini, const std::string& database);

/// The same file with that line's host, port and dbname replaced, and everything else as it was; keys that the line
/// lacks are added to it. Errors: std::invalid_argument when there is no such line.
[[nodiscard]] std::string with_pooler_target(const std::string& ini, const std::string& database,
                                             const PoolerTarget& target);

/// Reads a file whole. Errors: Stopped(kRefused) that names it.
[[nodiscard]] std::string read_pooler_file(const std::filesystem::path& file);
/// Puts `text` in its place in one step, with its owner and mode: whoever reads it sees the old one or the new one,
/// also after a crash. A symbolic link stays one. Errors: Stopped(kRefused) that names file and reason.
void replace_pooler_file(const std::filesystem::path& file, const std::string& text);

}  // namespace teal
