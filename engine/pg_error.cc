#include "engine/pg_error.h"

#include <array>
#include <utility>

namespace teal {
namespace {

constexpr auto kRetry = ErrorClass::kRetry;
constexpr auto kReconnect = ErrorClass::kReconnect;
constexpr auto kLogin = ErrorClass::kLogin;
constexpr auto kRights = ErrorClass::kRights;
constexpr auto kStop = ErrorClass::kStop;

// The first match counts, so whole codes stand before their class. What stops needs no line; the classes that a row's
// values can cause, and codes that look as if they passed, have one to say why.
constexpr std::array kRules{
    SqlstateRule{"08", kReconnect, "the connection failed, or what arrived on it was torn"},
    SqlstateRule{"22", kStop, "data: a value that the target's type, or an expression of the target, refuses"},
    SqlstateRule{"23", kStop, "data: a constraint of the target refuses the row"},
    SqlstateRule{"25006", kReconnect, "read-only: the address leads to a standby for the moment (a failover)"},
    SqlstateRule{"25P03", kReconnect, "the server ended the session: idle in a transaction"},
    SqlstateRule{"25P04", kReconnect, "the server ended the session: transaction too long"},
    SqlstateRule{"28", kLogin, "the login is refused: a password was changed, a role or pg_hba.conf"},
    SqlstateRule{"3D000", kLogin, "the database is not there: it is being restored, or the address is wrong"},
    SqlstateRule{"40002", kStop, "data: a constraint that is checked at the end of the transaction"},
    SqlstateRule{"40003", kReconnect, "the outcome is not known: the progress row decides"},
    SqlstateRule{"40", kRetry, "serialization failure, deadlock: the same batch again"},
    SqlstateRule{"42501", kRights, "a right was revoked: nothing is applied or skipped until it is back"},
    SqlstateRule{"44", kStop, "data: a view's WITH CHECK OPTION"},
    SqlstateRule{"53", kReconnect, "disk full, memory, locks, connections: again with growing waits"},
    SqlstateRule{"54", kStop, "data: a limit of PostgreSQL itself, an index row that is too long for example"},
    SqlstateRule{"55000", kStop, "an object is not in the state that is needed: a slot that is lost, for example"},
    SqlstateRule{"55006", kReconnect, "slot or origin still held by a session that is ending"},
    SqlstateRule{"55P03", kRetry, "a lock was not given in time"},
    SqlstateRule{"57000", kRetry, "somebody intervened"},
    SqlstateRule{"57014", kRetry, "cancelled by somebody, or a time limit; teal's own cancel comes with a stop"},
    SqlstateRule{"57P", kReconnect, "shutdown, crash, starting up, the session was ended"},
    SqlstateRule{"58000", kReconnect, "the server's operating system failed it"},
    SqlstateRule{"58030", kReconnect, "I/O error"},
    SqlstateRule{"P0", kStop, "data: a function or trigger of the target raised it"},
    SqlstateRule{"XX", kStop, "internal error, or corruption: trying again could hide it"},
};

std::string describe(const std::string& operation, const std::string& text, const std::string& sqlstate) {
  std::string out = operation + ": " + text;
  if (!sqlstate.empty()) out += " (SQLSTATE " + sqlstate + ")";
  return out;
}

}  // namespace

std::span<const SqlstateRule> sqlstate_rules() { return kRules; }

ErrorClass classify(std::string_view sqlstate) {
  if (sqlstate.empty()) return ErrorClass::kReconnect;  // libpq's own: the connection is gone
  for (const SqlstateRule& rule : kRules) {
    if (sqlstate.starts_with(rule.prefix)) return rule.error_class;
  }
  return ErrorClass::kStop;
}

PgError::PgError(std::string operation, std::string text, std::string sqlstate, std::string constraint)
    : std::runtime_error(describe(operation, text, sqlstate)),
      operation_(std::move(operation)),
      text_(std::move(text)),
      sqlstate_(std::move(sqlstate)),
      constraint_(std::move(constraint)) {}

}  // namespace teal
