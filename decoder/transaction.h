#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <vector>

#include "decoder/change.h"
#include "decoder/frame.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "decoder/relation.h"

namespace teal {

/// Who wrote a transaction first, when that was not an application on the source.
/// Source: PostgreSQL manual, "Replication Progress Tracking"; the Origin message.
struct Origin {
  std::string name;
  Lsn lsn;  ///< the transaction's commit on the server where it was made; 0/0 when not known (streamed)
};

/// A commit, as the source's stream tells it: two histories of a server do not have it both.
struct CommitMark {
  Lsn end_lsn;
  Xid xid;
};

/// What is known of a transaction from its Begin and Origin messages.
struct TransactionFacts {
  Xid xid;
  Lsn final_lsn;          ///< of the commit record: what watermarks are compared with
  Timestamp commit_time;  ///< by the source's clock
  std::optional<Origin> origin;
  bool own = false;  ///< the origin is teal's: its rows were skipped and counted, control rows kept

  /// What the transaction is compared by in a conflict; of two-way links, set as the slices pass (StreamObserver).
  Timestamp effective_time{};  ///< the running maximum of the side's commit times
  Lsn seen;                    ///< up to where the other side had been applied here, in the other side's log
};

/// Row changes as the decoder counted them, before any queue.
struct ReceivedCounts {
  std::uint64_t received = 0;  ///< row changes, own ones included; control rows are not counted
  std::uint64_t own = 0;       ///< of these, skipped because teal wrote them
};

/// A piece of one source transaction, in commit order: most transactions are one slice, large ones several.
/// Lifetime: owns everything that its changes point to; move-only.
/// Threads: made on the receiver's thread, then handed over whole; never shared.
struct TransactionSlice {
  TransactionFacts facts;
  bool first = false;  ///< the transaction begins here
  bool last = false;   ///< the transaction ends here: `end_lsn` is set
  Lsn end_lsn;         ///< END of the commit record: the only position that progress and dedupe use
  std::vector<Change> changes;
  ReceivedCounts counts;  ///< of this slice alone
  std::size_t bytes = 0;  ///< memory charged for it, allocator overhead included

  std::vector<std::shared_ptr<const Relation>> relations;
  std::vector<Frame> frames;
  std::unique_ptr<std::pmr::monotonic_buffer_resource> arena = std::make_unique<std::pmr::monotonic_buffer_resource>();
};

/// The schema of teal's control tables; rows in it are carried, but are outside conflicts and ledger.
inline constexpr std::string_view kControlSchema = "teal";

}  // namespace teal
