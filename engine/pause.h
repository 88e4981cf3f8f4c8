#pragma once
#include <chrono>
#include <stop_token>

namespace teal {

/// Waits for `time`, or until a stop is requested. Returns false when it was a stop.
/// For the pauses between two attempts; what can be waited for as a condition is not waited for like this.
/// Threads: any.
bool pause_for(std::chrono::milliseconds time, const std::stop_token& stop);

/// How long to rest after a look at the servers that `took` so long and is repeated for ever: a hundred times that, so
/// that with thousands of tables it costs a hundredth of a processor; at least `least`, at most 30 s.
[[nodiscard]] std::chrono::milliseconds rest_after(std::chrono::steady_clock::duration took,
                                                   std::chrono::milliseconds least);

}  // namespace teal
