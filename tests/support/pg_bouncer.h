#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/child_process.h"
#include "tests/support/pg_server.h"
#include "tests/support/tcp_port.h"

namespace teal::test {

struct PgBouncerOptions {
  std::string mode = "transaction";
  std::string more = {};  ///< further lines of [pgbouncer]
};

/// A pooler in front of a server, which knows the databases `shop` and `other` and asks nobody for a password. Its user
/// `admin` may use the console. It is ended, and its files removed, at the end of its life.
/// Errors: std::runtime_error, WaitTimeout.
class PgBouncer {
 public:
  explicit PgBouncer(const PgServer& server, const PgBouncerOptions& options = {});

  /// Of the database shop, for a client of that name.
  [[nodiscard]] std::string address(std::string_view user) const;
  /// The same as key=value.
  [[nodiscard]] std::string conninfo(std::string_view user) const;
  /// Of the console.
  [[nodiscard]] std::string admin() const;
  [[nodiscard]] int port() const { return port_.number(); }
  [[nodiscard]] std::filesystem::path config() const { return files_ / "pgbouncer.ini"; }
  [[nodiscard]] std::string log() const;
  /// SIGSTOP and SIGCONT.
  void send(int signal) { process_->send(signal); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }

 private:
  std::filesystem::path files_;
  TcpPort port_ = TcpPort::reserve();
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace teal::test
