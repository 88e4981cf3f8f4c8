#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/chaos/chaos_load.h"
#include "tests/support/sql.h"
#include "tests/support/workloads/workload.h"

namespace teal::test {

struct WorkloadRunOptions {
  std::string blue;   ///< conninfo of the tables' owner
  std::string green;  ///< conninfo of whoever reads
  int writers_each = 3;
  int readers = 1;
  double transactions_per_second = 1000;  ///< of all writers together, or what the machine gives
  std::uint64_t seed = 1;
};

/// Workloads that run together: threads that write on blue and threads that read on green, all of them through crashes
/// of the servers. Each committed transaction also moves its writer's row in `workload_done`, so that a writer whose
/// connection was lost in a COMMIT finds out what became of it.
/// Threads: one calls; `violations` and counts may be asked for at any time.
class WorkloadRun final : public ChaosLoad {
 public:
  /// Takes the workloads; nothing is running yet.
  WorkloadRun(std::vector<std::unique_ptr<Workload>> workloads, WorkloadRunOptions options);
  ~WorkloadRun() override;

  [[nodiscard]] std::vector<std::string> tables() const;
  [[nodiscard]] std::string schema_sql() const;
  [[nodiscard]] std::string rows_sql() const;  ///< on blue, before anything is copied

  void start_writers();
  void pause_writers(bool paused) override { paused_ = paused; }
  /// Green has every table's rows from here on.
  void start_readers();
  /// Blue has to be up: writers first find out what became of transactions in doubt. Errors: WaitTimeout.
  void stop_writers();
  void stop_readers();

  /// Everything was applied: what green has is what writers committed. Returns "" or what is wrong.
  [[nodiscard]] std::string check_at_rest(Sql& green) const;

  /// What readers saw that must not be.
  [[nodiscard]] std::vector<std::string> violations() const override;
  [[nodiscard]] std::int64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] std::int64_t refused() const { return refused_; }    ///< by a rule, or rolled back on purpose
  [[nodiscard]] std::int64_t in_doubt() const { return in_doubt_; }  ///< lost their connection in the transaction
  [[nodiscard]] std::int64_t in_doubt_committed() const { return in_doubt_committed_; }
  [[nodiscard]] std::int64_t snapshots() const { return snapshots_; }  ///< that readers looked at

 private:
  class Writer;

  void read(const std::stop_token& stop);
  void look(Sql& green, WorkloadReader& reader, std::unique_ptr<Sql>& blue);
  void violated(const std::string& what);

  WorkloadRunOptions options_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::vector<std::unique_ptr<Writer>> writers_;
  mutable std::mutex mutex_;
  std::vector<std::string> violations_;  // guarded by mutex_
  std::atomic<std::int64_t> acknowledged_{0};
  std::atomic<std::int64_t> refused_{0};
  std::atomic<std::int64_t> in_doubt_{0};
  std::atomic<std::int64_t> in_doubt_committed_{0};
  std::atomic<std::int64_t> snapshots_{0};
  std::atomic<int> writing_{0};
  std::atomic<bool> paused_{false};
  std::vector<std::jthread> writer_threads_;
  std::vector<std::jthread> reader_threads_;
};

}  // namespace teal::test
