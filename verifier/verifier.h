#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "verifier/compared_table.h"
#include "verifier/journal.h"
#include "verifier/range_compare.h"

namespace teal {

struct VerifierOptions {
  ConnectOptions blue;
  ConnectOptions green;
  int jobs = 2;  ///< each has a connection to either side
  std::size_t range_rows = 50'000;
  RangeCompareOptions compare;
  std::chrono::milliseconds statement_time{0};  ///< for one statement, about; ranges are read in parts. 0: any
  /// Each job calls it before it reads a range, with its sessions; it may wait. Empty: nobody does. Threads: any.
  std::function<void(PgConnection& blue, PgConnection& green)> before_range;
  bool name_ranges = false;          ///< keep what each range came to
  VerifyJournal* journal = nullptr;  ///< says what an earlier run found equal, and is told what this one does
};

/// How far it is, for whoever watches. Threads: any.
struct VerifierProgress {
  std::atomic<std::uint64_t> rows{0};  ///< of blue, compared so far
  std::atomic<std::size_t> tables_done{0};
};

enum class TableVerdict { kEqual, kDiffers, kUnchecked };

/// What one range came to.
struct RangeVerdict {
  KeyRange range;
  std::uint64_t rows = 0;  ///< of blue
  TableVerdict verdict = TableVerdict::kEqual;
  bool before = false;  ///< it was compared by an earlier run
};

/// What is known of a table. Difference beats doubt: a table that differs and was not fully checked differs.
struct TableResult {
  ComparedTable table;
  std::uint64_t rows = 0;
  std::size_t ranges = 0;
  std::size_t ranges_before = 0;  ///< of these: found equal by earlier runs, and not compared again
  std::vector<Difference> differences;
  std::uint64_t unnamed = 0;
  std::uint64_t in_flux = 0;
  std::vector<std::string> obstacles;       ///< why it was not fully checked
  std::vector<RangeVerdict> verdicts = {};  ///< of its ranges in their order, where VerifierOptions::name_ranges

  [[nodiscard]] TableVerdict verdict() const;
};

/// What two servers do differently, in words; empty: nothing.
struct HashTrial {
  std::string values;  ///< their hashes of values cannot be compared
  std::string hashes;  ///< nor can those of text
  std::string text;    ///< they write the same values as different text: nothing can be compared
};

/// Errors: PgError.
[[nodiscard]] HashTrial try_hashes(PgConnection& blue, PgConnection& green);

/// Compares the tables, `jobs` ranges at a time, in their order. A table that cannot be read, and one whose reading
/// fails, whatever for, is not fully checked and says so; so are those that were not compared when a server could not
/// be reached any more, or when a stop came. Threads: its own; returns when they have ended. Errors: Stopped(kBug).
[[nodiscard]] std::vector<TableResult> verify_tables(const VerifierOptions& options,
                                                     const std::vector<ComparedTable>& tables,
                                                     VerifierProgress& progress);

}  // namespace teal
