#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/pg_server.h"

namespace teal::test {

/// The four tables, in schema public; pgbench_history gets a key of its own, `hid bigserial`.
inline const std::vector<std::string> kPgbenchTables = {"public.pgbench_accounts", "public.pgbench_branches",
                                                        "public.pgbench_history", "public.pgbench_tellers"};

struct PgbenchTablesOptions {
  int scale = 1;
  bool rows = true;  ///< false: empty tables, as on a green that is to be filled
};

/// Creates pgbench's tables as `user`, who will own them.
/// Errors: std::runtime_error with what pgbench said.
void create_pgbench_tables(const PgServer& server, std::string_view user, std::string_view database,
                           const PgbenchTablesOptions& options = {});

struct PgbenchOptions {
  int clients = 4;
  int seconds = 0;                     ///< how long, or ...
  int transactions = 0;                ///< ... how many for each client
  int port = 0;                        ///< of a pooler before the server; 0: none
  std::vector<std::string> more = {};  ///< further arguments: {"--rate=500"}, {"-f", "script.sql"}
};

struct PgbenchResult {
  int exit_code = 0;
  double tps = 0;
  std::int64_t transactions = 0;  ///< committed
  std::int64_t failed = 0;
  std::string output;  ///< stdout, then stderr
};

/// pgbench in the background, two threads, without vacuum; killed at the end of its life.
class Pgbench {
 public:
  Pgbench(const PgServer& server, std::string_view user, std::string_view database, const PgbenchOptions& options);

  [[nodiscard]] bool running() { return process_.running(); }
  /// Returns when it has ended by itself. Errors: WaitTimeout.
  PgbenchResult wait(std::chrono::milliseconds deadline);
  /// Ends it early; transactions in flight are rolled back.
  void stop();

 private:
  std::filesystem::path files_;
  ChildProcess process_;
};

}  // namespace teal::test
