#include "tests/support/chaos/chaos_run.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>

#include "engine/failpoint.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kCaughtUpWithin{60};
constexpr seconds kMigrationsWithin{600};
constexpr seconds kAnswerWithin{5};
constexpr milliseconds kLull{2'500};  // longer than a link waits before it writes idle progress
constexpr double kRandomProbability = 0.01;

// How often the link passes the point before it kills: what comes once in a connection, or seldom, has to kill soon.
std::uint64_t passes(std::string_view point, std::uint64_t drawn) {
  if (point == "origin_acquired" || point == "progress_read" || point == "before_idle_progress") return 1;
  return point.find("feedback") == std::string_view::npos ? drawn : 1 + drawn % 4;
}

}  // namespace

ChaosRun::ChaosRun(ChaosSide blue, ChaosSide green, TealSupervisor& teal, ChaosLoad& load, ChaosRunOptions options)
    : blue_(std::move(blue)),
      green_(std::move(green)),
      teal_(teal),
      load_(load),
      options_(std::move(options)),
      schedule_(options_.seed, options_.without) {}

void ChaosRun::run(seconds length) {
  started_ = Clock::now();
  const auto end = started_ + length;
  while (Clock::now() < end && problems_.empty()) {
    const Fault fault = schedule_.next();
    pass_time(fault.gap);
    if (!problems_.empty()) break;
    strike(fault);
    if (fault.settles_after) settle();
  }
  if (problems_.empty()) settle();
  mend();
}

void ChaosRun::look_after(const std::function<bool()>& until) {
  if (!holds_within(kMigrationsWithin, [&] { return until() || tick(); })) {
    problems_.emplace_back("what runs beside the link does not come to an end");
  }
  tick();  // why it came to its end
}

// Looks after teal and ends what is due. Returns whether something is wrong.
bool ChaosRun::tick() {
  const std::string ended = teal_.look();
  if (!ended.empty()) problems_.push_back(ended);
  for (const std::string& violation : load_.violations()) problems_.push_back(violation);
  if (options_.beside) {
    for (const std::string& problem : options_.beside()) problems_.push_back(problem);
  }
  while (!later_.empty() && later_.begin()->first <= Clock::now()) {
    const std::function<void()> what = std::move(later_.begin()->second);
    later_.erase(later_.begin());
    what();
  }
  return !problems_.empty();
}

void ChaosRun::pass_time(milliseconds time) {
  static_cast<void>(holds_within(time, [this] { return tick(); }));
}

void ChaosRun::later(milliseconds time, std::function<void()> what) {
  later_.emplace(Clock::now() + time, std::move(what));
}

void ChaosRun::note(const std::string& text) {
  const auto passed = duration_cast<milliseconds>(Clock::now() - started_);
  char line[32];
  std::snprintf(line, sizeof line, "%8.3f s  ", static_cast<double>(passed.count()) / 1000);
  fault_log_.push_back(line + text);
}

// A fault that finds nothing to break (its server is down, its backend not there yet) is noted and not counted.
void ChaosRun::strike(const Fault& fault) {
  try {
    switch (fault.kind) {
      case FaultKind::kKillTeal:
      case FaultKind::kFailpoint:
      case FaultKind::kRandomFailpoints:
      case FaultKind::kStopTeal:
        strike_teal(fault);
        break;
      case FaultKind::kTerminateWalsender:
      case FaultKind::kTerminateApplier:
      case FaultKind::kKillWalsender:
      case FaultKind::kKillApplier:
      case FaultKind::kStopWalsender:
      case FaultKind::kStopApplier:
        teal_.disturbed();
        strike_backend(fault);
        break;
      case FaultKind::kCrashServer:
        teal_.disturbed();
        crash(fault);
        break;
      case FaultKind::kLull:
        lull(fault);
        break;
      default:
        teal_.disturbed();
        strike_network(fault);
    }
    ++struck_.at(static_cast<std::size_t>(fault.kind));
    note(fault.text());
  } catch (const std::runtime_error& error) {
    note(fault.text() + " found nothing: " + std::string(error.what()).substr(0, 80));
  }
}

