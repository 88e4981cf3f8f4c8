#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "tests/support/simulation/mistake.h"
#include "tests/support/simulation/model_source.h"
#include "tests/support/simulation/model_target.h"
#include "tests/support/simulation/simulated_link.h"

namespace teal::test {

/// A link between a model of a source and a model of a target, with a clock of its own: whatever breaks in whatever
/// order, a seed decides and repeats. After some seconds of that everything is let be, and the link has to come to its
/// end: all is there, once, and acknowledged.
class LinkSimulation {
 public:
  LinkSimulation(std::uint64_t seed, Mistake mistake);

  /// One thing that happens or breaks, and what the link makes of the time before it. Returns false once it is over:
  /// the target has lost what was acknowledged, and the link has refused to go on. Errors: Violation.
  bool happen();
  /// Nothing breaks any more. Errors: Violation, also when the link does not come to its end.
  void settle();
  /// Where everything stands: positions, ledger and time.
  [[nodiscard]] std::string outcome() const;

 private:
  using Clock = SimulatedLink::Clock;

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  Clock::time_point within(std::int64_t most_ms);

  void start();
  void advance(Clock::time_point until);
  void check();
  void look_at_link();
  void explain(const std::exception_ptr& error);
  [[nodiscard]] bool all_is_there() const;

  void commit();
  void strike();
  void strike_source();
  void strike_target();
  void strike_connection();
  void intervene();

  std::mt19937_64 random_;
  SimulatedLinkOptions options_;
  Clock::time_point now_{std::chrono::hours(1)};
  ModelSource source_{random_};
  ModelTarget target_{source_};
  std::unique_ptr<SimulatedLink> link_;

  Clock::time_point stalled_until_;  // the target

  // What a link may stop for:
  std::optional<Clock::time_point> stop_asked_;
  bool torn_ = false;     // a message
  bool corrupt_ = false;  // the target
  bool lost_ = false;     // what was flushed is not there any more
  bool over_ = false;
};

}  // namespace teal::test
