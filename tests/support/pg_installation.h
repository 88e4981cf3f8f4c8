#pragma once
#include <filesystem>
#include <optional>

#include "tests/support/child_process.h"

namespace teal::test {

/// The programs of one major version of PostgreSQL, and how they are run.
/// Version 15 is this machine's own (TEAL_TEST_PG_BIN: other programs in its place); others live in a root directory
/// that tests/support/server_root.sh made, and run in it by chroot. Both see the same files below the tests' scratch
/// directory, and the same network.
struct PgInstallation {
  int major = 15;
  std::filesystem::path root;   ///< "": this machine
  std::filesystem::path bin;    ///< seen from within `root`
  std::optional<UserIds> user;  ///< whom servers run as; nullopt: us
  /// A directory with pg_dump and pg_restore that can be started from here.
  std::filesystem::path dump_programs;
};

inline constexpr int kOwnMajor = 15;

/// Errors: std::runtime_error when there is no such installation.
[[nodiscard]] const PgInstallation& pg_installation(int major = kOwnMajor);

/// The majors of the pair that this run is for: TEAL_TEST_BLUE and TEAL_TEST_GREEN, 15 when they are not set.
[[nodiscard]] int blue_major();
[[nodiscard]] int green_major();

}  // namespace teal::test
