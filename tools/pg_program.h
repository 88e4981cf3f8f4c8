#pragma once
#include <optional>
#include <string>

namespace teal {

/// A client program of PostgreSQL on this machine.
struct PgProgram {
  std::string path;
  int major = 0;
  std::string version;  ///< as it prints it, e.g. "15.20"
};

/// What was found, or why nothing usable was.
struct PgProgramSearch {
  std::optional<PgProgram> program;
  std::string problem;  ///< set when `program` is not
};

/// Looks for `name` ("pg_dump") in `bindir`, or in PATH when that is empty, and asks it for its version. No shell.
[[nodiscard]] PgProgramSearch find_pg_program(const std::string& name, const std::string& bindir);

}  // namespace teal
