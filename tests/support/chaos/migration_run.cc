#include "tests/support/chaos/migration_run.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "engine/failpoint.h"
#include "tests/support/compare.h"
#include "tests/support/link_marker.h"
#include "tests/support/two_node_fixture.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAskEvery{30};  // while teal is looked after more often
constexpr milliseconds kReadFor{500};
constexpr double kTransactionsPerSecond = 150;
constexpr std::size_t kFirstWorkloads = 2;  // the next one joins

using MakeWorkload = std::unique_ptr<Workload> (*)();
constexpr std::array<MakeWorkload, kMigrationWorkloads> kWorkloads{make_bank, make_ledger, make_swap, make_toast,
                                                                   make_lists};

std::string listed(const std::vector<std::string>& tables) {
  std::string list;
  for (const std::string& table : tables) list += (list.empty() ? "" : ", ") + table;
  return list;
}

}  // namespace

MigrationRun::MigrationRun(const MigrationPlace& place, const MigrationPlan& plan, std::stop_token stop)
    : place_(place),
      plan_(plan),
      admins_(place.blue.conninfo("postgres", place.database), place.green.conninfo("postgres", place.database)),
      owners_(place.blue.conninfo(kOwnerRole, place.database), place.green.conninfo(kOwnerRole, place.database)),
      teal_(place.green_proxy, place.counts, std::move(stop)) {}

void MigrationRun::run() {
  make_workloads();
  make_tables();
  workloads_->start_writers();
  set_up_and_copy();
  join();
  expect_equal();
  finish();
  drop_tables();
  tally_ = teal_.tally();
  tally_.finished = 1;
  tally_.tables_joined = static_cast<int>(joining_tables_.size());
  tally_.transactions = workloads_->acknowledged();
}

void MigrationRun::make_workloads() {
  std::vector<std::unique_ptr<Workload>> workloads;
  for (std::size_t i = 0; i <= kFirstWorkloads; ++i) workloads.push_back(kWorkloads.at(plan_.workloads.at(i))());
  joining_tables_ = workloads.back()->tables();
  workloads_ = std::make_unique<WorkloadRun>(
      std::move(workloads), WorkloadRunOptions{.blue = place_.blue.conninfo(kOwnerRole, place_.database),
                                               .green = place_.green.conninfo("postgres", place_.database),
                                               .writers_each = 2,
                                               .transactions_per_second = kTransactionsPerSecond,
                                               .seed = plan_.seed});
  for (const std::string& table : workloads_->tables()) {
    const bool joins = std::find(joining_tables_.begin(), joining_tables_.end(), table) != joining_tables_.end();
    if (!joins) first_tables_.push_back(table);
  }
}

// What a crash has left in doubt is done again.
void MigrationRun::make_tables() {
  const std::string make = "DROP TABLE IF EXISTS " + listed(workloads_->tables()) + "; " + workloads_->schema_sql();
  owners_.use([&](Sql& blue, Sql& green) {
    if (!restores_schema()) green.exec(make);
    blue.exec("DROP PUBLICATION IF EXISTS " + publication() + "; " + make + workloads_->rows_sql() +
              "CREATE PUBLICATION " + publication() + " FOR TABLE " + listed(first_tables_));
  });
}

// Green's may be teal's own.
void MigrationRun::drop_tables() {
  const std::string drop = "DROP TABLE IF EXISTS " + listed(workloads_->tables());
  admins_.use([&](Sql& blue, Sql& green) {
    green.exec(drop);
    blue.exec(drop);
  });
}

std::string MigrationRun::config(const std::string& more) const {
  return place_.write_config(std::string("copy: { schema: ") + (restores_schema() ? "true" : "false") +
                             ", jobs: " + std::to_string(plan_.copy_jobs) + " }\n" + more);
}

// The tables that join have writers from the beginning, and are left out until they do.
void MigrationRun::set_up_and_copy() {
  teal_.configure(config("tables: { exclude: [" + listed(joining_tables_) + "] }\n"));
  if (plan_.by_init) {
    for (const MigrationKill& kill : plan_.kills) {
      if (phase_of(kFailpoints[kill.failpoint].name) == MigrationPhase::kSetUp) teal_.command({"init"}, &kill);
    }
    teal_.command({"init"});
    teal_.start();
  } else {
    teal_.start();
    kill_in(MigrationPhase::kSetUp, streamed());
  }
  kill_in(MigrationPhase::kCopy, streamed());
  teal_.wait_for("the link streams", [this] { return holds_on_green(streamed()); });
}

