#include "tests/support/simulation/link_simulation.h"

#include <algorithm>
#include <array>

#include "engine/pg_error.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kStallMaxMs = 20'000;
// What a stop may take once the target answers: the drain's limit, and a little.
constexpr milliseconds kStopWithin = seconds(11);
// What the way to the end may take once nothing breaks: the longest backoff, a stall, and the rest many times over.
constexpr seconds kSettleWithin{120};
constexpr int kStepsAtOnce = 10'000;

}  // namespace

LinkSimulation::LinkSimulation(std::uint64_t seed, Mistake mistake) : random_(seed) {
  options_.queue_bytes_max = below(2) == 0 ? 600 : 60'000;
  options_.slice_bytes_max = below(2) == 0 ? 300 : 30'000;
  constexpr std::array<std::uint64_t, 4> kSpools{0, 0, 400, 1U << 20U};
  options_.spool_bytes_max = kSpools[below(kSpools.size())];
  constexpr std::array kTimeouts{milliseconds(0), milliseconds(2'000), milliseconds(60'000)};
  options_.sender_timeout = kTimeouts[below(kTimeouts.size())];
  options_.observed = below(2) == 0;
  options_.mistake = mistake;
  start();
}

LinkSimulation::Clock::time_point LinkSimulation::within(std::int64_t most_ms) {
  return now_ + milliseconds(below(static_cast<std::uint64_t>(most_ms)));
}

// A new process, which knows nothing.
void LinkSimulation::start() {
  stop_asked_.reset();
  torn_ = corrupt_ = false;
  options_.seed = random_();
  link_ = std::make_unique<SimulatedLink>(options_, source_, target_, random_, now_);
}

