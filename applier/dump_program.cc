#include "applier/dump_program.h"

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "engine/pg_connection.h"
#include "engine/pg_error.h"
#include "engine/pg_handle.h"
#include "engine/subprocess.h"

namespace teal {
namespace {

// A default of the server, the role or the database must not hinder the restore (TRAPS M7), nor give the constants of
// defaults and checks another amount (D10).
constexpr const char* kPinned =
    "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 "
    "-c idle_in_transaction_session_timeout=0 -c lc_monetary=C";

constexpr const char* kConnectionFailure = "08006";

int server_major(const std::string& conninfo) {
  return PgConnection::connect({conninfo, "the server whose schema is moved", "teal/schema"}).server_major();
}

std::string quoted_value(std::string_view text) {
  std::string value = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') value.push_back('\\');
    value.push_back(c);
  }
  return value + "'";
}

// Of libpq, in the language that is asked for below: the programs' exit code is the same for whatever goes wrong.
constexpr std::array kLostConnection{"server closed the connection unexpectedly",
                                     "could not receive data from server",
                                     "could not send data to server",
                                     "SSL connection has been closed unexpectedly",
                                     "SSL SYSCALL error",
                                     "connection to server "};

bool lost_connection(const std::string& said) {
  return std::any_of(kLostConnection.begin(), kLostConnection.end(),
                     [&](const char* words) { return said.find(words) != std::string::npos; });
}

}  // namespace

SafeConninfo without_secrets(const std::string& conninfo) {
  const ConninfoHandle parsed(PQconninfoParse(conninfo.c_str(), nullptr));
  if (!parsed) throw Stopped(StopCode::kUsage, "a connection string cannot be read");
  SafeConninfo safe;
  std::string pinned = kPinned;
  if (server_major(conninfo) >= 14) pinned += " -c idle_session_timeout=0";
  bool own_options = false;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string key = option->keyword;
    if (key == "password") {
      safe.environment["PGPASSWORD"] = option->val;
      continue;
    }
    if (key == "sslpassword") {  // libpq has no variable for it, and the command line is public
      throw Stopped(StopCode::kUsage,
                    "copy.schema: true cannot be used with sslpassword in a connection string: use a "
                    "key without a passphrase, or restore the schema yourself and set copy.schema: false");
    }
    if (key == "options") {
      safe.text += "options=" + quoted_value(std::string(option->val) + " " + pinned) + " ";
      own_options = true;
      continue;
    }
    safe.text += key + "=" + quoted_value(option->val) + " ";
  }
  if (own_options) return safe;
  const char* inherited = std::getenv("PGOPTIONS");
  safe.environment["PGOPTIONS"] = (inherited == nullptr ? "" : std::string(inherited) + " ") + pinned;
  return safe;
}

std::string dump_program(const std::string& bindir, const std::string& name) {
  return bindir.empty() ? name : bindir + "/" + name;
}

void run_dump_program(const std::string& what, const std::vector<std::string>& argv, const SafeConninfo& conninfo,
                      const std::stop_token& stop) {
  std::map<std::string, std::string> environment = conninfo.environment;
  environment["LC_ALL"] = "";
  environment["LC_MESSAGES"] = "C";
  const SubprocessResult result = run_subprocess(argv, environment, stop);
  if (result.exit_code == 0) return;
  if (stop.stop_requested()) throw Interrupted("stopped while " + what + "; nothing of it was kept");
  if (lost_connection(result.err)) throw PgError(what, result.err, kConnectionFailure);
  throw Stopped(StopCode::kRefused, what + " failed (" + argv[0] + " exited with " + std::to_string(result.exit_code) +
                                        "), nothing of it was kept: " + result.err);
}

}  // namespace teal
