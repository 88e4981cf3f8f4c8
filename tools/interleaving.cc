// Interleaving of a sequence: both sides get twice its increment, and green begins one old step beside blue.
//
// An ALTER SEQUENCE of the increment locks out everybody who draws, until it commits, and gives the sequence a new
// file: sessions that hold numbers in their cache (CACHE 50) throw them away. So what is read after it is what was
// drawn, and both sides are locked while the numbers behind both are worked out. Blue commits first: a crash between
// the two leaves a green that nobody may write yet, and the next start goes on with what blue's record says.
// Rejected: placing green far ahead by a margin instead of locking; it holds only while blue is slower than that.
#include "tools/interleaving.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "engine/log.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/link_facts.h"
#include "tools/sequence_texts.h"
#include "tools/signals.h"

namespace teal {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kRetryInterval{200};  // who draws waits behind each attempt
constexpr std::chrono::milliseconds kRetryIntervalMost{5'000};
constexpr std::chrono::seconds kTellInterval{10};
constexpr std::string_view kLockTimeout = "55P03";

// One side of a pair, in a transaction of its own.
class Move {
 public:
  Move(const Config& config, PgConnection& connection, DrawnSequence& sequence, const TableName& other)
      : config_(config), connection_(connection), sequence_(sequence), other_(other) {}

  // Locks out everybody who draws.
  void begin(const SeriesPlan& plan) {
    connection_.exec("begin", "BEGIN");
    connection_.exec(
        "limit waiting for locks",
        "SET LOCAL lock_timeout = " + quote_literal(std::to_string(config_.apply.lock_timeout.count()) + "ms"));
    alter("INCREMENT BY " + std::to_string(plan.increment));
    read_standing(connection_, sequence_.name, sequence_.numbers);
  }

  void place(const SeriesPlan& plan, const SeriesSide& side, const std::string& columns) {
    alter("START WITH " + std::to_string(side.start) + " RESTART WITH " + std::to_string(side.next));
    note(plan, side, columns);
    check(plan, side);
  }

  void commit() { connection_.exec("commit the interleaving of " + to_string(sequence_.name), "COMMIT"); }

 private:
  void alter(const std::string& what) {
    connection_.exec("interleave the sequence " + to_string(sequence_.name) + " on " + connection_.label(),
                     "ALTER SEQUENCE " + quote_sequence(sequence_.name) + " " + what);
  }

  // Of one that was interleaved before, what it was before that stays.
  void note(const SeriesPlan& plan, const SeriesSide& side, const std::string& columns) {
    const SequenceNumbers& old = sequence_.numbers;
    const Rows noted = connection_.exec(
        "note what the sequence was",
        "INSERT INTO teal.sequence_state (migration, schema_name, sequence_name, columns, other_schema, other_name, "
        "old_increment, old_start, old_last_value, old_is_called, increment, start, first) VALUES ($1, $2, $3, $4, $5, "
        "$6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (migration, schema_name, sequence_name) DO UPDATE SET columns "
        "= excluded.columns, other_schema = excluded.other_schema, other_name = excluded.other_name, increment = "
        "excluded.increment, start = excluded.start, first = excluded.first, interleaved_at = now()",
        {config_.name, sequence_.name.schema, sequence_.name.name, columns, other_.schema, other_.name,
         std::to_string(plan.original), std::to_string(old.start), std::to_string(old.last), old.called ? "t" : "f",
         std::to_string(plan.increment), std::to_string(side.start), std::to_string(side.next)});
    if (noted.affected() != 1) throw Stopped(StopCode::kBug, "the sequence was not noted");
  }

  void check(const SeriesPlan& plan, const SeriesSide& side) {
    const Rows set = connection_.exec("read back what the sequence was set to",
                                      "SELECT s.seqincrement, s.seqstart, q.last_value, q.is_called FROM pg_sequence "
                                      "s, " +
                                          quote_sequence(sequence_.name) + " q WHERE s.seqrelid = $1::regclass",
                                      {quote_sequence(sequence_.name)});
    if (set.size() == 1 && set.integer(0, 0) == plan.increment && set.integer(0, 1) == side.start &&
        set.integer(0, 2) == side.next && !set.boolean(0, 3)) {
      return;
    }
    throw Stopped(StopCode::kRefused, "on " + connection_.label() + ", the sequence " + to_string(sequence_.name) +
                                          " is not what teal has set it to: look for an event trigger or extension "
                                          "that changes ALTER SEQUENCE");
  }

  const Config& config_;
  PgConnection& connection_;
  DrawnSequence& sequence_;
  TableName other_;
};

[[noreturn]] void refuse(const std::vector<Finding>& problems) {
  std::string text = "the sequences cannot be interleaved (sequences.interleave):";
  for (const Finding& problem : problems) {
    text += "\n" + problem.side + ": " + problem.what + "\n  mend: " + problem.mend;
  }
  throw Stopped(StopCode::kRefused, text);
}

/// Lifetime: of one call.
class Interleaver {
 public:
  Interleaver(const Config& config, PgConnection& blue, PgConnection& green, const std::stop_token& stop)
      : config_(config), blue_(blue), green_(green), stop_(stop) {}

  void separate(SequencePair& pair);

 private:
  bool try_separate(SequencePair& pair);
  void roll_back();
  void tell_waiting(const SequencePair& pair, const std::string& reason);

  const Config& config_;
  PgConnection& blue_;
  PgConnection& green_;
  const std::stop_token& stop_;
  steady_clock::time_point told_{};
};

void Interleaver::roll_back() {
  for (PgConnection* side : {&blue_, &green_}) side->exec("roll back", "ROLLBACK");
}

void Interleaver::tell_waiting(const SequencePair& pair, const std::string& reason) {
  if (steady_clock::now() < told_ + kTellInterval) return;
  told_ = steady_clock::now();
  log_event(LogLevel::kWarn, "a sequence waits for a transaction that has drawn from it, trying again",
            {{"sequence", to_string(pair.blue.name)}, {"reason", reason}});
}

bool Interleaver::try_separate(SequencePair& pair) {
  const SeriesPlan seen = pair.plan();
  Move blue(config_, blue_, pair.blue, pair.green.name);
  Move green(config_, green_, pair.green, pair.blue.name);
  if (!seen.blue.placed) blue.begin(seen);
  if (!seen.green.placed) green.begin(seen);
  if (seen.blue.placed) read_standing(blue_, pair.blue.name, pair.blue.numbers);
  if (seen.green.placed) read_standing(green_, pair.green.name, pair.green.numbers);
  const SeriesPlan plan = pair.plan();
  if (plan.problem != SeriesProblem::kNone) refuse({describe_problem(pair, plan)});
  // Somebody set one of them meanwhile.
  if (plan.blue.placed != seen.blue.placed || plan.green.placed != seen.green.placed) return false;
  if (!plan.blue.placed) blue.place(plan, plan.blue, pair.columns);
  if (!plan.green.placed) green.place(plan, plan.green, pair.columns);
  if (!plan.blue.placed) blue.commit();
  if (!plan.green.placed) green.commit();
  return true;
}

void Interleaver::separate(SequencePair& pair) {
  for (auto rest = kRetryInterval;; rest = std::min(rest * 3 / 2, kRetryIntervalMost)) {
    try {
      if (try_separate(pair)) return;
      roll_back();
    } catch (const PgError& error) {
      if (error.sqlstate() != kLockTimeout) throw;
      roll_back();
      tell_waiting(pair, error.text());
    }
    if (!pause_for(rest, stop_)) throw Interrupted("stopped while a sequence was held by a transaction");
  }
}

}  // namespace

std::vector<Finding> find_interleaving_problems(const SequencePairs& sequences, const std::string& blue_role,
                                                const std::string& green_role) {
  std::vector<Finding> found;
  found.reserve(sequences.crossed.size());
  for (const std::string& crossed : sequences.crossed) {
    found.push_back({"green", "the sides share their sequences differently: " + crossed,
                     "let the same columns share a sequence on both sides, or add a table to tables.exclude"});
  }
  std::map<std::string, OwnersPart> blue_owners;
  std::map<std::string, OwnersPart> green_owners;
  for (const SequencePair& pair : sequences.pairs) {
    if (pair.apart()) continue;
    std::vector<Finding> unreadable = describe_unreadable(pair, blue_role, green_role);
    if (!unreadable.empty()) {
      std::move(unreadable.begin(), unreadable.end(), std::back_inserter(found));
      continue;
    }
    const SeriesPlan plan = pair.plan();
    if (plan.problem != SeriesProblem::kNone) {
      found.push_back(describe_problem(pair, plan));
      continue;
    }
    if (!plan.blue.placed && !pair.blue.owned) blue_owners[pair.blue.owner].add(pair, true);
    if (!plan.green.placed && !pair.green.owned) green_owners[pair.green.owner].add(pair, false);
  }
  for (const auto& [owner, part] : blue_owners) found.push_back(part.finding("blue", owner, blue_role));
  for (const auto& [owner, part] : green_owners) found.push_back(part.finding("green", owner, green_role));
  return found;
}

void interleave_sequences(const Config& config, PgConnection& blue, PgConnection& green,
                          const std::set<TableName>& tables, const std::stop_token& stop) {
  if (!config.sequences.interleave) return;
  SequencePairs sequences =
      pair_sequences(read_sequences(blue, tables, config.name), read_sequences(green, tables, config.name), false);
  const std::vector<Finding> problems =
      find_interleaving_problems(sequences, read_server_facts(blue).role, read_server_facts(green).role);
  if (!problems.empty()) refuse(problems);
  std::size_t separated = 0;
  Interleaver interleaver(config, blue, green, stop);
  for (SequencePair& pair : sequences.pairs) {
    if (pair.apart()) continue;
    interleaver.separate(pair);
    ++separated;
  }
  if (separated == 0) return;
  for (const char* side : {"blue", "green"}) {
    log_event(LogLevel::kInfo, "sequences interleaved",
              {{"side", side}, {"sequences", separated}, {"apart_before", sequences.pairs.size() - separated}});
  }
}

}  // namespace teal