void MigrationRun::join() {
  owners_.use([this](Sql& blue, Sql&) {
    blue.exec("ALTER PUBLICATION " + publication() + " SET TABLE " + listed(workloads_->tables()));
  });
  teal_.configure(config(""));
  teal_.start();
  kill_in(MigrationPhase::kJoin, all_copied());
  teal_.wait_for("all tables have joined", [this] { return holds_on_green(all_copied()); });
}

void MigrationRun::kill_in(MigrationPhase phase, const std::string& passed) {
  for (const MigrationKill& kill : plan_.kills) {
    if (phase_of(kFailpoints[kill.failpoint].name) != phase) continue;
    teal_.kill_at(kill, [&] { return holds_on_green(passed); });
  }
}

// False before teal's tables are there, and between two looks.
bool MigrationRun::holds_on_green(const std::string& query) {
  if (Clock::now() - asked_ < kAskEvery) return false;
  asked_ = Clock::now();
  return admins_.use([&](Sql&, Sql& green) {
    return green.truth("SELECT to_regclass('teal.table_state') IS NOT NULL") && green.truth(query);
  });
}

std::string MigrationRun::streamed() const {
  return "SELECT count(*) > 0 FROM teal.progress WHERE migration = " + sql_text(place_.name) + " AND counters <> '{}'";
}

std::string MigrationRun::all_copied() const {
  return "SELECT count(*) = " + std::to_string(workloads_->tables().size()) +
         " FROM teal.table_state WHERE migration = " + sql_text(place_.name) + " AND state = 'copied'";
}

void MigrationRun::expect_equal() {
  // Behind this, green is at one prefix of blue's commits.
  admins_.use([this](Sql& blue, Sql& green) {
    LinkMarker marker(place_.name);
    teal_.wait_for("the marker has arrived", [&] { return marker.arrived(blue, green); });
  });
  workloads_->start_readers();
  teal_.pass_time(kReadFor);
  workloads_->stop_writers();
  std::string wrong = admins_.use([this](Sql& blue, Sql& green) { return differences(blue, green); });
  workloads_->stop_readers();
  for (const std::string& violation : workloads_->violations()) wrong += "seen by a reader: " + violation + "\n";
  if (!wrong.empty()) throw std::runtime_error(wrong + "after tables joined: " + listed(joining_tables_));
}

// In sessions that live all the while: no crash of green has taken back what had arrived.
std::string MigrationRun::differences(Sql& blue, Sql& green) {
  LinkMarker marker(place_.name);
  teal_.wait_for("the last marker has arrived", [&] { return marker.arrived(blue, green); });
  std::string wrong = workloads_->check_at_rest(green);
  for (const std::string& table : workloads_->tables()) {
    const TableDifference difference = compare_table(blue, green, table);
    if (!difference.equal()) wrong += difference.describe() + "\n";
  }
  return wrong;
}

void MigrationRun::finish() {
  teal_.end(plan_.killed_when_done);
  owners_.use([this](Sql& blue, Sql&) { blue.exec("DROP PUBLICATION IF EXISTS " + publication()); });
  const std::vector<std::string> words{"finish", "--yes"};
  if (plan_.finish_lives.count() > 0) teal_.command_killed_after(words, plan_.finish_lives);
  teal_.command(words);
  const std::string left = admins_.use([this](Sql& blue, Sql& green) { return traces(blue) + traces(green); });
  if (!left.empty()) throw std::runtime_error("teal finish has left " + left);
}

std::string MigrationRun::traces(Sql& side) const {
  const std::string like = " LIKE " + sql_text("teal\\_" + place_.name + "\\_%");
  return side.value(
      "SELECT coalesce(string_agg(what, ', '), '') FROM (SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE "
      "slot_name" +
      like + " UNION ALL SELECT 'origin ' || roname FROM pg_replication_origin WHERE roname" + like +
      " UNION ALL SELECT 'publication ' || pubname FROM pg_publication WHERE pubname" + like +
      " UNION ALL SELECT 'schema teal' FROM pg_namespace WHERE nspname = 'teal') AS there (what)");
}

}  // namespace teal::test
