// A link whose stream is observed, as the two links of a migration are: whoever waits for the observer never waits for
// the link's own target, however long it stands still (I6, I7). A real source, and a target that is this test.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/link.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/small_mount.h"
#include "tests/support/two_node_fixture.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kQueueBytes = 64U << 10U;

/// What the sinks of all sessions have committed, and whether they stand still.
class MemoryTarget {
 public:
  void stand_still(bool stands) {
    const std::scoped_lock lock(mutex_);
    stands_ = stands;
    moved_.notify_all();
  }
  void wait_while_it_stands() {
    std::unique_lock lock(mutex_);
    moved_.wait(lock, [this] { return !stands_; });
  }
  void commit(std::vector<std::string> rows, Lsn end) {
    const std::scoped_lock lock(mutex_);
    for (std::string& row : rows) rows_.push_back(std::move(row));
    applied_ = std::max(applied_, end);
  }
  void received(const ReceivedCounts& counts) {
    const std::scoped_lock lock(mutex_);
    received_ += counts.received;
  }
  [[nodiscard]] Lsn applied() const {
    const std::scoped_lock lock(mutex_);
    return applied_;
  }
  [[nodiscard]] std::string rows() const {
    const std::scoped_lock lock(mutex_);
    std::string text;
    for (const std::string& row : rows_) text += row + "\n";
    return text;
  }
  [[nodiscard]] std::size_t row_count() const {
    const std::scoped_lock lock(mutex_);
    return rows_.size();
  }
  [[nodiscard]] std::uint64_t received() const {
    const std::scoped_lock lock(mutex_);
    return received_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable moved_;
  bool stands_ = false;
  std::vector<std::string> rows_;
  std::uint64_t received_ = 0;  // of what was committed
  Lsn applied_;
};

/// One session's: commits transaction by transaction, and knows what is there.
class MemorySink final : public TransactionSink {
 public:
  explicit MemorySink(MemoryTarget& target) : target_(target) {}

  void begin(const TransactionFacts& facts) override {
    EXPECT_EQ(facts.seen, facts.final_lsn) << "what the observer wrote";
    known_ = facts.final_lsn < target_.applied();
    rows_.clear();
    counts_ = {};
  }
  void append(TransactionSlice slice) override {
    target_.wait_while_it_stands();
    counts_.received += slice.counts.received;
    if (known_) return;
    for (const Change& change : slice.changes) {
      const std::string_view value = change.new_tuple[1].text();
      rows_.push_back(std::string(change.new_tuple[0].text()) + " " + std::string(value.substr(0, 32)) + " " +
                      std::to_string(value.size()) + " " + std::to_string(change.relation->columns.size()) +
                      change.relation->columns.back().name);
    }
  }
  void commit(Lsn end_lsn) override {
    if (!known_) target_.received(counts_);
    target_.commit(std::exchange(rows_, {}), end_lsn);
  }
  void flush() override {}
  void idle(Lsn wal_end, Timestamp /*time*/) override { target_.commit({}, wal_end); }
  [[nodiscard]] Lsn applied() const override { return target_.applied(); }
  [[nodiscard]] Lsn held() const override { return target_.applied(); }
  [[nodiscard]] Lsn durable() override { return target_.applied(); }

 private:
  MemoryTarget& target_;
  bool known_ = false;
  std::vector<std::string> rows_;
  ReceivedCounts counts_;
};

/// Somebody waits for it to pass a position.
class WaitedForObserver final : public StreamObserver {
 public:
  void slice(TransactionSlice& slice) override {
    slice.facts.seen = slice.facts.final_lsn;
    if (slice.last) passed(slice.end_lsn);
  }
  void passed(Lsn position) override {
    const std::scoped_lock lock(mutex_);
    passed_ = std::max(passed_, position);
  }
  [[nodiscard]] bool awaited() const override {
    const std::scoped_lock lock(mutex_);
    return passed_ < awaited_;
  }
  void wait_passed(Lsn position) {
    {
      const std::scoped_lock lock(mutex_);
      awaited_ = position;
    }
    wait_until("the observer has passed " + to_string(position), seconds(60), [this] { return !awaited(); });
  }

 private:
  mutable std::mutex mutex_;
  Lsn passed_;
  Lsn awaited_;
};

class ObservedLink : public TwoNodeFixture {
 protected:
  void SetUp() override {
    TwoNodeFixture::SetUp();
    create_tables_both("CREATE TABLE t (id int PRIMARY KEY, v text)");
    create_publication({"public.t"});
    slot_start_ = blue().value("SELECT lsn FROM pg_create_logical_replication_slot('teal_test', 'pgoutput')");
  }
  void TearDown() override {
    target_.stand_still(false);
    link_.reset();
  }

