#include "tools/lock_keeper.h"

#include <chrono>
#include <utility>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{5'000};  // a killed process' session takes a moment to go
constexpr milliseconds kLook{5'000};

}  // namespace

LockKeeper::LockKeeper(ConnectOptions target, std::string migration, std::stop_source& whole)
    : target_(std::move(target)), migration_(std::move(migration)), whole_(whole) {
  lock_.emplace(target_, migration_, kPatience, whole_.get_token());
  last_pid_ = lock_->backend_pid();
  thread_ = std::jthread([this](const std::stop_token& stop) { keep(stop); });
}

bool LockKeeper::lost() {
  const std::scoped_lock lock(mutex_);
  return lost_ != nullptr;
}

void LockKeeper::rethrow() {
  const std::scoped_lock lock(mutex_);
  if (lost_) std::rethrow_exception(lost_);
}

void LockKeeper::keep(const std::stop_token& stop) {
  while (pause_for(kLook, stop)) {
    try {
      look(stop);
    } catch (const LockHeld& held) {
      // Our lost session, until the server notices; 0: whoever it was went before the server could be asked.
      if (held.holder_pid() == last_pid_ || held.holder_pid() == 0) continue;
      {
        const std::scoped_lock lock(mutex_);
        lost_ = std::current_exception();
      }
      whole_.request_stop();
      return;
    } catch (const std::exception& error) {
      tell(error);
    }
  }
}

// A process that stood still for minutes has lost more than this session: who has the lock now has to be known before
// its link takes a rival's sessions for leftovers of its own.
void LockKeeper::look(const std::stop_token& stop) {
  if (lock_) {
    try {
      lock_->check();
      return;
    } catch (const std::exception& error) {
      lock_.reset();
      tell(error);
    }
  }
  take_again(stop);
}

void LockKeeper::tell(const std::exception& error) {
  if (!std::exchange(told_, true)) {
    log_event(LogLevel::kWarn, "lock lost, taking it again", {{"reason", error.what()}});
  }
}

void LockKeeper::take_again(const std::stop_token& stop) {
  lock_.emplace(target_, migration_, milliseconds(0), stop);
  last_pid_ = lock_->backend_pid();
  told_ = false;
  log_event(LogLevel::kInfo, "lock taken again");
}

}  // namespace teal
