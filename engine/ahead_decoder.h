#pragma once
#include <memory>
#include <optional>

#include "decoder/frame.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/stream_message.h"
#include "decoder/transaction_assembler.h"
#include "engine/ahead.h"

namespace teal {

/// Makes slices of the blocks of one transaction that the source has not ended. What it announces is its own until it
/// has committed: an assembler of its own keeps that.
/// Threads: one. Errors: none; what cannot be decoded gives the trial up, and is met again after the commit, if it
/// comes.
class AheadDecoder {
 public:
  explicit AheadDecoder(AssemblerOptions options) : options_(std::move(options)) {}

  /// The first block of `xid` opens at `from`.
  void begin(Xid xid, Lsn from);
  /// Its rows go ahead, and nobody has given that up.
  [[nodiscard]] bool goes_on() const { return trial_ != nullptr && !trial_->given_up(); }
  [[nodiscard]] bool goes_on(Xid xid) const { return goes_on() && xid == xid_; }
  void give_up();

  /// `message` lies inside `frame`, whose bytes are changed: the message loses its xid.
  [[nodiscard]] std::optional<AheadSlice> add(const StreamedMessage& message, Lsn lsn, Frame frame);
  /// The last slice; none when the trial is given up.
  [[nodiscard]] std::optional<AheadSlice> commit(const StreamCommitMessage& commit);

  /// Of the last one that was begun.
  [[nodiscard]] const AheadTrial& trial() const { return *trial_; }
  [[nodiscard]] const TransactionAssembler& assembler() const { return *assembler_; }
  /// The trial is over.
  void forget();

 private:
  [[nodiscard]] AheadSlice piece(TransactionSlice slice) const { return {std::move(slice), trial_}; }

  AssemblerOptions options_;
  Xid xid_;
  std::shared_ptr<AheadTrial> trial_;
  std::optional<TransactionAssembler> assembler_;
};

}  // namespace teal
