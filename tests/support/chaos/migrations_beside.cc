#include "tests/support/chaos/migrations_beside.h"

#include <exception>
#include <utility>

namespace teal::test {

MigrationsBeside::MigrationsBeside(MigrationPlace place, std::uint64_t seed)
    : place_(std::move(place)), schedule_(seed, kMigrationWorkloads) {}

MigrationsBeside::~MigrationsBeside() = default;

void MigrationsBeside::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    run(stop);
    ended_ = true;
  });
}

void MigrationsBeside::end_when(std::function<bool()> enough) {
  const std::scoped_lock lock(mutex_);
  enough_ = std::move(enough);
}

bool MigrationsBeside::is_last() {
  const std::scoped_lock lock(mutex_);
  return enough_ && (enough_() || more_-- == 0);
}

void MigrationsBeside::run(const std::stop_token& stop) {
  while (!stop.stop_requested() && !is_last()) {
    const MigrationPlan plan = schedule_.next();
    try {
      MigrationRun migration(place_, plan, stop);
      migration.run();
      const std::scoped_lock lock(mutex_);
      tally_ += migration.tally();
    } catch (const MigrationAbandoned&) {
      return;
    } catch (const std::exception& error) {
      const std::scoped_lock lock(mutex_);
      problems_.push_back("a migration beside (" + plan.text() + "): " + error.what());
      return;
    }
  }
}

std::vector<std::string> MigrationsBeside::problems() const {
  const std::scoped_lock lock(mutex_);
  return problems_;
}

MigrationTally MigrationsBeside::tally() const {
  const std::scoped_lock lock(mutex_);
  return tally_;
}

}  // namespace teal::test
