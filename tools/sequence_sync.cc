#include "tools/sequence_sync.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/pg_error.h"
#include "tools/sequence_facts.h"
#include "tools/sequence_series.h"

namespace teal {
namespace {

using Outcome = SequenceMove::Outcome;

// Drawing can only go forward, setting cannot. So a sequence is set only where it is far before its place: whoever
// draws from it would have to pass the place within that one statement. The rest of the way is drawn. A session draws
// as many as its cache holds at a time.
constexpr std::int64_t kDrawnAtMost = 10'000;
constexpr std::int64_t kCachesAtMost = 100;

// Where it is to go on.
struct Place {
  std::int64_t number = 0;
  bool called = false;  ///< it has come to `number`, its last one
};

bool is_beyond(std::int64_t one, std::int64_t other, bool up) { return up ? one >= other : one <= other; }

// `steps` further; the end of its range where that is beyond it.
std::int64_t shifted(std::int64_t number, std::int64_t steps, const SequenceNumbers& numbers) {
  const __int128 far = __int128{number} + __int128{steps} * numbers.increment;
  return static_cast<std::int64_t>(std::clamp<__int128>(far, numbers.min, numbers.max));
}

class SequenceMover {
 public:
  SequenceMover(PgConnection& from, PgConnection& to, const SequenceSyncOptions& options)
      : from_(from), to_(to), options_(options) {}

  SequenceMove move(const DrawnSequence& source, const DrawnSequence& target, const std::string& columns);

 private:
  [[nodiscard]] std::string find_problem(const DrawnSequence& source, const DrawnSequence& target) const;
  [[nodiscard]] std::string no_room(const SequenceNumbers& source) const;
  void move(const DrawnSequence& source, const DrawnSequence& target, SequenceMove& move);
  void go(const DrawnSequence& target, const Place& place);
  [[nodiscard]] std::optional<std::int64_t> read_back(const DrawnSequence& target, const Place& place);

