#pragma once
#include "engine/config.h"

namespace teal {

struct RunOptions {
  Config config;
  bool no_copy = false;       ///< green already holds blue's rows
  bool until_synced = false;  ///< end once everything committed on blue when the copy was done is durable on green
  bool quiet = false;         ///< no progress lines
};

/// The sidecar: sets up what is missing, copies what is not copied, then streams until SIGTERM or SIGINT.
/// Returns the exit code. Errors: Stopped, PgError.
int run_command(const RunOptions& options);

}  // namespace teal
