#include "engine/clock_skew.h"

#include <string>

namespace teal {
namespace {

using std::chrono::microseconds;

constexpr int kQuestions = 3;

microseconds since_start(ClockOffset::Clock::time_point time) {
  return std::chrono::duration_cast<microseconds>(time.time_since_epoch());
}

void ask(PgConnection& server, ClockOffset& clock) {
  const auto sent = ClockOffset::Clock::now();
  const Rows rows = server.exec_often("ask " + server.label() + " what time it is",
                                      "SELECT (extract(epoch FROM clock_timestamp() - '2000-01-01 00:00:00+00'"
                                      "::timestamptz) * 1000000)::bigint",
                                      {});
  clock.add(sent, Timestamp{rows.integer(0, 0)}, ClockOffset::Clock::now());
}

}  // namespace

void ClockOffset::add(Clock::time_point sent, Timestamp server, Clock::time_point received) {
  const microseconds error = (since_start(received) - since_start(sent)) / 2;
  if (error >= error_) return;
  error_ = error;
  offset_ = microseconds(server.us) - (since_start(sent) + error);
}

ClockSkew clock_skew(const ClockOffset& first, const ClockOffset& second) {
  return {second.offset() - first.offset(), first.error() + second.error()};
}

ClockSkew measure_clock_skew(PgConnection& first, PgConnection& second) {
  ClockOffset clock_of_first;
  ClockOffset clock_of_second;
  for (int i = 0; i < kQuestions; ++i) {
    ask(first, clock_of_first);
    ask(second, clock_of_second);
  }
  return clock_skew(clock_of_first, clock_of_second);
}

}  // namespace teal