  PgConnection& from_;
  PgConnection& to_;
  const SequenceSyncOptions& options_;
};

std::string SequenceMover::find_problem(const DrawnSequence& source, const DrawnSequence& target) const {
  const auto grant = [](const PgConnection& side, const TableName& name, const std::string& rights) {
    return std::string("teal's role may not ") + (rights == "SELECT" ? "read" : "set") + " it on " + side.label() +
           "; GRANT " + rights + " ON SEQUENCE " + quote_sequence(name) + " TO its role there";
  };
  if (!source.readable) return grant(from_, source.name, "SELECT");
  if (!target.readable || !target.settable) return grant(to_, target.name, "SELECT, UPDATE");
  if ((source.numbers.increment > 0) != (target.numbers.increment > 0)) {
    return "it counts up on one side and down on the other; give both the same increment";
  }
  return "";
}

std::string SequenceMover::no_room(const SequenceNumbers& source) const {
  return "it has no number left behind " + std::to_string(source.last) + ", which " + from_.label() + " has come to" +
         (options_.margin > 0 ? ", and the margin" : "") +
         "; raise its MAXVALUE (or MINVALUE), and the column's type where that is the limit";
}

// Where one has come to its end on both sides, or cycles and begins again, its last number is the place.
std::optional<Place> place_of(const SequenceNumbers& source, const SequenceNumbers& target, std::int64_t bound) {
  if (const auto behind = next_behind(target, target.increment, bound)) return Place{*behind};
  const bool ends = !next_number(source) || source.cycles;
  if (!ends || bound < target.min || bound > target.max) return std::nullopt;
  return Place{bound, true};
}

void SequenceMover::go(const DrawnSequence& target, const Place& place) {
  const SequenceNumbers& numbers = target.numbers;
  const std::string name = quote_literal(quote_sequence(target.name));
  const std::int64_t own = next_number(numbers).value_or(numbers.last);
  const __int128 steps = (__int128{place.number} - own) / numbers.increment;
  // What this session holds of an earlier call is no draw.
  to_.exec("forget cached numbers", "DISCARD SEQUENCES");
  if (!place.called && steps <= std::max(kDrawnAtMost, kCachesAtMost * numbers.cache)) {
    to_.exec("draw from the sequence " + to_string(target.name) + " on " + to_.label(),
             "SELECT count(nextval(" + name + ")) FROM generate_series(1, " +
                 std::to_string(static_cast<std::int64_t>(steps)) + ")");
    return;
  }
  const std::string next =
      "last_value::numeric + CASE WHEN is_called THEN " + std::to_string(numbers.increment) + " ELSE 0 END";
  to_.exec("set the sequence " + to_string(target.name) + " on " + to_.label(),
           "SELECT setval(" + name + ", " + std::to_string(place.number) + ", " + (place.called ? "true" : "false") +
               ") FROM " + quote_sequence(target.name) + " WHERE " + next + (numbers.increment > 0 ? " <= " : " >= ") +
               std::to_string(place.number));
}

std::optional<std::int64_t> SequenceMover::read_back(const DrawnSequence& target, const Place& place) {
  SequenceNumbers numbers = target.numbers;
  read_standing(to_, target.name, numbers);
  const std::optional<std::int64_t> next = next_number(numbers);
  const bool up = numbers.increment > 0;
  const bool reached =
      place.called ? is_beyond(numbers.last, place.number, up) : !next || is_beyond(*next, place.number, up);
  if (reached) return next;
  throw Stopped(StopCode::kRefused, "it is not where teal has set it to: somebody else sets it too; repeat this");
}

void SequenceMover::move(const DrawnSequence& source, const DrawnSequence& target, SequenceMove& move) {
  const SequenceNumbers& numbers = target.numbers;
  const bool up = numbers.increment > 0;
  move.there = next_number(source.numbers);
  move.before = move.next = next_number(numbers);
  const std::optional<std::int64_t> drawn = last_drawn(source.numbers);
  if (!drawn) return;
  const std::int64_t bound = shifted(*drawn, options_.margin, source.numbers);
  if (!move.before && is_beyond(numbers.last, bound, up)) return;
  const std::optional<Place> place = move.before ? place_of(source.numbers, numbers, bound) : std::nullopt;
  if (!place) {
    move.outcome = Outcome::kProblem;
    move.problem = no_room(source.numbers);
    return;
  }
  if (!place->called && *move.before == place->number) return;
  if (place->called && numbers.called && is_beyond(numbers.last, place->number, up)) return;
  move.outcome = Outcome::kMoved;
  move.next = place->called ? std::nullopt : std::optional(place->number);
  if (options_.dry_run) return;
  go(target, *place);
  move.next = read_back(target, *place);
}

SequenceMove SequenceMover::move(const DrawnSequence& source, const DrawnSequence& target, const std::string& columns) {
  SequenceMove done{.name = target.name, .from = source.name, .columns = columns};
  done.problem = find_problem(source, target);
  if (done.problem.empty()) {
    try {
      move(source, target, done);
    } catch (const Stopped& stopped) {
      done.problem = stopped.what();
    } catch (const PgError& error) {
      if (!to_.usable()) throw;
      done.problem = error.what();
    }
  }
  if (!done.problem.empty()) done.outcome = Outcome::kProblem;
  return done;
}

// What no column joined: by its name.
void sync_named(SequenceMover& mover, const std::map<TableName, DrawnSequence>& there,
                const std::map<TableName, DrawnSequence>& here, const PgConnection& to,
                std::vector<SequenceMove>& moves) {
  std::set<TableName> done_there;
  std::set<TableName> done_here;
  for (const SequenceMove& move : moves) {
    done_there.insert(move.from);
    done_here.insert(move.name);
  }
  for (const auto& [name, source] : there) {
    if (done_there.contains(name)) continue;
    const auto target = here.find(name);
    if (target != here.end() && !done_here.contains(name)) {
      moves.push_back(mover.move(source, target->second, ""));
      continue;
    }
    moves.push_back({.name = name,
                     .from = name,
                     .outcome = Outcome::kAbsent,
                     .problem = to.label() +
                                " has no sequence of this name, nor one that the same columns draw from; where the "
                                "application draws from it, make it there"});
  }
}

}  // namespace

std::vector<SequenceMove> sync_sequences(PgConnection& from, PgConnection& to, const std::set<TableName>& tables,
                                         const std::string& migration, const SequenceSyncOptions& options) {
  const bool from_blue = from.label() == "blue";
  const SideSequences source = read_sequences(from, tables, migration);
  const SideSequences target = read_sequences(to, tables, migration);
  const SequencePairs sequences =
      from_blue ? pair_sequences(source, target, false) : pair_sequences(target, source, false);
  SequenceMover mover(from, to, options);
  std::vector<SequenceMove> moves;
  moves.reserve(sequences.pairs.size() + sequences.crossed.size());
  for (const SequencePair& pair : sequences.pairs) {
    moves.push_back(from_blue ? mover.move(pair.blue, pair.green, pair.columns)
                              : mover.move(pair.green, pair.blue, pair.columns));
  }
  sync_named(mover, read_named_sequences(from, tables), read_named_sequences(to, tables), to, moves);
  for (const std::string& crossed : sequences.crossed) {
    moves.push_back({.outcome = Outcome::kProblem,
                     .problem = "the sides share their sequences differently, and this was not looked at: " + crossed});
  }
  return moves;
}

}  // namespace teal
