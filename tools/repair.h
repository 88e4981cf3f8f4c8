#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/pg_connection.h"
#include "tools/table_repair.h"
#include "verifier/verifier.h"

namespace teal {

/// One side is right, the other one is written.
struct RepairOptions {
  bool blue_is_right = true;
  bool dry_run = false;
  std::stop_token stop;

  [[nodiscard]] const char* right() const { return blue_is_right ? "blue" : "green"; }
  [[nodiscard]] const char* wrong() const { return blue_is_right ? "green" : "blue"; }
};

/// What is to be done in a table, and what was done.
struct RepairedTable {
  std::size_t result = 0;  ///< whose, in the list of results
  RepairTable table;
  RepairCounts planned;                ///< of the differences that were found first
  std::vector<Difference> named;       ///< some of these
  bool more = false;                   ///< not all differences were looked for yet
  std::vector<std::string> obstacles;  ///< why nothing of it is written, and what mends it
  TableRepairOutcome done;             ///< but for `written` that of the last round; before the first, of the plan
};

struct RepairReport {
  std::vector<RepairedTable> tables;  ///< those that differ
  int rounds = 0;
};

/// Compares tables (again). Shapes: a result for each table, in their order.
using Compare = std::function<std::vector<TableResult>(const std::vector<ComparedTable>&)>;

/// Writes the rows that differ as they are on the right side.
/// Lifetime: `config` and `options` outlive it. Threads: one.
class Repair {
 public:
  Repair(const Config& config, const RepairOptions& options) : config_(config), options_(options) {}

  /// What would be done, and what keeps it from being done. Writes nothing. `named_max`: differences of each table that
  /// are kept for the report. Errors: PgError.
  [[nodiscard]] RepairReport plan(const std::vector<TableResult>& results, std::size_t named_max) const;

  /// Repairs, and compares the tables again, until they are equal, or a round gets nowhere. `results` are then those of
  /// the last comparison. What ends a table's repair is in its outcome, and the others are gone on with, unless it is
  /// a stop. Errors: LockHeld when another repair of the migration runs, before anything was written.
  void run(RepairReport& report, std::vector<TableResult>& results, const Compare& compare) const;

 private:
  struct Sessions;
  [[nodiscard]] std::unique_ptr<Sessions> open_sessions() const;
  void try_once(std::unique_ptr<Sessions>& sessions, RepairedTable& table, const TableResult& result) const;
  void repair_once(Sessions& sessions, RepairedTable& table, const TableResult& result) const;
  [[nodiscard]] std::vector<RepairRow> rows_of(const TableResult& result, const Difference& difference,
                                               TableRepairOutcome& outcome) const;

  const Config& config_;
  const RepairOptions& options_;
};

}  // namespace teal
