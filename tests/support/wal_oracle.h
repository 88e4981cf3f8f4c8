#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decoder/ids.h"
#include "decoder/transaction.h"
#include "tests/support/decoded_wal.h"
#include "tests/support/sql.h"
#include "tests/support/stream_replay.h"

namespace teal::test {

/// How the server is asked for what teal decodes.
struct WalOracleOptions {
  int protocol = 1;       ///< from 2 on (14+), transactions above logical_decoding_work_mem are streamed
  bool parallel = false;  ///< `streaming 'parallel'` in place of 'on': protocol 4 (16+)
  /// Every change is streamed on its own, also of transactions that were rolled back long ago (16+).
  bool immediate = false;
  bool two_phase = false;  ///< a slot with two-phase decoding: protocol 3 (15+)
};

/// The newest protocol of a server of this major. Source: PostgreSQL manual, "Logical Streaming Replication Protocol".
[[nodiscard]] int newest_protocol(int major);

/// Gives `replay` all that `slot`, one of pgoutput, has for `publication`; the slot stays where it is.
/// Errors: SqlError; std::runtime_error for what the decoder refuses, and when something is left open.
void replay_slot(Sql& sql, std::string_view slot, std::string_view publication, WalOracleOptions options,
                 StreamReplay& replay);

/// A second opinion on teal's decoder (TRAPS S24, M-c): the server itself decodes the same WAL with test_decoding, a
/// plugin of its own that shares neither code nor format with what teal reads.
/// From its making on, everything that is committed in the database is compared. Threads: one.
/// Errors: SqlError; std::runtime_error for what either side can't read.
class WalOracle {
 public:
  /// Publishes all tables, and makes one slot per plugin at the same point. `sql`: a superuser's session, outlives this
  /// object; it must be outside of a transaction, and no other may be open. Its output settings are pinned.
  explicit WalOracle(Sql& sql, WalOracleOptions options = {});

  /// Asks in another way from now on; `two_phase` stays what it was.
  void ask(WalOracleOptions options) { options_ = options; }

  /// Success when both say the same of every transaction, else the first difference. Reads everything from the
  /// beginning at each call.
  [[nodiscard]] testing::AssertionResult agree();

  // As of the last `agree`:

  [[nodiscard]] const DecodedWal& wal() const { return wal_; }
  /// Transactions that came as a bare pair of Begin and Commit (TRAPS C9).
  [[nodiscard]] std::size_t empty_transactions() const { return empty_transactions_; }
  /// Columns of new rows that were unchanged TOAST, and old images of each kind: that a test has met what it is about.
  [[nodiscard]] std::size_t unchanged_columns() const { return unchanged_columns_; }
  [[nodiscard]] std::size_t old_images(OldTupleKind kind) const;
  /// What was streamed, rolled back and prepared on the way.
  [[nodiscard]] const StreamCounts& streamed() const { return streamed_; }

 private:
  DecodedWal decode_by_test_decoding();
  DecodedWal decode_by_teal();
  void add_slice(const TransactionSlice& slice, DecodedTransaction& open);
  DecodedChange decoded(const Change& change);
  std::vector<DecodedColumn> decoded(const Relation& relation, TupleView tuple, bool old_row);
  const std::string& type_name(TypeId type);

  Sql& sql_;
  WalOracleOptions options_;
  StreamCounts streamed_;
  std::map<TypeId, std::string> types_;
  DecodedWal wal_;
  std::size_t empty_transactions_ = 0;
  std::size_t unchanged_columns_ = 0;
  std::map<OldTupleKind, std::size_t> old_images_;
};

}  // namespace teal::test
