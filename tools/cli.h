#pragma once
#include <string>
#include <variant>
#include <vector>

#include "engine/config.h"
#include "tools/commands.h"

namespace teal {

enum class Command {
  kCheck,
  kInit,
  kRun,
  kStatus,
  kVerify,
  kCutover,
  kSequences,
  kTail,
  kConflicts,
  kQuarantine,
  kFinish,
  kVersion
};

/// What one command line asks for.
struct Invocation {
  Command command = Command::kVersion;
  ConfigFlags config;
  OutputOptions output;
  StatusOptions status;
  VerifyOptions verify;
  CutoverOptions cutover;
  SequencesOptions sequences;
  TailOptions tail;
  ConflictsOptions conflicts;
  QuarantineOptions quarantine;
  FinishOptions finish;
  bool run_no_copy = false;
  bool run_until_synced = false;
};

/// The command line was answered by itself: help was asked for (exit code 0) or it is wrong (2).
struct CliAnswer {
  int exit_code = 0;
  std::string text;  ///< ends with a line end
};

/// Reads the arguments, program name left out. Touches neither files nor servers.
[[nodiscard]] std::variant<Invocation, CliAnswer> parse_cli(const std::vector<std::string>& arguments);

/// Runs what was asked for and returns the exit code; failures are one message on stderr.
int dispatch(const Invocation& invocation);

/// `parse_cli` and `dispatch`: the whole program.
int run_cli(int argc, const char* const* argv);

}  // namespace teal
