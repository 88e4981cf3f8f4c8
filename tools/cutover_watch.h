#pragma once
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/pg_connection.h"

namespace teal {

/// What is not to be after the writes have been moved.
struct WatchCondition {
  enum class Kind {
    kLag,      ///< of the link back, in ms
    kErrors,   ///< transactions that were rolled back, in percent of all (pg_stat_database)
    kLatency,  ///< of statements, the mean in ms (pg_stat_statements)
    kCommand,  ///< of /bin/sh, that ends with another code than 0
  };
  Kind kind = Kind::kLag;
  double limit = 0;
  std::string command = {};
  std::string text = {};  ///< as it was written
};

/// `lag>5s`, `errors>2%`, `latency>50ms`, `command:./healthy.sh`; nullopt: none of these.
[[nodiscard]] std::optional<WatchCondition> parse_watch_condition(const std::string& text);

/// Looks after the side that the writes have been moved to, in a session of its own there and one on the other side.
/// Threads: one. Errors: PgError.
class CutoverWatch {
 public:
  /// Lifetime: `config` and `conditions` outlive it. `to`: blue or green.
  CutoverWatch(const Config& config, const std::vector<WatchCondition>& conditions, std::string to);

  /// Why some of the conditions cannot be looked at, each with what to do.
  [[nodiscard]] std::vector<std::string> obstacles();

  /// Looks for so long. Returns why the writes should go back; nullopt: nothing was wrong, or a stop was requested.
  /// What is seen once may pass: it has to be so three times in turn, two seconds apart.
  [[nodiscard]] std::optional<std::string> watch(std::chrono::milliseconds time, const std::stop_token& stop);

 private:
  /// Since the server began to count.
  struct Counts {
    double committed = 0;
    double rolled_back = 0;
    double statement_ms = 0;
    double statements = 0;
  };
  [[nodiscard]] Counts read_counts();
  struct Look {
    bool known = true;        ///< enough has happened to tell
    std::string reason = {};  ///< what is wrong; "": nothing
  };
  [[nodiscard]] Look look(const WatchCondition& condition, const Counts& last, const Counts& now,
                          const std::stop_token& stop);
  [[nodiscard]] bool wants(WatchCondition::Kind kind) const;

  const Config& config_;
  const std::vector<WatchCondition>& conditions_;
  std::string to_;
  PgConnection blue_;
  PgConnection green_;
};

}  // namespace teal
