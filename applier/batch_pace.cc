#include "applier/batch_pace.h"

#include <algorithm>

namespace teal {
namespace {

using std::chrono::milliseconds;

// Less than half of deadlock_timeout's default: rows are deleted, updated and inserted by statements of their own.
constexpr milliseconds kStatementTime{400};
constexpr milliseconds kPause{10};
constexpr unsigned kDoublingsMost = 6;

milliseconds doubled(milliseconds time, unsigned times) { return time * (1 << std::min(times, kDoublingsMost)); }

}  // namespace

milliseconds BatchPace::statement_time() const { return doubled(kStatementTime, late_alone_); }

milliseconds BatchPace::pause() {
  const milliseconds most = doubled(kPause, given_ == 0 ? 0 : given_ - 1);
  std::uniform_int_distribution<milliseconds::rep> jittered(most.count() / 2, most.count());
  return milliseconds(jittered(random_));
}

void BatchPace::gave_way(std::size_t transactions, bool out_of_time) {
  max_ = std::max<std::size_t>(1, transactions / 2);
  through_ = 0;
  ++given_;
  if (transactions > 1) return;
  ++given_alone_;
  if (out_of_time) ++late_alone_;
}

void BatchPace::went_through() {
  given_ = given_alone_ = late_alone_ = 0;
  if (max_ == SIZE_MAX || ++through_ < kGrowAfter) return;
  through_ = 0;
  max_ = max_ < most_ ? 2 * max_ : SIZE_MAX;
}

}  // namespace teal
