#pragma once
#include <memory>
#include <string>

#include "tests/support/pg_server.h"

namespace teal::test {

/// A physical standby of `primary` that streams from it, with `name` as its application_name, for
/// synchronous_standby_names. It may be stopped, started and promoted; it has the primary's settings of this moment.
/// Errors: std::runtime_error.
[[nodiscard]] std::unique_ptr<PgServer> make_standby(PgServer& primary, const std::string& name);

}  // namespace teal::test
