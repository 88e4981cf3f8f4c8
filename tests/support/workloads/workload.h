#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/sql.h"

namespace teal::test {

/// One transaction of a writer, without BEGIN and COMMIT.
struct WorkloadStep {
  std::string sql;
  bool rolled_back = false;  ///< it ends with ROLLBACK on purpose
};

/// One client of a workload. Threads: one.
class WorkloadWriter {
 public:
  WorkloadWriter() = default;
  WorkloadWriter(const WorkloadWriter&) = delete;
  WorkloadWriter& operator=(const WorkloadWriter&) = delete;
  virtual ~WorkloadWriter() = default;

  /// The next transaction. `number` counts the committed ones from 1: one that did not commit gives its number back.
  virtual WorkloadStep next(std::int64_t number) = 0;
  /// The transaction that `next` gave was committed; a call is left out when it was not.
  virtual void committed() = 0;
};

/// One reader of a workload's tables on green. Threads: one.
class WorkloadReader {
 public:
  WorkloadReader() = default;
  WorkloadReader(const WorkloadReader&) = delete;
  WorkloadReader& operator=(const WorkloadReader&) = delete;
  virtual ~WorkloadReader() = default;

  /// Looks at what one snapshot of green has. Returns "", or how it contradicts the workload: what no prefix of blue's
  /// commits has.
  virtual std::string look(Sql& green) = 0;
  /// The same with blue's state of a later moment.
  virtual std::string compare(Sql& /*blue*/) { return ""; }
};

/// Tables, transactions on them, and what holds in each snapshot of green whatever breaks (invariant I3).
/// Its writers touch rows that others touch too, but in an order in which none deadlocks.
class Workload {
 public:
  Workload() = default;
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;
  virtual ~Workload() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::vector<std::string> tables() const = 0;
  /// Makes the tables, on either side.
  [[nodiscard]] virtual std::string schema_sql() const = 0;
  /// The first rows, on blue.
  [[nodiscard]] virtual std::string rows_sql() const = 0;

  /// Writers and readers live as long as the workload.
  virtual WorkloadWriter& add_writer(std::uint64_t seed) = 0;
  [[nodiscard]] virtual std::unique_ptr<WorkloadReader> reader() const = 0;

  /// Everything was applied: green has exactly what the committed transactions of all writers made. Returns "", or what
  /// is missing or too much.
  [[nodiscard]] virtual std::string check_at_rest(Sql& green) const = 0;
};

/// W1: money moves between accounts; the sum stays and no balance is negative.
[[nodiscard]] std::unique_ptr<Workload> make_bank();
/// W2: each client appends rows with its own numbers, some at a time, and their head in another table.
[[nodiscard]] std::unique_ptr<Workload> make_ledger();
/// W4: unique tokens change places, by deferred constraints and through temporary values.
[[nodiscard]] std::unique_ptr<Workload> make_swap();
/// W5: rows with three large columns, of which one at a time changes, or none but the key.
[[nodiscard]] std::unique_ptr<Workload> make_toast();
/// W6: unique tokens are appended to lists; some in savepoints and transactions that are rolled back.
[[nodiscard]] std::unique_ptr<Workload> make_lists();

}  // namespace teal::test
