#pragma once
#include <stdexcept>

#include "decoder/lsn.h"
#include "decoder/transaction.h"
#include "engine/ahead.h"

namespace teal {

/// What was given to the sink has to be read again from the progress row: the sink lets go of a transaction that it
/// cannot keep in memory, and has noted how to apply it the next time.
class ReplayNeeded : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The writing end of a link. Calls come as begin, append..., commit, in the source's commit order, and between two
/// transactions perhaps `ahead`.
/// The sink decides how many source transactions share one target transaction; it never splits one.
/// Threads: one caller; `durable()` belongs to that caller too.
/// Errors: throws PgError (world failures), ReplayNeeded, or Stopped (the link must stop); then only destruction.
class TransactionSink {
 public:
  TransactionSink() = default;
  TransactionSink(const TransactionSink&) = delete;
  TransactionSink& operator=(const TransactionSink&) = delete;
  virtual ~TransactionSink() = default;

  virtual void begin(const TransactionFacts& facts) = 0;
  virtual void append(TransactionSlice slice) = 0;
  /// `end_lsn` is the END of the source's commit record.
  virtual void commit(Lsn end_lsn) = 0;

  /// A piece of a transaction that the source has not ended, the next one of its trial; the last one says that it has.
  /// The sink may write it, visible to nobody, and does as AheadTrial says. It gives the trial up for whatever is in
  /// the way; what it throws ends the session as elsewhere, and so the trial.
  virtual void ahead(AheadSlice piece) { piece.trial->give_up(); }

  /// Applies everything that was committed into the sink so far. Called when nothing more is queued.
  virtual void flush() = 0;

  /// At `time` (the source's clock) the source had nothing up to `wal_end` that was not given to the sink: the idle way
  /// for progress to move.
  virtual void idle(Lsn wal_end, Timestamp time) = 0;

  /// Up to here the target's committed progress row covers the source.
  [[nodiscard]] virtual Lsn applied() const = 0;

  /// Where the committed progress row has the stream start: what `durable` comes to. Not above `applied`; below it
  /// where the other direction still needs older changes.
  [[nodiscard]] virtual Lsn held() const = 0;

  /// Up to here the target's *flushed* progress row covers the source: what may be acknowledged (invariant I4).
  [[nodiscard]] virtual Lsn durable() = 0;
};

}  // namespace teal
