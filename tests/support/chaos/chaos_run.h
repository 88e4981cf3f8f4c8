#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/chaos/fault_schedule.h"
#include "tests/support/chaos/teal_supervisor.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/link_marker.h"
#include "tests/support/pg_server.h"
#include "tests/support/workloads/workload_run.h"

namespace teal::test {

/// One of the two servers, with the proxy that teal reaches it through.
struct ChaosSide {
  PgServer& server;
  FaultProxy& proxy;
  std::string database;
  std::string link_backends;  ///< a query for the pids of the link's own backends there
};

/// Breaks a link in all the ways that a schedule draws, while workloads write and read; lets faults pile up, and from
/// time to time mends everything and waits until the link has caught up with what was written by then.
/// Threads: one, in which the servers and teal were started.
class ChaosRun {
 public:
  using ProblemsOf = std::function<std::vector<std::string>()>;
  /// `beside`: what is wrong with what else runs on the two servers; asked again and again.
  ChaosRun(ChaosSide blue, ChaosSide green, TealSupervisor& teal, WorkloadRun& workloads, ProblemsOf beside,
           std::uint64_t seed);

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
  [[nodiscard]] bool caught_up(LinkMarker& marker);
  void check_acknowledged();
  std::vector<std::string> backends(ChaosSide& side);
  ChaosSide& side(bool blue) { return blue ? blue_ : green_; }
  Sql& session(ChaosSide& side);
  void note(const std::string& text);

  ChaosSide blue_;
  ChaosSide green_;
  TealSupervisor& teal_;
  WorkloadRun& workloads_;
  ProblemsOf beside_;
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
