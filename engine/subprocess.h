#pragma once
#include <sys/types.h>

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

namespace teal {

struct SubprocessResult {
  int exit_code = -1;  ///< 128 + signal when one ended it; 127 when the program could not be started
  std::string out;
  std::string err;
};

/// Runs a program to its end, without a shell and without standard input.
/// `argv[0]` is looked up in PATH unless it holds a slash; `environment` is added to ours (secrets go there, never into
/// `argv`, which every user of the machine can read).
/// A stop of `stop` ends the program and what it has started: SIGTERM, half a second later SIGKILL.
/// `started` is told the program's process group, which bears its number. What it has left running in the background is
/// not waited for.
/// Errors: std::system_error when pipes or the process cannot be made.
[[nodiscard]] SubprocessResult run_subprocess(const std::vector<std::string>& argv,
                                              const std::map<std::string, std::string>& environment,
                                              const std::stop_token& stop = {},
                                              const std::function<void(pid_t)>& started = {});

}  // namespace teal
