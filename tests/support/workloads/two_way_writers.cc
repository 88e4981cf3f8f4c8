#include "tests/support/workloads/two_way_writers.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <utility>

#include "engine/pause.h"

namespace teal::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kRegisters = 200;
constexpr int kAccounts = 40;
constexpr int kDocs = 50;
constexpr std::uint64_t kMovedTo = 1'000'000;  // keys from here on are taken once
constexpr int kTellers = 5;
constexpr milliseconds kReconnectPause{30};
constexpr milliseconds kBacklogMax{500};  // after a pause of the server, what was missed is not caught up with
constexpr std::chrono::seconds kWaitMost{10};
constexpr std::size_t kViolationsMax = 20;

std::string update_register(std::uint64_t id, const std::string& value) {
  return "UPDATE register SET v = " + value + ", n = n + 1 WHERE id = " + std::to_string(id) + "; ";
}

std::string change_register(Draw& draw, std::uint64_t id, const std::string& value) {
  const std::uint64_t kind = draw.between(1, 10);
  if (kind <= 5) return update_register(id, value);
  if (kind <= 8) {
    return "INSERT INTO register VALUES (" + std::to_string(id) + ", " + value +
           ", 0) ON CONFLICT (id) DO UPDATE SET v = excluded.v, n = register.n + 1; ";
  }
  return "DELETE FROM register WHERE id = " + std::to_string(id) + "; ";
}

// The new key is nobody else's, so that applications of one side do not wait for each other in a circle.
std::string move_register(Draw& draw, const std::string& value) {
  const std::string to = std::to_string(kMovedTo + draw.between(0, kMovedTo * 1000));
  return "UPDATE register SET id = " + to + ", v = " + value +
         " WHERE id = " + std::to_string(draw.between(1, kRegisters)) + "; ";
}

// One of the columns does not change, and is sent only because the old row is.
std::string change_doc(Draw& draw, const std::string& value) {
  const std::string id = std::to_string(draw.between(1, kDocs));
  if (draw.one_in(2)) return "UPDATE doc SET big = repeat(" + value + ", 400) WHERE id = " + id + "; ";
  return "UPDATE doc SET v = " + value + " WHERE id = " + id + "; ";
}

std::string change_registers(Draw& draw, const std::string& value) {
  std::set<std::uint64_t> ids;
  while (ids.size() < 5) ids.insert(draw.between(1, kRegisters));
  std::string statements;
  for (const std::uint64_t id : ids) statements += change_register(draw, id, value);
  return statements;
}

std::string move_money(Draw& draw, const std::string& value) {
  const std::string amount = std::to_string(draw.between(1, 1000));
  const auto add = [&](const std::string& table, std::uint64_t id) {
    return "UPDATE " + table + " SET balance = balance + " + amount + " WHERE id = " + std::to_string(id) + "; ";
  };
  return add("account", draw.between(1, kAccounts)) + add("teller", draw.between(1, kTellers)) + add("branch", 1) +
         "INSERT INTO history VALUES (" + value + ", " + amount + "); ";
}

std::string next_transaction(Draw& draw, const std::string& value) {
  const std::uint64_t kind = draw.between(1, 12);
  if (kind <= 6) return change_register(draw, draw.between(1, kRegisters), value);
  if (kind == 7) return move_register(draw, value);
  if (kind == 8) return change_doc(draw, value);
  return kind <= 10 ? change_registers(draw, value) : move_money(draw, value);
}

}  // namespace

std::vector<std::string> TwoWayWriters::tables() {
  return {"public.register", "public.doc", "public.account", "public.teller", "public.branch", "public.history"};
}

std::string TwoWayWriters::schema_sql() {
  std::string sql = "CREATE TABLE register (id bigint PRIMARY KEY, v text NOT NULL, n int NOT NULL); ";
  for (const std::string table : {"account", "teller", "branch"}) {
    sql += "CREATE TABLE " + table + " (id int PRIMARY KEY, balance bigint NOT NULL); ";
  }
  sql +=
      "CREATE TABLE doc (id int PRIMARY KEY, v text, big text); ALTER TABLE doc ALTER big SET STORAGE EXTERNAL; ALTER "
      "TABLE doc REPLICA IDENTITY FULL; ";
  return sql + "CREATE TABLE history (id text PRIMARY KEY, amount int NOT NULL);";
}

std::string TwoWayWriters::rows_sql() {
  const auto rows = [](const std::string& table, int count) {
    return "INSERT INTO " + table + " SELECT i, 0 FROM generate_series(1, " + std::to_string(count) + ") i; ";
  };
  return rows("account", kAccounts) + rows("teller", kTellers) + rows("branch", 1) +
         "INSERT INTO doc SELECT i, 'first', repeat('first', 1000) FROM generate_series(1, " + std::to_string(kDocs) +
         ") i; INSERT INTO register SELECT i, 'first', 0 FROM generate_series(1, " + std::to_string(kRegisters) +
         ", 2) i;";
}

void TwoWayWriters::start() {
  for (int number = 0; number < 2 * options_.writers_each; ++number) {
    threads_.emplace_back(
        [this, number](const std::stop_token& stop) { write(number % 2 == 0 ? "blue" : "green", number, stop); });
  }
}

void TwoWayWriters::stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void TwoWayWriters::write(const std::string& side, int number, const std::stop_token& stop) {
  const std::chrono::duration<double> interval(2 * options_.writers_each / options_.transactions_per_second);
  Draw draw(options_.seed + static_cast<std::uint64_t>(number));
  std::unique_ptr<Sql> sql;
  Clock::time_point due = Clock::now();
  for (int count = 1; !stop.stop_requested(); ++count) {
    const std::string value = sql_text(side + " " + std::to_string(number) + " " + std::to_string(count));
    const std::string statements = next_transaction(draw, value);
    try {
      if (!sql) {
        sql = std::make_unique<Sql>(side == "blue" ? options_.blue : options_.green);
        sql->set_deadline(kWaitMost);
      }
      if (!paused_) transact(*sql, statements);
    } catch (const SqlError&) {  // the connection is lost, or was not made
      sql.reset();
      pause_for(kReconnectPause, stop);
    }
    due = std::max(due + std::chrono::duration_cast<Clock::duration>(interval), Clock::now() - kBacklogMax);
    const auto early = std::chrono::duration_cast<milliseconds>(due - Clock::now());
    if (early.count() > 0) pause_for(early, stop);
  }
}

void TwoWayWriters::transact(Sql& sql, const std::string& statements) {
  const Clock::time_point begun = Clock::now();
  try {
    sql.exec("BEGIN; " + statements + "COMMIT");
    ++acknowledged_;
  } catch (const SqlError& error) {
    const bool lost = error.session_lost() && error.sqlstate() != "57014" && Clock::now() - begun < kWaitMost;
    if (lost) {
      ++in_doubt_;
    } else {
      const std::scoped_lock lock(mutex_);
      if (violations_.size() < kViolationsMax) {
        violations_.push_back("an application's transaction failed: " + error.sqlstate() + " " + error.what());
      }
    }
    throw;
  }
}

std::vector<std::string> TwoWayWriters::violations() const {
  const std::scoped_lock lock(mutex_);
  return violations_;
}

}  // namespace teal::test
