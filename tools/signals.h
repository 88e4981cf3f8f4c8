#pragma once
#include <chrono>
#include <stop_token>
#include <thread>

namespace teal {

/// Turns SIGINT and SIGTERM into a request to stop, for as long as the object lives.
/// Threads: made before any other thread, because threads inherit the mask that it sets; one at a time.
class SignalStop {
 public:
  SignalStop();
  SignalStop(const SignalStop&) = delete;
  SignalStop& operator=(const SignalStop&) = delete;
  ~SignalStop();

  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

 private:
  std::stop_source stop_;
  std::jthread waiter_;
};

}  // namespace teal
