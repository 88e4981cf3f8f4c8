#include "engine/pg_error.h"

#include <array>
#include <utility>

namespace teal {
namespace {

struct Rule {
  std::string_view prefix;  // of the SQLSTATE: a whole code, or a class of two letters
  ErrorClass error_class;
};

// The first match counts, so whole codes stand before their class.
constexpr std::array kRules{
    Rule{"28", ErrorClass::kLogin},         // invalid authorization
    Rule{"3D000", ErrorClass::kLogin},      // the database does not exist
    Rule{"40001", ErrorClass::kRetry},      // serialization failure
    Rule{"40P01", ErrorClass::kRetry},      // deadlock
    Rule{"55P03", ErrorClass::kRetry},      // lock timeout
    Rule{"57014", ErrorClass::kRetry},      // cancelled by somebody; our own cancel comes with a stop
    Rule{"08", ErrorClass::kReconnect},     // connection failures
    Rule{"25006", ErrorClass::kReconnect},  // read-only: the address points to a standby for the moment
    Rule{"53", ErrorClass::kReconnect},     // disk full, memory, too many connections
    Rule{"55006", ErrorClass::kReconnect},  // slot or origin still held by a dying backend
    Rule{"57P", ErrorClass::kReconnect},    // shutdown, crash, starting up
    Rule{"58030", ErrorClass::kReconnect},  // I/O error
};

std::string describe(const std::string& operation, const std::string& text, const std::string& sqlstate) {
  std::string out = operation + ": " + text;
  if (!sqlstate.empty()) out += " (SQLSTATE " + sqlstate + ")";
  return out;
}

}  // namespace

ErrorClass classify(std::string_view sqlstate) {
  if (sqlstate.empty()) return ErrorClass::kReconnect;  // libpq's own: the connection is gone
  for (const Rule& rule : kRules) {
    if (sqlstate.substr(0, rule.prefix.size()) == rule.prefix) return rule.error_class;
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
