#include "tests/support/workloads/workload_run.h"

#include <algorithm>
#include <utility>

#include "engine/pause.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kReconnectPause{30};
constexpr milliseconds kReadPause{30};
constexpr milliseconds kBacklogMax{500};           // after a pause of the server, what was missed is not caught up with
constexpr std::chrono::seconds kVisibleWithin{5};  // a committing session that is kept from the processor
constexpr std::size_t kViolationsMax = 20;

}  // namespace

// One client: what it commits is counted by its row in workload_done.
class WorkloadRun::Writer {
 public:
  Writer(WorkloadRun& run, const Workload& workload, WorkloadWriter& client, int number, Clock::duration interval)
      : run_(run),
        client_(client),
        row_(" WHERE workload = " + sql_text(workload.name()) + " AND writer = " + std::to_string(number)),
        name_(std::string(workload.name()) + " writer " + std::to_string(number)),
        interval_(interval) {}

  [[nodiscard]] std::string check(Sql& green) const {
    const std::string found = green.value("SELECT txn FROM workload_done" + row_);
    if (found == std::to_string(done_)) return "";
    return name_ + ": " + std::to_string(done_) + " transactions were committed, green has " + found + "\n";
  }

  void write(const std::stop_token& stop) {
    Clock::time_point due = Clock::now();
    while (!stop.stop_requested() || doubt_) {
      try {
        if (!sql_) connect();
        if (stop.stop_requested()) break;
        if (!run_.paused_) transact();
      } catch (const SqlError&) {  // the connection is lost, or was not made
        sql_.reset();
        pause_for(kReconnectPause, {});
      }
      due = std::max(due + interval_, Clock::now() - kBacklogMax);
      const auto early = std::chrono::duration_cast<milliseconds>(due - Clock::now());
      if (early.count() > 0) pause_for(early, stop);
    }
  }

 private:
  void connect() {
    auto sql = std::make_unique<Sql>(run_.options_.blue);
    if (doubt_) {
      const std::int64_t found = sql->number("SELECT txn FROM workload_done" + row_);
      if (found != done_ && found != done_ + 1) {
        run_.violated(name_ + ": blue has its transaction " + std::to_string(found) + " after " +
                      std::to_string(done_));
      }
      doubt_ = false;
      if (found == done_ + 1) {
        ++run_.in_doubt_committed_;
        committed();
      }
    }
    sql_ = std::move(sql);
  }

  void transact() {
    const WorkloadStep step = client_.next(done_ + 1);
    const std::string done = "UPDATE workload_done SET txn = " + std::to_string(done_ + 1) + row_ + "; ";
    try {
      sql_->exec("BEGIN; " + step.sql + done + (step.rolled_back ? "ROLLBACK" : "COMMIT"));
    } catch (const SqlError& error) {
      if (error.session_lost()) {
        ++run_.in_doubt_;
        doubt_ = true;
        throw;
      }
      ++run_.refused_;
      sql_->exec("ROLLBACK");
      return;
    }
    if (step.rolled_back) {
      ++run_.refused_;
      return;
    }
    ++run_.acknowledged_;
    committed();
  }

  void committed() {
    client_.committed();
    ++done_;
  }

  WorkloadRun& run_;
  WorkloadWriter& client_;
  std::string row_;
  std::string name_;
  Clock::duration interval_;
  std::unique_ptr<Sql> sql_;
  std::int64_t done_ = 0;
  bool doubt_ = false;
};

WorkloadRun::WorkloadRun(std::vector<std::unique_ptr<Workload>> workloads, WorkloadRunOptions options)
    : options_(std::move(options)), workloads_(std::move(workloads)) {
  const double count = static_cast<double>(workloads_.size()) * options_.writers_each;
  const std::chrono::duration<double> interval(count / options_.transactions_per_second);
  std::uint64_t seed = options_.seed;
  for (const std::unique_ptr<Workload>& workload : workloads_) {
    for (int number = 0; number < options_.writers_each; ++number) {
      writers_.push_back(std::make_unique<Writer>(*this, *workload, workload->add_writer(++seed), number,
                                                  std::chrono::duration_cast<Clock::duration>(interval)));
    }
  }
}

WorkloadRun::~WorkloadRun() {
  for (std::jthread& thread : writer_threads_) thread.request_stop();
  for (std::jthread& thread : reader_threads_) thread.request_stop();
}

