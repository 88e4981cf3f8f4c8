#pragma once
#include <chrono>
#include <cstddef>
#include <optional>
#include <variant>

#include "decoder/lsn.h"
#include "decoder/transaction.h"
#include "engine/ahead.h"

namespace teal {

/// The source has nothing below `lsn` that was not delivered before this. Source: keepalive's end of WAL.
struct WalEnd {
  Lsn lsn;
  Timestamp time;  ///< by the source's clock, when it said so
};

using SourceItem = std::variant<TransactionSlice, WalEnd, AheadSlice>;

/// The reading end of a link: slices of transactions in commit order, and ahead of it, those of a transaction that has
/// not ended (AheadTrial).
/// Threads: one reader.
class TransactionSource {
 public:
  TransactionSource() = default;
  TransactionSource(const TransactionSource&) = delete;
  TransactionSource& operator=(const TransactionSource&) = delete;
  virtual ~TransactionSource() = default;

  /// The next item; nullopt when none came in time.
  /// Errors: throws what ended the stream, once everything received before that has been handed out.
  virtual std::optional<SourceItem> next(std::chrono::milliseconds wait) = 0;

  /// More is known to be on its way: a reader that gathers now loses no latency that it has.
  [[nodiscard]] virtual bool behind() const = 0;
};

}  // namespace teal
