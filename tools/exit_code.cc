#include "tools/exit_code.h"

#include <array>
#include <exception>
#include <new>
#include <string_view>

namespace teal {
namespace {

struct Advice {
  std::string_view part;  // of libpq's or the server's English message
  std::string_view mend;
};

constexpr std::array kConnectionAdvice{
    Advice{"password authentication failed",
           "check user and password (PGPASSWORD, a passfile, or the connection string)"},
    Advice{"no password supplied", "give the password with PGPASSWORD, a passfile, or in the connection string"},
    Advice{"no pg_hba.conf entry", "add a line for this user, database and address to the server's pg_hba.conf"},
    Advice{"does not exist", "check the database and the user in the connection string"},
    Advice{"is not permitted to log in", "ALTER ROLE ... LOGIN"},
    Advice{"permission denied for database", "GRANT CONNECT ON DATABASE ... TO ..."},
    Advice{"could not translate host name", "check the host in the connection string"},
    Advice{"Connection refused", "is the server running, and are host and port right?"},
    Advice{"timeout expired", "is the server running, and does a firewall let this machine through?"},
    Advice{"No such file or directory", "is the server running, and are host (socket directory) and port right?"},
    Advice{"certificate", "check sslmode, sslrootcert and the server's certificate"},
    Advice{"WAL sender", "ALTER ROLE ... REPLICATION"},        // the server's "permission denied to start WAL sender"
    Advice{"replication role", "ALTER ROLE ... REPLICATION"},  // the same, up to version 15
    Advice{"max_wal_senders", "raise max_wal_senders, or end sessions that replicate"},
    Advice{"unsupported startup parameter", "this is a pooler: connect teal to the server itself"},
    Advice{"too many clients", "raise max_connections, or end sessions"},
    Advice{"remaining connection slots", "raise max_connections, or end sessions"},
};

constexpr std::string_view kUndefinedObject = "42704";

// What the server decodes with is what it had at the time of the change: there was no publication then, and one that is
// made later does not help (TRAPS H2).
std::string stream_mend(const PgError& error) {
  if (error.sqlstate() != kUndefinedObject || !error.operation().starts_with("read the stream")) return "";
  return "it was missing when the next change was made, so that change can't be read any more, also not with a "
         "publication that was made again: end this migration with teal finish, then start over";
}

}  // namespace

StopCode stop_code(const PgError& error) {
  const bool connection = error.sqlstate().empty() || error.sqlstate().starts_with("08");
  return connection || error.error_class() == ErrorClass::kLogin ? StopCode::kUnreachable : StopCode::kRefused;
}

std::string connection_mend(const PgError& error) {
  for (const Advice& advice : kConnectionAdvice) {
    if (error.text().find(advice.part) != std::string::npos) return std::string(advice.mend);
  }
  return "";
}

Failure describe_current_exception() {
  try {
    throw;
  } catch (const Stopped& stopped) {
    return {static_cast<int>(stopped.code()), stopped.what()};
  } catch (const PgError& error) {
    const StopCode code = stop_code(error);
    const std::string mend = code == StopCode::kUnreachable ? connection_mend(error) : stream_mend(error);
    return {static_cast<int>(code), error.what() + (mend.empty() ? "" : "; " + mend)};
  } catch (const std::bad_alloc&) {
    return {static_cast<int>(StopCode::kBug),
            "there is no memory left for teal; what it had begun is not done by half: give it more (docs/reference.md "
            "says how much, the largest row counts most), or smaller queues and batches, and start again"};
  } catch (const std::exception& error) {
    return {static_cast<int>(StopCode::kBug), std::string("a bug in teal, please report it: ") + error.what()};
  } catch (...) {
    return {static_cast<int>(StopCode::kBug), "a bug in teal, please report it: unknown exception"};
  }
}

}  // namespace teal
