#include "applier/index_units.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

namespace teal {
namespace {

class UnitQueue {
 public:
  explicit UnitQueue(const std::vector<IndexUnit>& units) {
    for (const IndexUnit& unit : units) waiting_.push_back(&unit);
  }

  /// The next that may be made now; waits until one may. nullptr: nothing is left to begin.
  const IndexUnit* take() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (waiting_.empty() || error_) return nullptr;
      const auto next =
          std::find_if(waiting_.begin(), waiting_.end(), [&](const IndexUnit* u) { return may_begin(*u); });
      if (next != waiting_.end()) {
        const IndexUnit* unit = *next;
        waiting_.erase(next);
        ++under_way_[unit->table].count;
        under_way_[unit->table].exclusive = unit->exclusive;
        return unit;
      }
      changed_.wait(lock);
    }
  }

  void done(const IndexUnit& unit) {
    const std::scoped_lock lock(mutex_);
    if (--under_way_[unit.table].count == 0) under_way_.erase(unit.table);
    made_ += unit.entries.size();
    changed_.notify_all();
  }

  void failed(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::move(error);
    changed_.notify_all();
  }

  [[nodiscard]] std::size_t made() const { return made_; }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct UnderWay {
    int count = 0;
    bool exclusive = false;
  };

  bool may_begin(const IndexUnit& unit) const {
    if (unit.table == 0) return true;
    const auto found = under_way_.find(unit.table);
    return found == under_way_.end() || (!unit.exclusive && !found->second.exclusive);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<const IndexUnit*> waiting_;        // guarded by mutex_
  std::map<std::uint32_t, UnderWay> under_way_;  // guarded by mutex_
  std::size_t made_ = 0;                         // guarded by mutex_
  std::exception_ptr error_;                     // guarded by mutex_
};

}  // namespace

void run_index_units(const std::vector<IndexUnit>& units, int jobs, const std::stop_token& stop, const MakeUnit& make,
                     std::size_t& made) {
  UnitQueue queue(units);
  {
    std::vector<std::jthread> threads;
    const auto count = std::min(units.size(), static_cast<std::size_t>(jobs));
    threads.reserve(count);
    for (std::size_t job = 0; job < count; ++job) {
      threads.emplace_back([&, job] {
        try {
          while (const IndexUnit* unit = queue.take()) {
            make(*unit, static_cast<int>(job), stop);
            queue.done(*unit);
          }
        } catch (...) {
          queue.failed(std::current_exception());
        }
      });
    }
  }
  made += queue.made();
  queue.rethrow();
}

}  // namespace teal