  void start(const SpoolOptions& spill) {
    LinkOptions options;
    options.core.name = options.reader.link = options.stream.link = "blue_to_green";
    options.queue_bytes_max = kQueueBytes;
    options.reader.slice_bytes_max = kQueueBytes / 4;
    options.reader.spool = spill;
    options.reader.observer = &observer_;
    options.stream.connect = {"postgresql://teal@127.0.0.1:" + std::to_string(blue_server().port()) + "/shop", "blue",
                              "teal/shop/test"};
    options.stream.connect.replication = true;
    options.stream.slot = "teal_test";
    options.stream.publications = {"teal_shop_blue_to_green"};
    target_.commit({}, *parse_lsn(slot_start_));
    const std::string system = blue().value("SELECT system_identifier FROM pg_control_system()");
    link_ = std::make_unique<Link>(options, [this, system](const std::stop_token&) {
      StreamStart start;
      start.held = target_.applied();
      start.source_system_id = system;
      start.timeline_now = 1;
      return OpenedSink{std::make_unique<MemorySink>(target_), start};
    });
    link_->start();
  }

  /// About 50 MB: small transactions, a column that comes in between, one large transaction, and small ones again.
  Lsn write_backlog() {
    const std::string row = "repeat(md5(i::text), 625)";
    const auto small = [&](int first, int last) {
      blue_owner().exec("DO $$ BEGIN FOR i IN " + std::to_string(first) + ".." + std::to_string(last) +
                        " LOOP INSERT INTO t (id, v) VALUES (i, " + row + "); COMMIT; END LOOP; END $$");
    };
    blue_owner().exec("SET search_path = public; SET synchronous_commit = off");
    small(1, kBeforeAlter);
    blue_owner().exec("ALTER TABLE t ADD COLUMN more int");
    blue_owner().exec("INSERT INTO t (id, v) SELECT i, " + row + " FROM generate_series(" +
                      std::to_string(kBeforeAlter + 1) + ", 1000) i");
    small(1'001, kRows);
    blue().exec("CHECKPOINT");  // everything above is in the log
    return *parse_lsn(blue().value("SELECT pg_current_wal_flush_lsn()"));
  }

  void expect_each_row_once_and_in_order() {
    wait_until("the target has all rows", seconds(60), [this] { return target_.row_count() >= std::size_t{kRows}; });
    wait_until("and what the source wrote last", seconds(30), [this] {
      return blue().truth("SELECT confirmed_flush_lsn >= pg_current_wal_flush_lsn() FROM pg_replication_slots");
    });
    EXPECT_EQ(target_.rows(), blue().value("SELECT string_agg(id || ' ' || left(v, 32) || ' ' || length(v) || ' ' || "
                                           "CASE WHEN id <= " +
                                           std::to_string(kBeforeAlter) +
                                           " THEN '2v' ELSE '3more' END || E'\\n', '' ORDER BY id) FROM t"));
    EXPECT_EQ(target_.received(), std::uint64_t{kRows}) << "counted once";
  }

  static constexpr int kBeforeAlter = 800;
  static constexpr int kRows = 2'500;

  MemoryTarget target_;
  WaitedForObserver observer_;
  std::string slot_start_;
  std::unique_ptr<Link> link_;
};

TEST_F(ObservedLink, I6I7ReceiverOfATargetThatStandsStillReadsOnAndSpills) {
  target_.stand_still(true);
  start({make_scratch_directory("spill").string(), 1U << 30U});
  observer_.wait_passed(write_backlog());
  EXPECT_EQ(target_.row_count(), 0U);
  EXPECT_GT(link_->progress().stalled_for().count(), 0) << "a source that shuts down has to be let go";
  target_.stand_still(false);
  expect_each_row_once_and_in_order();
  EXPECT_EQ(link_->sessions(), 1);
}

TEST_F(ObservedLink, I6I1WithoutASpillItReadsOnAndReadsAgain) {
  target_.stand_still(true);
  start({"", 0});
  observer_.wait_passed(write_backlog());
  EXPECT_EQ(target_.row_count(), 0U);
  target_.stand_still(false);
  expect_each_row_once_and_in_order();
  EXPECT_EQ(link_->sessions(), 2) << "nobody waits any more, so the second waits for its target";
}

TEST_F(ObservedLink, I4StopWhileABacklogWaitsLosesNothingOfIt) {
  target_.stand_still(true);
  const SpoolOptions spill{make_scratch_directory("spill").string(), 1U << 30U};
  start(spill);
  observer_.wait_passed(write_backlog());
  link_->request_stop();
  target_.stand_still(false);
  EXPECT_TRUE(link_->wait_ended(seconds(30)));
  EXPECT_LT(target_.row_count(), 500U) << "what fits the queue, and not the backlog";
  EXPECT_LE(blue().number("SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots"),
            static_cast<std::int64_t>(target_.applied().value));
  start(spill);
  expect_each_row_once_and_in_order();
}

/// The disk that the spill is on.
class ObservedLinkOnASmallDisk : public ObservedLink {
 protected:
  SmallMount mount_{8U << 20U};  // made before the servers, which do not need it
};

TEST_F(ObservedLinkOnASmallDisk, M1I6SpillWhoseDiskIsFullIsLikeNone) {
  target_.stand_still(true);
  start({mount_.path().string(), 1U << 30U});
  observer_.wait_passed(write_backlog());
  target_.stand_still(false);
  expect_each_row_once_and_in_order();
  EXPECT_EQ(link_->sessions(), 2);
}

}  // namespace
}  // namespace teal::test