void ChaosRun::strike_teal(const Fault& fault) {
  const bool others_last = !later_.empty();
  const std::string_view point = kFailpoints[fault.failpoint].name;
  switch (fault.kind) {
    case FaultKind::kFailpoint:
      teal_.kill_and_start("TEAL_FAILPOINT=" + std::string(point) + ":" + std::to_string(passes(point, fault.amount)));
      break;
    case FaultKind::kRandomFailpoints:
      teal_.kill_and_start("TEAL_FAILPOINTS_RANDOM=" + std::to_string(kRandomProbability) + ":" +
                           std::to_string(fault.seed));
      break;
    case FaultKind::kStopTeal:
      teal_.disturbed();
      teal_.send(SIGSTOP);
      later(fault.length, [this] { teal_.send(SIGCONT); });
      break;
    default:
      teal_.kill_and_start();
  }
  if (others_last) teal_.disturbed();
  if (fault.kind == FaultKind::kFailpoint && point == "before_idle_progress") lull(fault);
}

Sql& ChaosRun::session(ChaosSide& side) {
  std::unique_ptr<Sql>& sql = &side == &blue_ ? blue_session_ : green_session_;
  if (!side.server.running()) throw std::runtime_error("the server is down");
  if (!sql || !sql->alive()) {
    sql = std::make_unique<Sql>(side.server.conninfo("postgres", side.database));
    sql->set_deadline(kAnswerWithin);
  }
  return *sql;
}

std::vector<std::string> ChaosRun::backends(ChaosSide& side, const std::string& query) {
  std::vector<std::string> pids;
  for (const SqlRow& row : session(side).rows(query)) pids.push_back(*row[0]);
  if (pids.empty()) throw std::runtime_error("the link has no backend there now");
  return pids;
}

// Where links have such backends: with two links that is either side.
ChaosSide& ChaosRun::side_with(std::string ChaosSide::* backends, bool rather_blue) {
  ChaosSide& wanted = side(rather_blue);
  return (wanted.*backends).empty() ? side(!rather_blue) : wanted;
}

std::vector<ChaosRun::ChaosEnds> ChaosRun::links() {
  std::vector<ChaosEnds> links;
  if (!blue_.walsenders.empty()) links.push_back({"blue_to_green", blue_, green_});
  if (!green_.walsenders.empty()) links.push_back({"green_to_blue", green_, blue_});
  return links;
}

void ChaosRun::strike_backend(const Fault& fault) {
  const bool walsender = fault.kind == FaultKind::kTerminateWalsender || fault.kind == FaultKind::kKillWalsender ||
                         fault.kind == FaultKind::kStopWalsender;
  std::string ChaosSide::* const kind = walsender ? &ChaosSide::walsenders : &ChaosSide::appliers;
  ChaosSide& struck = side_with(kind, fault.on_blue);
  for (const std::string& pid : backends(struck, struck.*kind)) {
    const int number = std::stoi(pid);
    if (fault.kind == FaultKind::kTerminateWalsender || fault.kind == FaultKind::kTerminateApplier) {
      session(struck).exec("SELECT pg_terminate_backend(" + pid + ")");
    } else if (fault.kind == FaultKind::kKillWalsender || fault.kind == FaultKind::kKillApplier) {
      ::kill(number, SIGKILL);
    } else {
      ::kill(number, SIGSTOP);
      stopped_.push_back(number);
      later(fault.length, [this, number] {
        if (std::erase(stopped_, number) > 0) ::kill(number, SIGCONT);
      });
    }
  }
}

void ChaosRun::crash(const Fault& fault) {
  PgServer& server = side(fault.on_blue).server;
  if (!server.running()) throw std::runtime_error("the server is down");
  // The postmaster waits seconds for a child that hears nothing.
  for (const int pid : std::exchange(stopped_, {})) ::kill(pid, SIGCONT);
  server.stop(StopMode::kImmediate);
  later(fault.length, [this, &server] {
    teal_.disturbed();
    server.start();
  });
}

// Something moves blue's WAL meanwhile, though it is nothing that a link would apply.
void ChaosRun::lull(const Fault& /*fault*/) {
  load_.pause_writers(true);
  later(kLull / 5, [this] {
    try {
      session(blue_).exec("SELECT pg_logical_emit_message(false, 'teal test', repeat('x', 1000))");
    } catch (const std::runtime_error&) {  // blue is down: then this lull is quieter
    }
  });
  later(kLull, [this] { load_.pause_writers(false); });
}

