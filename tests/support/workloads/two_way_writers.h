#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/chaos/chaos_load.h"
#include "tests/support/chaos/draw.h"
#include "tests/support/sql.h"

namespace teal::test {

struct TwoWayWritersOptions {
  std::string blue;   ///< conninfo of the tables' owner
  std::string green;  ///< the same
  int writers_each = 3;
  double transactions_per_second = 400;  ///< of all writers together, or what the machine gives
  std::uint64_t seed = 1;
};

/// Applications that write the same rows on both sides: single rows that come, change, go and take another key, rows
/// with a large column that changes or does not, several rows in one transaction, and transactions of the TPC-B kind
/// with one row that all of them change. Rows and tables are taken in one order everywhere, so none of them deadlocks
/// with another; they go on through crashes of the servers. A violation is a transaction that fails otherwise than by
/// the loss of its connection, or waits for ten seconds. Threads: one calls; `violations` and counts may be asked for
/// at any time.
class TwoWayWriters final : public ChaosLoad {
 public:
  explicit TwoWayWriters(TwoWayWritersOptions options) : options_(std::move(options)) {}

  [[nodiscard]] static std::vector<std::string> tables();
  [[nodiscard]] static std::string schema_sql();  ///< on both sides
  [[nodiscard]] static std::string rows_sql();    ///< on blue, before anything is copied

  void start();
  /// Returns when all have ended the transaction at hand.
  void stop();
  void pause_writers(bool paused) override { paused_ = paused; }

  [[nodiscard]] std::vector<std::string> violations() const override;
  [[nodiscard]] std::int64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] std::int64_t in_doubt() const { return in_doubt_; }  ///< lost their connection in the transaction

 private:
  void write(const std::string& side, int number, const std::stop_token& stop);
  void transact(Sql& sql, const std::string& statements);

  TwoWayWritersOptions options_;
  mutable std::mutex mutex_;
  std::vector<std::string> violations_;  // guarded by mutex_
  std::atomic<std::int64_t> acknowledged_{0};
  std::atomic<std::int64_t> in_doubt_{0};
  std::atomic<bool> paused_{false};
  std::vector<std::jthread> threads_;
};

}  // namespace teal::test
