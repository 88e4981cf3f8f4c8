#pragma once
#include <chrono>
#include <stop_token>

namespace teal {

/// Waits for `time`, or until a stop is requested. Returns false when it was a stop.
/// For the pauses between two attempts; what can be waited for as a condition is not waited for like this.
/// Threads: any.
bool pause_for(std::chrono::milliseconds time, const std::stop_token& stop);

}  // namespace teal
