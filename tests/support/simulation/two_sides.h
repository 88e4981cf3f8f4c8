#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "conflict/decide.h"
#include "conflict/local_changes.h"
#include "conflict/policy.h"
#include "conflict/stream_clock.h"

namespace teal::test {

/// One wrong turn that an implementation could take; each has to be found by the simulation.
enum class WrongRule : std::uint8_t {
  kNone,
  kTimesAsTheyAre,           ///< commit times compared without being made monotone
  kTimesAlone,               ///< what was seen is compared, too: the usual rule
  kReceiverNotAwaited,       ///< decided on what had been received by chance
  kInsertDeleteIsNothing,    ///< merged to nothing, as on a one-way link
  kPartialRow,               ///< a winner leaves what it did not send
  kGoneRowIsWritten,         ///< a winner whose row is gone from its side by then is written with what stands there
  kFetchedKeysForgotten,     ///< what was read from a later moment is taken for what the change had seen
  kHoldsNothingBack,         ///< the slot is let go up to what was applied
  kForgetsSeenAtStart,       ///< and begins with nothing seen
  kTruncateTakesAll,         ///< also rows that are later
  kPartTakesAll,             ///< of one partition, taken for one of the table
  kTruncateForgotten,        ///< rows do not know of a TRUNCATE that they had not seen
  kOldestVersionsForgotten,  ///< kept only as long as the newest versions need them
  kLoserDeletedByLink,       ///< of a claim, under the link's origin: its own side never hears of it
  kLoserKept,                ///< of a claim: left out, and left where it is
  kLoserNotRemembered,       ///< of a claim: left out, and its next change takes it to be there
  kLoserLeavesOldRow,        ///< of a claim: left out, and what it was before stays
  kClaimsBySide,             ///< one of the links lets its own source win every claim
};

struct TwoSidesOptions {
  ConflictPolicy policy = ConflictPolicy::kLastUpdateWins;
  WrongRule mistake = WrongRule::kNone;
  bool unique = false;  ///< rows have two more columns, whose values no two rows of a side may share
};

/// Two databases that are written on both sides, and two links between them that decide conflicts by the real code:
/// batches, readers that are behind or ahead, ends of the process, crashes of a side that lose what it had not flushed,
/// clocks that differ and step, deletes, key changes and TRUNCATE, large values that are not sent, values
/// that rows of both sides claim. A page of code stands for the servers. Threads: one. Source: the design's rule of
/// conflicts.
class TwoSides {
 public:
  TwoSides(std::uint64_t seed, TwoSidesOptions options);

  /// Writes, applies and breaks at random, then lets both links finish. Returns what is wrong; empty: both sides hold
  /// the same rows.
  std::string run();

 private:
  struct Row {
    int first = 0;
    int second = 0;
    std::int64_t version = 0;
    std::array<int, 2> unique = {};  // 0: NULL
    bool operator==(const Row&) const = default;
  };
  using Table = std::map<int, Row>;
  enum class OpKind : std::uint8_t { kInsert, kUpdate, kDelete, kTruncate, kMove };
  static constexpr int kWhole = -1;
  struct Op {
    OpKind kind = OpKind::kInsert;
    int key = 0;
    int from = 0;       // of a move: the old key
    int part = kWhole;  // of a TRUNCATE
    Row row = {};
    bool second_sent = true;
    std::int64_t version = 0;
    std::int64_t old_version = 0;  // of a move
  };
  /// See FetchedKey.
  struct Fetched {
    bool left_out = false;
    Lsn as_of;
  };
  /// A link's row on its target.
  struct ProgressRow {
    Lsn applied;
    Lsn seen;  // as of `applied`
    Timestamp time;
    Lsn held;
    Timestamp held_time;
    Lsn held_seen;
    std::map<int, Fetched> fetched = {};
  };
  struct Transaction {
    Lsn begin;
    Lsn end;
    Timestamp time;
    std::vector<Op> ops;      // empty: teal's own
    std::optional<Lsn> echo;  // teal's own: how far the other side was applied here
    Table rows;               // of the side after it
    ProgressRow progress;     // of the link that writes here after it
  };
  struct Server {
    double skew = 0;
    std::vector<Transaction> log;
    std::size_t flushed = 0;  // of log
    Table rows;
    ProgressRow progress;
  };
  struct Received {
    LocalCommit commit;
    Lsn end;
    std::vector<Op> ops;
  };
  using LostClaim = std::tuple<int, Lsn, std::size_t>;  // key, commit, position in it
  /// Side to other side.
  struct Link {
    std::size_t next = 0;  // of the source's log
    StreamClock clock;
    Lsn applied;
    std::deque<Received> queue;
    LocalChanges changes;           // of the source
    Lsn indexed;                    // everything up to here is, or was, in `changes`
    std::map<LostClaim, Lsn> lost;  // where the source was when it had a later version
  };
  struct Net {
    Op op;
    LocalCommit commit;
    Lsn first_seen;            // by the first of the changes that were merged
    bool finds_row = true;     // that one, on the source
    std::size_t position = 0;  // of the last one in its transaction
  };
  /// A change that meets other rows at unique values.
  struct Claim {
    Net net;
    std::vector<int> standing;  // their keys
  };

