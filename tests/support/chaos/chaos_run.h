#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/chaos/chaos_load.h"
#include "tests/support/chaos/fault_schedule.h"
#include "tests/support/chaos/teal_supervisor.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/link_marker.h"
#include "tests/support/pg_server.h"

namespace teal::test {

/// One of the two servers, with the proxy that teal reaches it through.
struct ChaosSide {
  PgServer& server;
  FaultProxy& proxy;
  std::string database;
  // Queries for the pids of the links' own backends there.
  std::string walsenders;  ///< "": no link reads from here
  std::string appliers;    ///< "": no link writes here
};

struct ChaosRunOptions {
  std::uint64_t seed = 1;
  std::vector<FaultKind> without = {};  ///< kinds of faults that do not strike
  /// What is wrong with what else runs on the two servers; asked again and again.
  std::function<std::vector<std::string>()> beside = {};
};

/// Breaks a link, or one in each direction, in all the ways that a schedule draws, while applications write and read;
/// lets faults pile up, and from time to time mends everything and waits until each link has caught up with what was
/// written by then.
/// Threads: one, in which the servers and teal were started.
class ChaosRun {
 public:
  ChaosRun(ChaosSide blue, ChaosSide green, TealSupervisor& teal, ChaosLoad& load, ChaosRunOptions options);

  /// Returns after that time, with everything mended and caught up; earlier when something is wrong.
  void run(std::chrono::seconds length);
  /// Looks after teal, and breaks nothing, until that is so or something is wrong.
  void look_after(const std::function<bool()>& until);

  /// What must not be: seen by readers, an end of teal that nobody caused, a link that does not go on.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  [[nodiscard]] int struck(FaultKind kind) const { return struck_.at(static_cast<std::size_t>(kind)); }
  /// Deaths of the link's processes and connections that were caused on purpose.
  [[nodiscard]] int kills_and_cuts() const;
  [[nodiscard]] const std::vector<std::string>& fault_log() const { return fault_log_; }
  /// What it took to catch up, each time when everything had been mended.
  [[nodiscard]] const std::vector<std::chrono::milliseconds>& caught_up_after() const { return caught_up_after_; }

 private:
  struct ChaosEnds {
    std::string link;
    ChaosSide& source;
    ChaosSide& target;
  };
  using Clock = std::chrono::steady_clock;

  bool tick();
  void pass_time(std::chrono::milliseconds time);
  void strike(const Fault& fault);
  void strike_teal(const Fault& fault);
  void strike_backend(const Fault& fault);
  void strike_network(const Fault& fault);
  void crash(const Fault& fault);
  void lull(const Fault& fault);
  void later(std::chrono::milliseconds time, std::function<void()> what);
  void mend();
  void settle();
  [[nodiscard]] bool caught_up(std::vector<LinkMarker>& markers);
  void check_acknowledged();
  std::vector<std::string> backends(ChaosSide& side, const std::string& query);
  ChaosSide& side(bool blue) { return blue ? blue_ : green_; }
  ChaosSide& side_with(std::string ChaosSide::* backends, bool rather_blue);
  std::vector<ChaosEnds> links();
  Sql& session(ChaosSide& side);
  void note(const std::string& text);

  ChaosSide blue_;
  ChaosSide green_;
  TealSupervisor& teal_;
  ChaosLoad& load_;
  ChaosRunOptions options_;
  FaultSchedule schedule_;
  Clock::time_point started_ = Clock::now();
  std::multimap<Clock::time_point, std::function<void()>> later_;  ///< what ends faults that last
  std::vector<int> stopped_;                                       ///< backends under SIGSTOP
  std::unique_ptr<Sql> blue_session_;
  std::unique_ptr<Sql> green_session_;
  std::array<int, kFaultKinds> struck_{};
  std::vector<std::string> fault_log_;
  std::vector<std::string> problems_;
  std::vector<std::chrono::milliseconds> caught_up_after_;
};

}  // namespace teal::test
