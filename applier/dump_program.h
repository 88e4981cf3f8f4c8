#pragma once
#include <map>
#include <stop_token>
#include <string>
#include <vector>

namespace teal {

/// A connection string for a program whose arguments every user of the machine can read.
struct SafeConninfo {
  std::string text;                                // key='value' pairs without secrets
  std::map<std::string, std::string> environment;  // the secrets
};

/// With the settings pinned under which a dump is made and restored. Errors: PgError when the server cannot be reached;
/// Stopped(kUsage) for what cannot be hidden. Source: libpq, "Environment Variables".
[[nodiscard]] SafeConninfo without_secrets(const std::string& conninfo);

/// `name` in `bindir`, or as PATH finds it.
[[nodiscard]] std::string dump_program(const std::string& bindir, const std::string& name);

/// Runs pg_dump or pg_restore. `what` says in words what they do. Errors: Interrupted; PgError 08006 when they lost
/// their connection; Stopped(kRefused) with what they said.
void run_dump_program(const std::string& what, const std::vector<std::string>& argv, const SafeConninfo& conninfo,
                      const std::stop_token& stop);

}  // namespace teal
