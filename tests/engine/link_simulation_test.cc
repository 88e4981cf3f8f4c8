// One link between a model of a source and a model of a target, in one thread and with a clock of its own: whatever
// breaks in whatever order, a seed decides and repeats. Real are the decoder, the assembler, the queue, Progress and
// LinkState; Link's and Receiver's loops are retold step by step, and the sink is one with just the Applier's promises.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "decoder/copy_data.h"
#include "decoder/transaction_assembler.h"
#include "engine/link_state.h"
#include "engine/pg_error.h"
#include "engine/progress.h"
#include "engine/transaction_queue.h"
#include "engine/transaction_sink.h"
#include "tests/support/random_seed.h"
#include "tests/support/simulation/model_servers.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;

/// What a plausible link gets wrong: each has to be found.
enum class Mistake {
  kNone,
  kAcknowledgesApplied,  ///< what is committed, and not yet flushed (I4)
  kAppliesAgain,         ///< what is sent again, without looking at the progress row (A5, A7)
  kTakesEveryKeepalive,  ///< for an end of everything, also inside a transaction (A8)
  kTrustsItsCommit,      ///< takes a COMMIT in doubt for done, and goes on behind it (A10)
  kIdleOvertakesQueue,   ///< moves to the end of WAL while transactions are still queued (A8)
  kEndsBatchAnywhere,    ///< and not at a source commit (I3)
};

[[noreturn]] void lose_connection() { throw PgError("simulate", "the connection is lost", "08006"); }

/// The Applier's contract and no more: batches end at source commits, the row moves with them, what is not above
/// `applied` is not applied, durable comes later.
class ModelSink final : public TransactionSink {
 public:
  ModelSink(ModelTarget& target, std::mt19937_64& random, Mistake mistake)
      : target_(target), random_(random), mistake_(mistake), row_(target.row()) {}

  void begin(const TransactionFacts& facts) override { skipped_ = was_applied(facts.final_lsn); }
  void append(TransactionSlice slice) override {
    for (const Change& change : slice.changes) open_.emplace_back(change.new_tuple[0].text());
  }
  void commit(Lsn end_lsn) override {
    if (!skipped_) ended_.push_back(std::move(open_));
    open_.clear();
    ended_lsn_ = std::max(ended_lsn_, end_lsn);
    if (random_() % 4 == 0) write();
  }
  void flush() override {
    if (mistake_ == Mistake::kEndsBatchAnywhere && !open_.empty()) ended_.push_back(std::exchange(open_, {}));
    write();
    if (open_.empty() && idle_to_ > row_.applied && random_() % 2 == 0) {
      ended_lsn_ = idle_to_;
      write();
    }
  }
  void idle(Lsn wal_end, Timestamp /*time*/) override { idle_to_ = wal_end; }
  [[nodiscard]] Lsn applied() const override { return row_.applied; }
  [[nodiscard]] Lsn durable() override {
    return mistake_ == Mistake::kAcknowledgesApplied ? row_.held : std::min(row_.held, target_.durable_row().held);
  }

  /// The next write loses its connection, with the COMMIT done or not.
  void break_next_write(bool committed) { breaks_ = committed ? Breaks::kAfter : Breaks::kBefore; }

 private:
  enum class Breaks { kNot, kBefore, kAfter };

  [[nodiscard]] bool was_applied(Lsn final_lsn) const {
    return mistake_ != Mistake::kAppliesAgain && final_lsn < row_.applied;
  }

  void write() {
    if (ended_lsn_ <= row_.applied && ended_.empty()) return;
    ModelTarget::Row next{std::max(row_.applied, ended_lsn_), row_.held};
    // A link of two ways holds the slot back at times: then it is sent again what it has.
    if (random_() % 3 != 0) next.held = next.applied;
    if (breaks_ == Breaks::kBefore && mistake_ == Mistake::kTrustsItsCommit) target_.commit({}, next);
    if (breaks_ == Breaks::kBefore) lose_connection();
    target_.commit(ended_, next);
    if (breaks_ == Breaks::kAfter) lose_connection();
    row_ = next;
    ended_.clear();
  }

