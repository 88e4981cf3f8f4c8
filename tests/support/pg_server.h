#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/pg_installation.h"
#include "tests/support/sql.h"
#include "tests/support/tcp_port.h"

namespace teal::test {

struct PgServerOptions {
  std::vector<std::string> settings = {};     ///< "name=value" as in postgresql.conf, over the defaults below
  bool fsync = false;                         ///< on: for tests in which the machine's behaviour matters
  bool passwords = false;                     ///< TCP asks for a SCRAM password; the superuser comes through the socket
  int major = kOwnMajor;                      ///< see pg_installation
  std::vector<std::string> environment = {};  ///< "KEY=value" for the server's processes
};

/// How the postmaster is told to stop. Source: PostgreSQL manual, "Shutting Down the Server".
enum class StopMode { kFast, kImmediate };

/// A PostgreSQL server of a test's own, on a free port of 127.0.0.1, with wal_level=logical.
/// It runs as user postgres when the test is root, else as the test's user. Servers that live at the same time have
/// different system identifiers. At the end of its life, or of the test process, it is stopped and its files removed.
/// Threads: one; start it from a thread that lives as long as it shall.
/// Errors: std::runtime_error with the end of the server's log.
class PgServer {
 public:
  /// Makes the cluster and starts it.
  explicit PgServer(PgServerOptions options = {});
  PgServer(const PgServer&) = delete;
  PgServer& operator=(const PgServer&) = delete;
  ~PgServer();

  /// Starts it again on the same port, and returns when it takes connections.
  void start();
  /// Returns when its processes have ended. Does nothing when it is not running.
  void stop(StopMode mode = StopMode::kFast);
  void restart(StopMode mode = StopMode::kFast);
  /// Puts settings into postgresql.conf over the earlier ones; most need `restart`, others pg_reload_conf().
  void configure(const std::vector<std::string>& settings);

  [[nodiscard]] bool running();
  [[nodiscard]] pid_t pid() const { return postmaster_ ? postmaster_->pid() : -1; }
  [[nodiscard]] int port() const { return port_.number(); }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] const PgInstallation& installation() const { return installation_; }
  [[nodiscard]] std::string log() const;

  /// "host=127.0.0.1 port=... user=... dbname=...", for libpq and its programs.
  [[nodiscard]] std::string conninfo(std::string_view user, std::string_view database) const;
  /// "postgresql://user@127.0.0.1:port/database", for configuration files.
  [[nodiscard]] std::string uri(std::string_view user, std::string_view database, std::string_view password = "") const;
  /// "127.0.0.1:port/database", as teal's messages show it.
  [[nodiscard]] std::string address(std::string_view database) const {
    return "127.0.0.1:" + std::to_string(port()) + "/" + std::string(database);
  }
  [[nodiscard]] Sql connect(std::string_view user = "postgres", std::string_view database = "postgres") const;
  /// One call in a session of its own.
  SqlRows psql(const std::string& statements, std::string_view user = "postgres",
               std::string_view database = "postgres") const;

 private:
  void make_cluster();
  bool try_start();
  [[nodiscard]] std::string log_end() const;

  PgServerOptions options_;
  const PgInstallation& installation_;
  TcpPort port_;
  int identity_;
  std::filesystem::path directory_;
  std::optional<ChildProcess> postmaster_;
};

}  // namespace teal::test
