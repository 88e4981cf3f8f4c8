#include "tools/pg_program.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "engine/subprocess.h"

namespace teal {
namespace {

std::optional<std::string> find_in_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
    if (end > 0 && access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

}  // namespace

PgProgramSearch find_pg_program(const std::string& name, const std::string& bindir) {
  std::optional<std::string> path;
  if (bindir.empty()) {
    path = find_in_path(name);
    if (!path) return {std::nullopt, name + " is not in PATH"};
  } else {
    path = bindir + "/" + name;
    if (access(path->c_str(), X_OK) != 0) return {std::nullopt, *path + " is not there, or no program"};
  }
  const SubprocessResult result = run_subprocess({*path, "--version"}, {});
  // "pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
  constexpr std::string_view kBefore = "(PostgreSQL) ";
  const std::size_t start = result.out.find(kBefore);
  if (result.exit_code != 0 || start == std::string::npos) return {std::nullopt, *path + " does not say its version"};
  const std::string_view rest = std::string_view(result.out).substr(start + kBefore.size());
  PgProgram program{*path, 0, std::string(rest.substr(0, rest.find_first_of(" \n")))};
  std::from_chars(program.version.data(), program.version.data() + program.version.size(), program.major);
  if (program.major == 0) return {std::nullopt, *path + " does not say its version"};
  return {program, ""};
}

}  // namespace teal
