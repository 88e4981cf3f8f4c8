#pragma once
#include "engine/config.h"

namespace teal {

/// What the global flags say that is not configuration.
struct OutputOptions {
  bool json = false;
  bool quiet = false;
};

struct StatusOptions {
  bool watch = false;
};

struct FinishOptions {
  bool force = false;  ///< go on when one side cannot be reached
  bool yes = false;    ///< do not ask
};

// Each command returns its exit code (docs/reference.md) and throws Stopped or PgError for what ends it early.

/// Prints everything that is missing on both sides, with what mends it. Changes nothing.
int check_command(const Config& config, const OutputOptions& output);
/// Creates what teal needs on both sides.
int init_command(const Config& config, const OutputOptions& output);
/// Prints where the migration stands, from the two databases alone.
int status_command(const Config& config, const OutputOptions& output, const StatusOptions& options);
/// Removes everything that teal created, on both sides.
int finish_command(const Config& config, const OutputOptions& output, const FinishOptions& options);
/// Prints version, build, libpq and the supported servers.
int version_command(const OutputOptions& output);

}  // namespace teal
