#pragma once
#include <string>

#include "engine/pg_error.h"

namespace teal {

/// How a command that threw ends.
struct Failure {
  int exit_code = 0;
  std::string text;  ///< one message that says what to do, without "teal:" before it
};

/// Exit code for a failure of the world: 4 when the server cannot be reached or refuses the login, else 1.
[[nodiscard]] StopCode stop_code(const PgError& error);

/// What to do about a connection that failed, from libpq's text; "" when there is nothing to add to it.
[[nodiscard]] std::string connection_mend(const PgError& error);

/// Turns the exception that is being handled into exit code and text. Only to be called in a catch block.
[[nodiscard]] Failure describe_current_exception();

}  // namespace teal
