#include "engine/queue_inlet.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/pgoutput_builder.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = QueueInlet::Clock;

constexpr Clock::time_point kStart{std::chrono::hours(1)};
const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id"), column("note")});

class AwaitedObserver final : public StreamObserver {
 public:
  void slice(TransactionSlice& /*slice*/) override {}
  void passed(Lsn /*position*/) override {}
  [[nodiscard]] bool awaited() const override { return is_awaited; }
  bool is_awaited = true;
};

TransactionSlice slice(std::uint32_t number, std::size_t size = 1'000) {
  return slice_of({.xid = Xid{number}, .final_lsn = Lsn{std::uint64_t{number} * 0x100}}, {kItem},
                  {P::insert(kItem.id, {text("1"), text(std::string(size, 'x'))})});
}

class QueueInlets : public testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() { inlet_ = std::make_unique<QueueInlet>(options_, queue_, progress_); }
  /// Nothing fits any more, until this is taken.
  void fill() {
    SourceItem large = TransactionSlice{};
    std::get<TransactionSlice>(large).bytes = 1'000'000;
    ASSERT_TRUE(queue_.try_push(large));
  }
  void push(std::uint32_t first, std::uint32_t last, std::size_t size = 1'000) {
    for (std::uint32_t number = first; number <= last; ++number) {
      ASSERT_FALSE(inlet_->full()) << number;
      inlet_->push(slice(number, size));
    }
  }
  /// What the applier gets, with room being given as it takes: numbers of transactions, and ends as 0.
  std::vector<std::uint32_t> taken() {
    std::vector<std::uint32_t> numbers;
    if (!queue_.next(milliseconds(0))) ADD_FAILURE() << "was not filled";
    do {
      static_cast<void>(inlet_->refill(now_));
      const auto item = queue_.next(milliseconds(0));
      if (!item) return numbers;
      const auto* slice = std::get_if<TransactionSlice>(&*item);
      numbers.push_back(slice == nullptr ? 0 : slice->facts.xid.value);
    } while (true);
  }
  static std::vector<std::uint32_t> range(std::uint32_t first, std::uint32_t last) {
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number = first; number <= last; ++number) numbers.push_back(number);
    return numbers;
  }
  /// Nobody waits any more, so that a session that has let go of something may end.
  bool is_cut_short() {
    observer_.is_awaited = false;
    inlet_->look(now_);
    return queue_.used_up();
  }
  /// Changes a byte of each file that the spill has written.
  void damage() const {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
      if (!target.starts_with(options_.spill.directory)) continue;
      const int descriptor = std::stoi(entry.path().filename().string());
      char byte = 0;
      ASSERT_EQ(pread(descriptor, &byte, 1, 100'000), 1);
      byte = static_cast<char>(byte ^ 1);
      ASSERT_EQ(pwrite(descriptor, &byte, 1, 100'000), 1);
    }
  }

  AwaitedObserver observer_;
  QueueInletOptions options_{"blue_to_green", &observer_, {make_scratch_directory("inlet").string(), 1U << 30U}};
  Progress progress_;
  TransactionQueue queue_{100'000, progress_};
  std::unique_ptr<QueueInlet> inlet_;
  Clock::time_point now_ = kStart;
};

TEST_F(QueueInlets, I3BacklogOfAnObservedStreamComesInItsOrderBeforeAnythingNewer) {
  fill();
  push(1, 2'000);
  EXPECT_FALSE(inlet_->full());
  EXPECT_TRUE(inlet_->waiting());
  EXPECT_EQ(taken(), range(1, 2'000));
  EXPECT_FALSE(inlet_->waiting());
  fill();
  push(2'001, 2'100);
  EXPECT_EQ(taken(), range(2'001, 2'100));
}

TEST_F(QueueInlets, I3WhatComesWhileTheBacklogIsTakenGoesBehindIt) {
  fill();
  push(1, 500);
  ASSERT_TRUE(queue_.next(milliseconds(0)));
  static_cast<void>(inlet_->refill(now_));
  push(501, 600);
  std::vector<std::uint32_t> numbers;
  while (auto item = queue_.next(milliseconds(0))) {
    numbers.push_back(std::get<TransactionSlice>(*item).facts.xid.value);
    static_cast<void>(inlet_->refill(now_));
    if (numbers.size() == 300) push(601, 700);
  }
  EXPECT_EQ(numbers, range(1, 700));
}

TEST_F(QueueInlets, A8OfEndsOfWalTheLastIsKeptUntilASliceComesAfterIt) {
  fill();
  push(1, 2);
  inlet_->push(WalEnd{Lsn{0x250}, {}});
  push(3, 3);
  inlet_->push(WalEnd{Lsn{0x400}, {}});
  inlet_->push(WalEnd{Lsn{0x500}, {}});
  EXPECT_EQ(taken(), (std::vector<std::uint32_t>{1, 2, 3, 0}));
}

TEST_F(QueueInlets, WithoutAnObserverOneItemWaitsAndTheStreamWithIt) {
  options_.observer = nullptr;
  open();
  fill();
  push(1, 1);
  EXPECT_TRUE(inlet_->full());
  EXPECT_EQ(taken(), range(1, 1));
  EXPECT_FALSE(inlet_->full());
}

TEST_F(QueueInlets, WhereNothingCanBeSpilledTheStreamWaitsAsLongAsNobodyWaitsForIt) {
  options_.spill.bytes_max = 0;
  open();
  observer_.is_awaited = false;
  progress_.set_advanced();
  fill();
  push(1, 2);
  EXPECT_TRUE(inlet_->full());
  inlet_->look(now_ + std::chrono::hours(1));
  EXPECT_TRUE(inlet_->full());
  EXPECT_EQ(taken(), range(1, 2));
  EXPECT_FALSE(inlet_->full());
  fill();
  push(3, 4);
  EXPECT_EQ(taken(), range(3, 4)) << "and then goes on as before";
  EXPECT_FALSE(queue_.used_up());
}

TEST_F(QueueInlets, I1WhatCannotBeKeptIsLetGoWithAllThatFollowsAndTheQueueIsCutShort) {
  options_.spill.bytes_max = 50'000;
  open();
  progress_.set_advanced();
  fill();
  std::uint32_t kept = 0;
  while (!inlet_->full()) inlet_->push(slice(++kept));
  inlet_->look(now_);
  EXPECT_FALSE(inlet_->full());
  push(kept + 1, kept + 1'000);
  inlet_->push(WalEnd{Lsn{0x900'000}, {}});
  EXPECT_EQ(taken(), range(1, kept - 1));
  inlet_->look(now_);
  EXPECT_FALSE(queue_.used_up()) << "somebody still waits, and would have to begin again";
  EXPECT_TRUE(is_cut_short());
  EXPECT_GT(kept, 40U);
}

// Or a transaction that is larger than all room would be let go session after session.
TEST_F(QueueInlets, SessionThatHasBroughtNothingForwardWaitsWhileTheQueueMoves) {
  options_.spill.bytes_max = 0;
  open();
  fill();
  push(1, 2);
  inlet_->look(now_);
  inlet_->look(now_ += options_.patience - milliseconds(1));
  EXPECT_TRUE(inlet_->full());
  ASSERT_TRUE(queue_.next(milliseconds(0)));
  fill();
  inlet_->look(now_ += milliseconds(1));
  EXPECT_FALSE(inlet_->full()) << "it stood still for so long";
  ASSERT_TRUE(queue_.next(milliseconds(0)));

  open();
  fill();
  inlet_->push(slice(1, 60'000));
  inlet_->push(slice(2, 60'000));
  inlet_->look(now_);
  ASSERT_TRUE(queue_.next(milliseconds(0)));
  static_cast<void>(inlet_->refill(now_ += options_.patience));
  EXPECT_FALSE(inlet_->full()) << "the first is in the queue, the second is next";
  inlet_->push(slice(3, 60'000));
  inlet_->look(now_);
  inlet_->look(now_ += options_.patience - milliseconds(1));
  EXPECT_TRUE(inlet_->full()) << "it has moved since";
}

TEST_F(QueueInlets, DiskThatRefusesIsLikeNoRoom) {
  options_.spill.directory += "/missing";
  open();
  progress_.set_advanced();
  fill();
  std::uint32_t pushed = 0;
  while (!inlet_->full()) inlet_->push(slice(++pushed));
  EXPECT_GT(pushed, 200U) << "the first block waits in memory";
  inlet_->look(now_);
  const std::vector<std::uint32_t> numbers = taken();
  EXPECT_EQ(numbers, range(1, static_cast<std::uint32_t>(numbers.size())));
  EXPECT_TRUE(is_cut_short());
}

TEST_F(QueueInlets, I1DamageOnDiskIsNoticedAndReadAgainFromThere) {
  fill();
  push(1, 2'000);
  damage();
  const std::vector<std::uint32_t> numbers = taken();
  EXPECT_EQ(numbers, range(1, static_cast<std::uint32_t>(numbers.size()))) << "nothing that comes later";
  EXPECT_LT(numbers.size(), 2'000U);
  EXPECT_TRUE(is_cut_short());
  push(2'001, 2'002);
  EXPECT_EQ(queue_.bytes(), 0U);
}

TEST_F(QueueInlets, I7RoomThatOpenTransactionsNeedIsGiven) {
  options_.spill.bytes_max = 10'000'000;
  open();
  fill();
  push(1, 2'000);
  inlet_->leave_room(5'000'000);
  inlet_->leave_room(9'000'000);
  push(2'001, 2'002);
  EXPECT_EQ(taken(), range(1, 1)) << "what was not on disk";
  EXPECT_TRUE(is_cut_short());
}

TEST_F(QueueInlets, WhatWaitsIsLetGoWhenReadingEnds) {
  fill();
  push(1, 1'000);
  inlet_->stop();
  EXPECT_EQ(taken(), (std::vector<std::uint32_t>{}));
  EXPECT_FALSE(is_cut_short()) << "the session ends by itself";
}

TEST_F(QueueInlets, M6TargetThatTakesNothingIsToldFromOneThatIsBehind) {
  EXPECT_EQ(progress_.stalled_for().count(), 0);
  fill();
  push(1, 300);
  EXPECT_GT(progress_.stalled_for().count(), 0);
  EXPECT_EQ(taken().size(), 300U);
  EXPECT_EQ(progress_.stalled_for().count(), 0);
}

}  // namespace
}  // namespace teal::test