bool LinkSimulation::happen() {
  if (over_) return false;
  advance(below(60) == 0 ? within(45'000) : within(60));
  const std::uint64_t what = over_ ? 20 : below(20);
  if (what < 11) {
    commit();
  } else if (what < 15) {
    target_.flush();
  } else if (what == 15) {
    source_.checkpoint();
  } else if (what == 16) {
    target_.end_commit(below(2) == 0);
  } else if (what == 17) {
    strike();
  }
  return !over_;
}

void LinkSimulation::settle() {
  const Clock::time_point deadline = now_ + kSettleWithin;
  while (!all_is_there()) {
    if (over_) return;
    if (now_ > deadline)
      throw Violation("the link does not come to its end: " + std::string(to_string(link_->phase())));
    target_.end_commit(true);
    target_.flush();
    advance(now_ + milliseconds(50));
  }
}

std::string LinkSimulation::outcome() const {
  const ModelTarget::Row row = target_.row();
  return to_string(source_.end()) + " " + to_string(row.applied) + " " + to_string(source_.confirmed()) + " " +
         to_string(row.ledger) + " " + std::to_string(now_.time_since_epoch().count());
}

bool LinkSimulation::all_is_there() const {
  return target_.transactions() == source_.transactions() && source_.confirmed() == source_.end() &&
         link_->phase() == LinkPhase::kStreaming;
}

void LinkSimulation::advance(Clock::time_point until) {
  int at_once = 0;
  while (!over_ && link_->next_at() <= until) {
    at_once = link_->next_at() > now_ ? 0 : at_once + 1;
    if (at_once > kStepsAtOnce) throw Violation("the link is busy for ever");
    now_ = std::max(now_, link_->next_at());
    link_->step(now_);
    check();
    look_at_link();
  }
  now_ = std::max(now_, until);
}

void LinkSimulation::check() {
  if (source_.confirmed() > target_.durable_row().held && !lost_) {
    throw Violation("I4: more was acknowledged than is flushed");
  }
  if (!stop_asked_ || link_->phase() == LinkPhase::kStopped) return;
  if (now_ - std::max(*stop_asked_, stalled_until_) > kStopWithin) throw Violation("a stop does not end the link");
}

// A link that has ended is started again, by an operator who has mended what it has stopped for.
void LinkSimulation::look_at_link() {
  if (link_->phase() != LinkPhase::kStopped) return;
  if (link_->stopped_by() != nullptr) {
    explain(link_->stopped_by());
  } else if (!stop_asked_) {
    throw Violation("the link ended, and nobody had asked for it");
  }
  if (!over_) start();
}

void LinkSimulation::explain(const std::exception_ptr& error) {
  std::string reason;
  try {
    std::rethrow_exception(error);
  } catch (const Stopped& stopped) {
    reason = stopped.what();
    over_ = stopped.code() == StopCode::kRefused && lost_;
    if (over_ || (stopped.code() == StopCode::kData && torn_)) return;
    if (stopped.code() == StopCode::kData && target_.refused()) {
      return below(2) == 0 ? target_.pass_over() : target_.mend();
    }
  } catch (const PgError& failure) {
    reason = failure.what();
    if (failure.error_class() == ErrorClass::kStop && corrupt_) return;
  } catch (const std::exception& other) {
    reason = other.what();
  }
  throw Violation("the link stopped without a need: " + reason);
}

void LinkSimulation::commit() {
  source_.commit();
  const std::vector<std::string>& rows = source_.rows(source_.transactions() - 1);
  if (rows.empty() || target_.refused() || below(30) != 0) return;
  target_.refuse(rows[below(rows.size())]);
}

void LinkSimulation::strike() {
  switch (below(5)) {
    case 0:  // kill -9
      return start();
    case 1:
      return strike_source();
    case 2:
      return strike_target();
    case 3:
      return strike_connection();
    default:
      return intervene();
  }
}

void LinkSimulation::strike_source() {
  if (below(2) == 0) {
    link_->let_source_go();
  } else {
    source_.crash();
    link_->cut();
  }
  link_->refuse_connections(within(3'000));
}

void LinkSimulation::strike_target() {
  const std::uint64_t what = below(8);
  if (what == 0) {
    target_.crash();
    link_->refuse_connections(within(3'000));
  } else if (what < 3) {
    const Clock::time_point until = within(below(2) == 0 ? kStallMaxMs : 1'000);
    stalled_until_ = std::max(stalled_until_, until);
    link_->stall_target(until);
  } else if (what == 3 && below(6) == 0) {
    target_.lose_flushed();
    lost_ = true;  // and if that was acknowledged, or is being so at this moment, the link has to refuse to go on
  } else if (ModelSink* const sink = link_->sink()) {
    constexpr std::array kBreaks{Breaks::kBeforeCommit, Breaks::kAfterCommit,  Breaks::kInCommit,     Breaks::kDeadlock,
                                 Breaks::kDiskFull,     Breaks::kRightRevoked, Breaks::kBeforeCommit, Breaks::kCorrupt};
    const Breaks how = kBreaks[below(kBreaks.size())];
    corrupt_ = corrupt_ || how == Breaks::kCorrupt;
    sink->break_next(how);
  }
}

void LinkSimulation::strike_connection() {
  const std::uint64_t what = below(16);
  if (what < 8) {
    link_->cut();
  } else if (what < 14) {
    link_->hold(within(2'000));
  } else if (what == 14) {
    link_->hold(within(45'000));
  } else {
    link_->hold(now_ + std::chrono::hours(24));  // dead, and nobody says so
  }
}

// What operators, and bugs, do.
void LinkSimulation::intervene() {
  const std::uint64_t what = below(8);
  if (what < 3) {
    stop_asked_ = stop_asked_.value_or(now_);
    link_->request_stop();
    if (below(3) == 0) link_->request_stop();
  } else if (what < 5) {
    link_->request_new_session();
  } else if (what == 5 && below(2) == 0) {
    torn_ = true;
    link_->tear_next_message();
  } else if (ModelSink* const sink = link_->sink()) {
    sink->forget_open();
  }
}

}  // namespace teal::test