  /// What a batch makes of its target.
  struct Written {
    Table rows;
    std::map<int, Fetched> fetched;
    Lsn end;  // of the batch
  };

  static constexpr KeyHash kTable{1, 1};
  static constexpr KeyHash kParts[] = {{1, 2}, {1, 3}};  // by the last bit of the key
  static constexpr std::uint64_t kTransactionBytes = 10;

  static int part_of(int key) { return key % 2; }
  /// A unique key of a partitioned table lies in one partition.
  [[nodiscard]] TableHash table_of(int key) const {
    return options_.unique ? TableHash(kTable) : TableHash(kTable, kParts[part_of(key)]);
  }
  [[nodiscard]] static bool takes(const Op& truncate, int key) {
    return truncate.part == kWhole || truncate.part == part_of(key);
  }
  static KeyHash hash_of(int key) { return {2, static_cast<std::uint64_t>(key) + 10}; }
  /// An index of the log for a position: the first transaction that a stream from there sends.
  static std::size_t index_from(Lsn begin) { return (begin.value + kTransactionBytes - 2) / kTransactionBytes; }

  Server& target(int link) { return servers_[static_cast<std::size_t>(1 - link)]; }
  Server& source(int link) { return servers_[static_cast<std::size_t>(link)]; }
  Link& other(int link) { return links_[static_cast<std::size_t>(1 - link)]; }

  int below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
  bool has(WrongRule mistake) const { return options_.mistake == mistake; }

  void write_and_apply();
  void step();
  void write(int side);
  Op random_op(const Table& rows);
  static void put(Table& rows, const Op& op);
  void commit(Server& server, Transaction transaction);
  void crash(int side);
  void end_process();
  void start(int link);
  void receive(int link, int count);
  void apply(int link, int count);
  std::vector<Net> merged(const std::vector<Received>& batch) const;
  static std::vector<Net> in_order(const Received& transaction);
  [[nodiscard]] std::optional<Claim> write_all(int link, const std::vector<Net>& nets, Written& written);
  void finish(int link, const std::vector<Received>& batch, Written written);
  void write_net(int link, const Net& net, Written& written);
  [[nodiscard]] bool leaves_out(int link, const Net& net, Written& written);
  void write_move(int link, const Net& net, Written& written);
  void write_update(const Net& net, Written& written);
  void put_whole(int link, const Net& net, Written& written);
  void write_truncate(int link, const Net& net, Written& written);
  Verdict verdict(int link, const Net& net, int key);
  void claim_at_random(const Table& rows, int key, Row& row);
  static std::vector<int> in_the_way(const Table& rows, int key, const Row& row);
  void settle(int link, const Claim& claim);
  void lose(int link, const Net& net);
  bool wins_all(int link, const Claim& claim);
  void note_loser(int link, const Net& net, int standing, bool wins);
  void delete_here(Server& server, const std::vector<int>& keys);
  void forget(int link);
  [[nodiscard]] bool done() const;

  std::mt19937_64 random_;
  TwoSidesOptions options_;
  double now_ = 0;
  int keys_ = 1;
  int value_ = 0;
  Server servers_[2];
  Link links_[2];  // [0]: from servers_[0], blue
  // Two versions that claimed a value: key and commit on blue, the same on green; whether blue's won.
  std::map<std::tuple<int, Lsn, int, Lsn>, bool> claims_;
  std::string wrong_;
};

}  // namespace teal::test
