#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/range_compare.h"

namespace teal {

struct VerifierOptions {
  ConnectOptions blue;
  ConnectOptions green;
  int jobs = 2;  ///< each has a connection to either side
  std::size_t range_rows = 50'000;
  RangeCompareOptions compare;
};

/// How far it is, for whoever watches. Threads: any.
struct VerifierProgress {
  std::atomic<std::uint64_t> rows{0};  ///< of blue, compared so far
  std::atomic<std::size_t> tables_done{0};
};

enum class TableVerdict { kEqual, kDiffers, kUnchecked };

/// What is known of a table. Difference beats doubt: a table that differs and was not fully checked differs.
struct TableResult {
  ComparedTable table;
  std::uint64_t rows = 0;
  std::size_t ranges = 0;
  std::vector<Difference> differences;
  std::uint64_t unnamed = 0;
  std::uint64_t in_flux = 0;
  std::vector<std::string> obstacles;  ///< why it was not fully checked

  [[nodiscard]] TableVerdict verdict() const;
};

/// What two servers do differently, in words; empty: nothing.
struct HashTrial {
  std::string hashes;  ///< their sums of hashes cannot be compared
  std::string text;    ///< they write the same values as different text: nothing can be compared
};

/// Errors: PgError.
[[nodiscard]] HashTrial try_hashes(PgConnection& blue, PgConnection& green);

/// Compares the tables, `jobs` ranges at a time, in their order. A table that cannot be read, and one whose reading
/// fails for a reason that is its own (a right, a time limit), is not fully checked and says so; a lost connection ends
/// all. A stop ends it between two ranges: what was not compared then is not fully checked.
/// Threads: its own; returns when they have ended. Errors: PgError.
[[nodiscard]] std::vector<TableResult> verify_tables(const VerifierOptions& options,
                                                     const std::vector<ComparedTable>& tables,
                                                     VerifierProgress& progress);

}  // namespace teal
