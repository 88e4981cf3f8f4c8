#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include <boost/unordered/unordered_flat_map.hpp>

#include "conflict/local_changes.h"
#include "conflict/row_key.h"
#include "conflict/stream_clock.h"
#include "decoder/relation.h"
#include "engine/stream_observer.h"

namespace teal {

/// How rows of an announced relation are known on both sides; nullopt: they are not replicated (control rows).
/// Errors: PgError.
using FindKeyShape = std::function<std::optional<KeyShape>(const Relation&)>;

/// What applications have changed on one side, as far as the other side may not have seen it: the one thing that the
/// two links of a migration share.
///
/// The link that reads the side fills it, as observer of its stream; the link that writes to the side asks it, once its
/// own rows are locked there and the stream has passed that moment (`wait_passed`). Lifetime: outlives both links'
/// sessions. A session of the reading link that begins earlier than the last one ended changes nothing: what is known
/// is not entered twice. Nor is what the source sends again from before the session's position, to show that its log is
/// the same: every change that can still meet it was decided. Threads: any; nothing is done under its lock that waits.
class SideChanges final : public StreamObserver {
 public:
  /// `echo_link`: whose progress row on this side says up to where the other side has been applied here.
  /// `bytes_max`: see `full`.
  SideChanges(std::string echo_link, FindKeyShape find_shape, std::size_t bytes_max);

  /// A session of the link that reads the side begins at `from`, where this was known. Before its threads start.
  void begin_session(Lsn from, Timestamp time, Lsn seen);
  void slice(TransactionSlice& slice) override;
  void passed(Lsn position) override;
  void ended() override;
  [[nodiscard]] bool awaited() const override;
  /// `bytes_max` is reached. While the link that reads the side applies what it reads, this stops nothing: that link
  /// gives memory back, and the other one could wait for what is not read for ever.
  [[nodiscard]] bool full() const override { return bytes() >= bytes_max_; }

  /// Whether this session has delivered everything below `position`.
  [[nodiscard]] bool has_passed(Lsn position) const;
  /// Waits for that. Returns false when it has not after `wait`, or
  /// when it is time to stop.
  [[nodiscard]] bool wait_passed(Lsn position, std::chrono::milliseconds wait, const std::stop_token& stop);

  /// Calls `look` with the changes of both sides, which do not change meanwhile.
  template <typename Look>
  static auto read(const SideChanges& one, const SideChanges& other, Look look) {
    const std::scoped_lock lock(one.mutex_, other.mutex_);
    return look(one.changes_, other.changes_);
  }

  /// The link that reads the side has a stream.
  [[nodiscard]] bool reading() const;

  /// The oldest position of the other side's log whose changes an unseen change of this side may not have seen, when
  /// the other side has this one up to `seen_there`.
  [[nodiscard]] Lsn needs_from(Lsn seen_there) const;
  /// Forgets what no change of the other side can have missed any more.
  void forget(Lsn position);
  /// See LocalChanges::oldest.
  [[nodiscard]] std::optional<LocalCommit> oldest() const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  const std::optional<KeyShape>& shape_of(const Relation& relation);
  void note_echo(const TransactionSlice& slice);
  void enter(const TransactionSlice& slice, const LocalCommit& commit);
  void enter_change(const Change& change, std::vector<LocalChange>& changes);
  void enter_truncate(const Change& change, std::vector<LocalChange>& changes);

  const std::string echo_link_;
  const FindKeyShape find_shape_;
  const std::size_t bytes_max_;
  Lsn from_;                                                                                       // the receiver's
  StreamClock clock_;                                                                              // the receiver's
  boost::unordered_flat_map<std::uint32_t, std::pair<Relation, std::optional<KeyShape>>> shapes_;  // the receiver's

  mutable std::mutex mutex_;
  std::condition_variable_any passed_on_;
  LocalChanges changes_;  // guarded by mutex_, like all below
  Lsn passed_;
  bool reading_ = false;
  int waiting_ = 0;  // in wait_passed, for what has not passed
  Lsn entered_;      // commits up to here are, or were, in changes_
  Lsn seen_;         // the clock's
};

}  // namespace teal
