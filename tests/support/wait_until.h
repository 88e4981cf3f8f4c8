#pragma once
#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace teal::test {

/// What a wait throws when its deadline has passed; a test that does not catch it fails with the text.
class WaitTimeout : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Asks `condition` every few milliseconds until it is true or `deadline` has passed; returns its last answer.
/// This is the only place in the tests that pauses.
template <class Condition>
[[nodiscard]] bool holds_within(std::chrono::milliseconds deadline, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return true;
}

/// Waits until `condition` is true. `what` names it in the error: "green has 10 rows".
/// Errors: WaitTimeout.
template <class Condition>
void wait_until(std::string_view what, std::chrono::milliseconds deadline, Condition condition) {
  if (holds_within(deadline, condition)) return;
  throw WaitTimeout("waited " + std::to_string(deadline.count()) + " ms in vain until " + std::string(what));
}

}  // namespace teal::test
