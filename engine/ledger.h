#pragma once
#include <cstdint>
#include <string>

namespace teal {

/// Where every received change of a link went (invariant I2). Each term is counted where it happens, never computed
/// from the others.
/// Units: row changes; a TRUNCATE counts once per table. Since the link was made: it is stored with the progress.
struct Ledger {
  std::uint64_t received = 0;         ///< counted by the decoder
  std::uint64_t applied = 0;          ///< rows that statements touched, plus changes merged into others
  std::uint64_t own = 0;              ///< written by teal itself: skipped
  std::uint64_t filtered = 0;         ///< of tables that the configuration leaves out
  std::uint64_t below_watermark = 0;  ///< already in the copied rows
  std::uint64_t already_applied = 0;  ///< sent again after a restart
  std::uint64_t quarantined = 0;      ///< passed over by the operator's word (teal.quarantine)
  std::uint64_t conflict_lost = 0;    ///< the target's own version of the row stayed (teal.conflict_log)

  std::uint64_t transactions = 0;  ///< source transactions, not part of the balance
  std::uint64_t batches = 0;       ///< target transactions, not part of the balance
  /// Of two-way links, not part of the balance: target transactions that were given up because other sessions were in
  /// the way.
  std::uint64_t contended = 0;

  [[nodiscard]] bool closes() const {
    return received == applied + own + filtered + below_watermark + already_applied + quarantined + conflict_lost;
  }

  Ledger& operator+=(const Ledger& other);
};

/// The whole balance, for the report of one that does not close: `received 3, applied 2, own 0, ...`.
[[nodiscard]] std::string to_string(const Ledger& ledger);

}  // namespace teal
