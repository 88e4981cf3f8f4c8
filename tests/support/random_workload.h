#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/pg_server.h"
#include "tests/support/sql.h"

namespace teal::test {

struct RandomWorkloadOptions {
  // Fewer of both make larger transactions.
  std::size_t finish_percent = 15;  ///< of an open transaction's steps, how many end it
  std::size_t alone_percent = 4;    ///< of all steps, how many lock whole tables, for which all transactions end
};

/// Random transactions over a handful of tables, one for each kind of replica identity: interleaved sessions,
/// savepoints that are rolled back, keys that change, values stored out of line that do not, duplicates, COPY,
/// TRUNCATE, and columns that come and go. The same seed gives the same statements. Sessions touch different rows, so
/// none waits for another. Threads: one. Errors: SqlError.
class RandomWorkload {
 public:
  /// Makes the tables, as a superuser.
  RandomWorkload(const PgServer& server, std::string_view database, std::uint64_t seed,
                 RandomWorkloadOptions options = {});

  /// So many statements; ends with no transaction open.
  void run(std::size_t statements);

 private:
  struct Session {
    Sql sql;
    bool open = false;
    std::size_t savepoints = 0;
  };

  static constexpr std::size_t kSessions = 3;

  void step(std::size_t session);
  void finish(Session& session, bool commit);
  void try_statement(Session& session, const std::string& statement);
  void alone(std::size_t number);
  std::string locking_statement();
  void copy_in(Session& session, std::size_t number);
  std::string change(std::size_t number);
  std::string change_of_item(std::size_t number);
  std::string change_of_indexed(std::size_t number);
  std::string change_of_bag(std::size_t number);
  std::string change_of_toasted_key(std::size_t number);
  std::string change_of_odd(std::size_t number);
  std::string id(std::size_t number);
  std::string text();
  std::string big();

  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
  bool chance(std::size_t percent) { return below(100) < percent; }

  RandomWorkloadOptions options_;
  std::mt19937_64 random_;
  std::array<std::unique_ptr<Session>, kSessions> sessions_;
  int columns_added_ = 0;
};

}  // namespace teal::test