std::vector<std::string> WorkloadRun::tables() const {
  std::vector<std::string> all{"public.workload_done"};
  for (const std::unique_ptr<Workload>& workload : workloads_) {
    const std::vector<std::string> tables = workload->tables();
    all.insert(all.end(), tables.begin(), tables.end());
  }
  return all;
}

std::string WorkloadRun::schema_sql() const {
  std::string sql =
      "CREATE TABLE workload_done (workload text, writer int, txn bigint NOT NULL, PRIMARY KEY (workload, writer)); ";
  for (const std::unique_ptr<Workload>& workload : workloads_) sql += workload->schema_sql() + " ";
  return sql;
}

std::string WorkloadRun::rows_sql() const {
  std::string sql;
  for (const std::unique_ptr<Workload>& workload : workloads_) {
    sql += workload->rows_sql() + " INSERT INTO workload_done SELECT " + sql_text(workload->name()) +
           ", i, 0 FROM generate_series(0, " + std::to_string(options_.writers_each - 1) + ") i; ";
  }
  return sql;
}

void WorkloadRun::start_writers() {
  for (const std::unique_ptr<Writer>& writer : writers_) {
    ++writing_;
    writer_threads_.emplace_back([this, &writer](const std::stop_token& stop) {
      try {
        writer->write(stop);
      } catch (const std::exception& error) {
        violated(std::string("a writer ended: ") + error.what());
      }
      --writing_;
    });
  }
}

void WorkloadRun::start_readers() {
  for (int i = 0; i < options_.readers; ++i) {
    reader_threads_.emplace_back([this](const std::stop_token& stop) {
      try {
        read(stop);
      } catch (const std::exception& error) {
        violated(std::string("a reader ended: ") + error.what());
      }
    });
  }
}

void WorkloadRun::stop_writers() {
  for (std::jthread& thread : writer_threads_) thread.request_stop();
  wait_until("all writers know what they committed", std::chrono::seconds(60), [this] { return writing_ == 0; });
  writer_threads_.clear();
}

void WorkloadRun::stop_readers() {
  for (std::jthread& thread : reader_threads_) thread.request_stop();
  reader_threads_.clear();
}

void WorkloadRun::read(const std::stop_token& stop) {
  std::vector<std::unique_ptr<WorkloadReader>> readers;
  readers.reserve(workloads_.size());
  for (const std::unique_ptr<Workload>& workload : workloads_) readers.push_back(workload->reader());
  std::unique_ptr<Sql> green;
  std::unique_ptr<Sql> blue;
  while (!stop.stop_requested()) {
    try {
      if (!green) green = std::make_unique<Sql>(options_.green);
      green->exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      for (const std::unique_ptr<WorkloadReader>& reader : readers) look(*green, *reader, blue);
      green->exec("COMMIT");
      ++snapshots_;
    } catch (const SqlError& error) {
      if (!error.session_lost()) throw;
      green.reset();
    }
    pause_for(kReadPause, stop);
  }
}

void WorkloadRun::look(Sql& green, WorkloadReader& reader, std::unique_ptr<Sql>& blue) {
  const std::string contradiction = reader.look(green);
  if (!contradiction.empty()) violated(contradiction);
  try {
    if (!blue) blue = std::make_unique<Sql>(options_.blue);
    // A transaction is sent to green once its commit is flushed, and visible on blue only after that.
    std::string difference;
    static_cast<void>(holds_within(kVisibleWithin, [&] {
      difference = reader.compare(*blue);
      return difference.empty();
    }));
    if (!difference.empty()) violated(difference);
  } catch (const SqlError& error) {  // blue is away: the next look compares again
    if (!error.session_lost()) throw;
    blue.reset();
  }
}

std::string WorkloadRun::check_at_rest(Sql& green) const {
  std::string problems;
  for (const std::unique_ptr<Writer>& writer : writers_) problems += writer->check(green);
  for (const std::unique_ptr<Workload>& workload : workloads_) problems += workload->check_at_rest(green);
  return problems;
}

std::vector<std::string> WorkloadRun::violations() const {
  const std::scoped_lock lock(mutex_);
  return violations_;
}

void WorkloadRun::violated(const std::string& what) {
  const std::scoped_lock lock(mutex_);
  if (violations_.size() < kViolationsMax) violations_.push_back(what);
}

}  // namespace teal::test
