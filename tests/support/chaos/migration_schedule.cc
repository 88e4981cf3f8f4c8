#include "tests/support/chaos/migration_schedule.h"

#include <algorithm>
#include <numeric>

#include "engine/failpoint.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kKillsLeast = 6;
constexpr std::uint64_t kKillsMost = 8;
constexpr int kCopyJobsMost = 2;

std::string name_of(std::size_t failpoint) { return std::string(kFailpoints.at(failpoint).name); }

}  // namespace

MigrationPhase phase_of(std::string_view failpoint) {
  if (failpoint.starts_with("join_")) return MigrationPhase::kJoin;
  return failpoint.find("copy_") == std::string_view::npos ? MigrationPhase::kSetUp : MigrationPhase::kCopy;
}

std::string MigrationPlan::text() const {
  std::string text = std::string(by_init ? "init and run" : "run") + (schema ? ", schema" : "") + ", copy jobs " +
                     std::to_string(copy_jobs);
  for (const MigrationKill& kill : kills) {
    text += ", " + name_of(kill.failpoint) + ":" + std::to_string(kill.pass);
    if (kill.cut) {
      text += std::string(kill.cut->when == CommitCut::kBefore ? " (cut before" : " (cut after") + " COMMIT " +
              std::to_string(kill.cut->number) + ")";
    }
    if (kill.next_lives.count() > 0) text += " (the next lives " + std::to_string(kill.next_lives.count()) + " ms)";
  }
  text += killed_when_done ? ", killed when done" : "";
  if (finish_lives.count() > 0) text += ", finish lives " + std::to_string(finish_lives.count()) + " ms";
  return text + ", workload seed " + std::to_string(seed);
}

MigrationSchedule::MigrationSchedule(std::uint64_t seed, std::size_t workloads) : draw_(seed), workloads_(workloads) {
  for (std::size_t i = 0; i < kFailpoints.size(); ++i) {
    if (kFailpoints[i].in == FailpointIn::kSetUp) failpoints_.push_back(i);
  }
  draw_.shuffle(failpoints_);
}

MigrationKill MigrationSchedule::draw_kill(std::size_t failpoint) {
  MigrationKill kill;
  kill.failpoint = failpoint;
  // Only a copy passes its points for several tables, and may be done before the second.
  const bool second = draw_.one_in(6);
  if (phase_of(kFailpoints[failpoint].name) == MigrationPhase::kCopy && second) kill.pass = 2;
  const bool cuts = draw_.one_in(4);
  const DrawnCut cut{draw_.one_in(2) ? CommitCut::kBefore : CommitCut::kAfter, static_cast<int>(draw_.between(1, 6))};
  if (cuts) kill.cut = cut;
  const auto lives = milliseconds(draw_.between(5, 150));
  if (draw_.one_in(5)) kill.next_lives = lives;
  return kill;
}

MigrationPlan MigrationSchedule::next() {
  MigrationPlan plan;
  std::vector<std::size_t> points;
  for (std::uint64_t left = draw_.between(kKillsLeast, kKillsMost); left > 0; --left) {
    points.push_back(failpoints_[failpoints_drawn_++ % failpoints_.size()]);
  }
  std::sort(points.begin(), points.end());
  for (const std::size_t point : points) plan.kills.push_back(draw_kill(point));
  plan.by_init = draw_.one_in(2);
  plan.schema = draw_.one_in(3);
  plan.copy_jobs = static_cast<int>(draw_.between(1, kCopyJobsMost));
  plan.workloads.resize(workloads_);
  std::iota(plan.workloads.begin(), plan.workloads.end(), 0U);
  draw_.shuffle(plan.workloads);
  plan.killed_when_done = draw_.one_in(2);
  const auto finish_lives = milliseconds(draw_.between(5, 200));
  if (draw_.one_in(2)) plan.finish_lives = finish_lives;
  plan.seed = draw_.next();
  return plan;
}

}  // namespace teal::test