void ChaosRun::strike_network(const Fault& fault) {
  FaultProxy& proxy = side(fault.on_blue).proxy;
  FaultProxy& target = side_with(&ChaosSide::appliers, fault.on_blue).proxy;  // one that COMMITs pass
  switch (fault.kind) {
    case FaultKind::kCut:
      return proxy.cut();
    case FaultKind::kReset:
      return proxy.reset();
    case FaultKind::kTruncate:
      return proxy.cut_after(fault.toward, fault.amount);
    case FaultKind::kCutBeforeCommit:
      return target.cut_at_commit(static_cast<int>(fault.amount), CommitCut::kBefore);
    case FaultKind::kCutAfterCommit:
      return target.cut_at_commit(static_cast<int>(fault.amount), CommitCut::kAfter);
    case FaultKind::kDelay:
      proxy.delay(fault.toward, milliseconds(fault.amount), milliseconds(fault.amount));
      return later(fault.length, [&proxy, fault] { proxy.delay(fault.toward, milliseconds(0), milliseconds(0)); });
    case FaultKind::kTrickle:
      proxy.trickle(fault.toward, fault.amount);
      return later(fault.length, [&proxy, fault] { proxy.trickle(fault.toward, 0); });
    default:
      proxy.hold(fault.toward, true);
      return later(fault.length, [&proxy, fault] { proxy.hold(fault.toward, false); });
  }
}

void ChaosRun::mend() {
  for (auto due = std::exchange(later_, {}); const auto& [time, what] : due) what();
  for (ChaosSide* side : {&blue_, &green_}) {
    side->proxy.clear();
    side->server.start();
  }
}

// Markers that are written now come out at the other ends. Servers may still be recovering.
bool ChaosRun::caught_up(std::vector<LinkMarker>& markers) {
  try {
    bool all = true;
    const std::vector<ChaosEnds> ends = links();
    for (std::size_t i = 0; i < ends.size(); ++i) {
      all = markers[i].arrived(session(ends[i].source), session(ends[i].target)) && all;
    }
    return all;
  } catch (const SqlError& error) {
    if (error.session_lost()) return false;
    throw;
  }
}

// I4: what a link's slot has confirmed, the target's row holds. The row only grows while no server crashes.
void ChaosRun::check_acknowledged() {
  for (const ChaosEnds& ends : links()) {
    const SqlRows slots = session(ends.source)
                              .rows("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = " +
                                    sql_text("teal_shop_" + ends.link));
    if (slots.size() != 1) {
      problems_.push_back("the slot of " + ends.link + " is gone");
      continue;
    }
    Sql& target = session(ends.target);
    const std::string held = target.value("SELECT held FROM teal.progress WHERE link = " + sql_text(ends.link));
    if (!target.truth("SELECT " + sql_text(*slots[0][0]) + "::pg_lsn <= " + sql_text(held) + "::pg_lsn")) {
      problems_.push_back("I4: the slot of " + ends.link + " has confirmed " + *slots[0][0] +
                          ", and its target holds " + held);
    }
  }
}

void ChaosRun::settle() {
  mend();
  const auto start = Clock::now();
  std::vector<LinkMarker> markers;
  for (const ChaosEnds& ends : links()) markers.emplace_back("shop", ends.link);
  bool done = false;
  static_cast<void>(holds_within(kCaughtUpWithin, [&] {
    done = caught_up(markers);
    return done || tick();
  }));
  if (!done && problems_.empty()) problems_.emplace_back("the link did not catch up although everything was mended");
  try {
    if (done) check_acknowledged();
  } catch (const SqlError&) {  // a backend was killed a moment ago, and its server is just noticing
  }
  caught_up_after_.push_back(duration_cast<milliseconds>(Clock::now() - start));
  note("settled after " + std::to_string(caught_up_after_.back().count()) + " ms");
}

int ChaosRun::kills_and_cuts() const {
  int count = teal_.killed_by_failpoints();
  for (std::size_t i = 0; i < kFaultKinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    const bool waits =
        kind == FaultKind::kTruncate || kind == FaultKind::kCutBeforeCommit || kind == FaultKind::kCutAfterCommit;
    if (kills_or_cuts(kind) && !waits) count += struck_[i];
  }
  return count + blue_.proxy.cuts_done() + green_.proxy.cuts_done();
}

}  // namespace teal::test
