#include <cstdio>
#include <iostream>

#include "engine/log.h"
#include "engine/pg_error.h"
#include "tools/cli.h"
#include "tools/exit_code.h"
#include "tools/run_command.h"

namespace teal {
namespace {

int run_command_of(const Invocation& invocation, const Config& config) {
  switch (invocation.command) {
    case Command::kCheck:
      return check_command(config, invocation.output);
    case Command::kInit:
      return init_command(config, invocation.output);
    case Command::kRun:
      return run_command({.config = config,
                          .no_copy = invocation.run_no_copy,
                          .until_synced = invocation.run_until_synced,
                          .quiet = invocation.output.quiet});
    case Command::kStatus:
      return status_command(config, invocation.output, invocation.status);
    case Command::kVerify:
      return verify_command(config, invocation.output, invocation.verify);
    case Command::kCutover:
      return cutover_command(config, invocation.output, invocation.cutover, invocation.config);
    case Command::kSequences:
      return sequences_command(config, invocation.output, invocation.sequences);
    case Command::kTail:
      return tail_command(config, invocation.output, invocation.tail);
    case Command::kQuarantine:
      return quarantine_command(config, invocation.output, invocation.quarantine);
    case Command::kConflicts:
      return conflicts_command(config, invocation.output, invocation.conflicts);
    case Command::kFinish:
      return finish_command(config, invocation.output, invocation.finish);
    case Command::kVersion:
      break;
  }
  return version_command(invocation.output);
}

}  // namespace

int dispatch(const Invocation& invocation) {
  try {
    if (invocation.command == Command::kVersion) return version_command(invocation.output);
    const Config config = load_config(invocation.config);
    const bool quieter = invocation.output.quiet && config.log.level < LogLevel::kWarn;
    start_log(quieter ? LogLevel::kWarn : config.log.level, config.log.format);
    return run_command_of(invocation, config);
  } catch (...) {
    const Failure failure = describe_current_exception();
    std::cerr << "teal: " << failure.text << "\n";
    return failure.exit_code;
  }
}

int run_cli(int argc, const char* const* argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const auto parsed = parse_cli(arguments);
  if (const auto* answer = std::get_if<CliAnswer>(&parsed)) {
    (answer->exit_code == 0 ? std::cout : std::cerr) << answer->text;
    return answer->exit_code;
  }
  return dispatch(std::get<Invocation>(parsed));
}

}  // namespace teal
