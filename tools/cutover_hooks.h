#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/config.h"

namespace teal {

/// What is wrong with a command as far as that shows without running it; "": nothing. `name`: what it is for messages.
[[nodiscard]] std::string command_problem(const std::string& name, const std::string& command);
/// What is wrong with these commands as far as that shows without running them.
[[nodiscard]] std::vector<std::string> hook_problems(const CutoverHooks& hooks);

/// Runs a command by /bin/sh, with `environment` added to ours; "" runs nothing. What it prints goes to the log.
/// Returns "" when it has ended with 0, else what went wrong. It is ended, with what it has started, when `time` is
/// over or a stop was requested. `started` is told its process group.
[[nodiscard]] std::string run_hook(const std::string& name, const std::string& command,
                                   const std::map<std::string, std::string>& environment,
                                   std::chrono::milliseconds time, const std::stop_token& stop,
                                   const std::function<void(pid_t)>& started = {});

}  // namespace teal
