#pragma once
#include <filesystem>

#include "tests/support/pg_installation.h"

namespace teal::test {

/// A cluster fresh from initdb, made once and then copied for each server: that is ten times faster.
/// `identity` tells templates apart: clusters from different ones have different system identifiers, as blue and
/// green must. Templates are kept below TEAL_TEST_TEMPLATE when that is set, so that all processes of a run share
/// them, else in this process' scratch directory.
/// Threads: any; processes wait for each other.
/// Errors: std::runtime_error with what initdb said.
[[nodiscard]] std::filesystem::path cluster_template(const PgInstallation& installation, int identity);

/// Takes the lowest identity that no living server of this process has; `give_identity_back` frees it.
[[nodiscard]] int take_identity();
void give_identity_back(int identity);

}  // namespace teal::test