  ModelTarget& target_;
  std::mt19937_64& random_;
  Mistake mistake_;
  ModelTarget::Row row_;
  std::vector<std::string> open_;
  std::vector<std::vector<std::string>> ended_;
  Lsn ended_lsn_;
  Lsn idle_to_;
  bool skipped_ = false;
  Breaks breaks_ = Breaks::kNot;
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, Mistake mistake) : random_(seed), mistake_(mistake), state_({}, seed) {}

  /// Errors: Violation.
  void run() {
    constexpr int kSteps = 400;
    for (int i = 0; i < kSteps; ++i) step();
    broken_ = false;
    for (int i = 0; target_.transactions() < source_.transactions(); ++i) {
      if (i > 5'000) throw Violation("the link does not come to its end");
      step();
    }
  }

 private:
  /// What lives from one connection to its end, as in Link. Slices and queue have room for one row, or for many.
  struct Session {
    Session(ModelTarget& target, std::mt19937_64& random, Mistake mistake, const Progress& progress)
        : sink(target, random, mistake),
          queue(random() % 2 == 0 ? 600 : 60'000, progress),
          assembler({.own_origin_prefix = "teal_", .slice_bytes_max = random() % 2 == 0 ? 300U : 30'000U}) {}
    ModelSink sink;
    TransactionQueue queue;
    TransactionAssembler assembler;
    std::optional<SourceItem> waits;  ///< for space in the queue
  };

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  void step() {
    now_ += milliseconds(below(50));
    if (broken_ && below(25) == 0) return strike();
    if (broken_ && below(4) == 0) source_.commit();
    if (below(10) == 0) source_.checkpoint();
    if (below(6) == 0) target_.flush();
    try {
      work();
    } catch (const PgError&) {
      session_.reset();
      state_.failed(now_);
      resume_at_ = now_ + state_.backoff();
    }
    if (source_.confirmed() > target_.durable_row().held) throw Violation("I4: more was acknowledged than is flushed");
  }

  void work() {
    if (state_.phase() == LinkPhase::kBackingOff && now_ >= resume_at_) state_.waited();
    if (state_.phase() == LinkPhase::kConnecting) connect();
    if (!session_) return;
    for (std::uint64_t i = below(6); i > 0; --i) receive();
    for (std::uint64_t i = below(4); i > 0; --i) take();
    if (below(3) == 0) source_.confirm(progress_.durable());
  }

  void connect() {
    if (broken_ && below(5) == 0) lose_connection();
    progress_.reset();
    session_ = std::make_unique<Session>(target_, random_, mistake_, progress_);
    source_.start_stream(target_.row().held);
    state_.connected(now_);
  }

  // Receiver: nothing is read while an item waits for space.
  void receive() {
    if (session_->waits) {
      if (!session_->queue.try_push(*session_->waits)) return;
      session_->waits.reset();
    }
    std::optional<Bytes> message = source_.next_message();
    if (!message) return;
    std::optional<SourceItem> item = decode(frame_of(*message));
    if (item && !session_->queue.try_push(*item)) session_->waits = std::move(item);
  }

  std::optional<SourceItem> decode(Frame frame) {
    const auto envelope = parse_copy_data(frame.bytes());
    if (!envelope) throw Violation("the stream could not be decoded");
    if (const auto* keepalive = std::get_if<PrimaryKeepalive>(&*envelope)) {
      progress_.set_received(keepalive->wal_end);
      if (session_->assembler.in_transaction() && mistake_ != Mistake::kTakesEveryKeepalive) return std::nullopt;
      if (mistake_ == Mistake::kIdleOvertakesQueue) {
        session_->sink.idle(keepalive->wal_end, keepalive->send_time);
        session_->sink.flush();
      }
      return WalEnd{keepalive->wal_end, keepalive->send_time};
    }
    const auto& data = std::get<XLogData>(*envelope);
    progress_.set_received(data.start);
    auto added = session_->assembler.add(data.start, data.payload, std::move(frame));
    if (!added) throw Violation("the stream could not be decoded");
    if (!added->has_value()) return std::nullopt;
    return std::move(**added);
  }

  // Link: one item, or a flush when there is none.
  void take() {
    ModelSink& sink = session_->sink;
    std::optional<SourceItem> item = session_->queue.next(milliseconds(0));
    if (!item) {
      sink.flush();
    } else if (const auto* end = std::get_if<WalEnd>(&*item)) {
      sink.idle(end->lsn, end->time);
    } else {
      auto& slice = std::get<TransactionSlice>(*item);
      const bool last = slice.last;
      const Lsn end_lsn = slice.end_lsn;
      if (slice.first) sink.begin(slice.facts);
      sink.append(std::move(slice));
      if (last) sink.commit(end_lsn);
    }
    progress_.set_durable(sink.durable());
  }

  void strike() {
    const bool had_session = session_ != nullptr;
    switch (below(6)) {
      case 0:  // kill -9 teal: a new process knows nothing
        session_.reset();
        progress_.reset();
        state_ = LinkState({}, random_());
        return;
      case 1:
        source_.crash();
        break;
      case 2:
        target_.crash();
        break;
      case 3:
      case 4:
        if (had_session) session_->sink.break_next_write(below(2) == 0);
        return;
      default:  // the connection to the source
        break;
    }
    if (!had_session) return;
    session_.reset();
    state_.failed(now_);
    resume_at_ = now_ + state_.backoff();
  }

  std::mt19937_64 random_;
  Mistake mistake_;
  bool broken_ = true;
  LinkState::Clock::time_point now_{};
  LinkState::Clock::time_point resume_at_{};
  LinkState state_;
  ModelSource source_{random_};
  ModelTarget target_{source_};
  Progress progress_;
  std::unique_ptr<Session> session_;
};

/// What the simulation with that seed finds; "" when nothing.
std::string found(std::uint64_t seed, Mistake mistake) {
  try {
    Simulation(seed, mistake).run();
  } catch (const Violation& violation) {
    return violation.what();
  }
  return "";
}

TEST(LinkSimulation, I1I3I4A5A7A9HoldWhateverBreaks) {
  constexpr std::uint64_t kRuns = 2000;
  const std::uint64_t first = random_seed() % 1'000'000'000;
  for (std::uint64_t seed = first; seed < first + kRuns; ++seed) {
    ASSERT_EQ(found(seed, Mistake::kNone), "") << "TEAL_TEST_SEED=" << seed;
  }
}

class LinkSimulationFinds : public testing::TestWithParam<Mistake> {};

TEST_P(LinkSimulationFinds, EachMistakeWithinSomeSeeds) {
  constexpr std::uint64_t kRuns = 500;
  int caught = 0;
  for (std::uint64_t seed = 1; seed <= kRuns; ++seed) caught += found(seed, GetParam()).empty() ? 0 : 1;
  EXPECT_GT(caught, 0);
  RecordProperty("caught", caught);
  std::printf("caught by %d of %d seeds\n", caught, static_cast<int>(kRuns));
}

INSTANTIATE_TEST_SUITE_P(Plausible, LinkSimulationFinds,
                         testing::Values(Mistake::kAcknowledgesApplied, Mistake::kAppliesAgain,
                                         Mistake::kTakesEveryKeepalive, Mistake::kTrustsItsCommit,
                                         Mistake::kIdleOvertakesQueue, Mistake::kEndsBatchAnywhere));

}  // namespace
}  // namespace teal::test
