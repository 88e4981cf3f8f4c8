#pragma once
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "engine/pg_connection.h"
#include "engine/run_lock.h"

namespace teal {

/// Takes the migration's lock and keeps it, from the set-up through the copy to the end of the stream: looks every five
/// seconds, takes it again when its session was lost (a restart of the target), and asks the process to stop when
/// another one has it then (invariant I10). Meanwhile the origins fence.
/// Threads: one of its own. The object outlives what it guards.
class LockKeeper {
 public:
  /// Errors: as RunLock.
  LockKeeper(ConnectOptions target, std::string migration, std::stop_source& whole);
  LockKeeper(const LockKeeper&) = delete;
  LockKeeper& operator=(const LockKeeper&) = delete;
  ~LockKeeper() = default;

  /// Another one has it: what runs has to end at once.
  [[nodiscard]] bool lost();
  /// Throws LockHeld when that is why the process was asked to stop.
  void rethrow();

 private:
  void keep(const std::stop_token& stop);
  void look(const std::stop_token& stop);
  void take_again(const std::stop_token& stop);
  void tell(const std::exception& error);

  ConnectOptions target_;
  std::string migration_;
  std::stop_source& whole_;
  std::optional<RunLock> lock_;
  int last_pid_;       // of our session that had the lock last
  bool told_ = false;  // that its session is lost
  std::mutex mutex_;
  std::exception_ptr lost_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace teal
