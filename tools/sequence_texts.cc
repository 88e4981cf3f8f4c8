#include "tools/sequence_texts.h"

#include <algorithm>

namespace teal {
namespace {

constexpr std::int64_t kOwnersMargin = 100'000;  // what blue may draw until the owner comes to green
constexpr std::size_t kColumnsNamed = 20;

std::string words(const SequencePair& pair) {
  std::string names = to_string(pair.blue.name);
  if (pair.green.name != pair.blue.name) names += " (on green " + to_string(pair.green.name) + ")";
  return "the sequence " + names + " of " + pair.columns;
}

std::string alter(const TableName& sequence, const std::string& what) {
  return "ALTER SEQUENCE " + quote_sequence(sequence) + " " + what + ";";
}

// The next number of the series that `member` is in, whenever this is run.
std::string next_in_series(std::int64_t member, std::int64_t increment) {
  const std::string step = std::to_string(increment > 0 ? increment : -increment);
  const std::string of = "(" + std::to_string(member) + ")";
  if (increment > 0)
    return "last_value + 1 + mod(mod(" + of + " - last_value - 1, " + step + ") + " + step + ", " + step + ")";
  return "last_value - 1 - mod(mod(last_value - 1 - " + of + ", " + step + ") + " + step + ", " + step + ")";
}

}  // namespace

Finding describe_problem(const SequencePair& pair, const SeriesPlan& plan) {
  const std::string exclude = " Or add the table to tables.exclude.";
  const bool on_blue = plan.problem == SeriesProblem::kCycles && pair.blue.numbers.cycles;
  const TableName& name = on_blue ? pair.blue.name : pair.green.name;
  switch (plan.problem) {
    case SeriesProblem::kCycles:
      return {on_blue ? "blue" : "green", words(pair) + " cycles: its numbers come again on both sides",
              alter(name, "NO CYCLE")};
    case SeriesProblem::kIncrements:
      return {"green",
              words(pair) + " has INCREMENT BY " + std::to_string(pair.blue.numbers.increment) + " on blue and " +
                  std::to_string(pair.green.numbers.increment) + " on green, and both would draw the same numbers",
              alter(name, "INCREMENT BY " + std::to_string(pair.blue.numbers.increment))};
    default:
      return {"blue", words(pair) + " is too near its end, or that of its column, to draw every other number",
              "give the column and the sequence a larger type on both sides (ALTER TABLE ... ALTER COLUMN ... TYPE "
              "bigint; ALTER SEQUENCE ... AS bigint MAXVALUE ...)." +
                  exclude};
  }
}

std::vector<Finding> describe_unreadable(const SequencePair& pair, const std::string& blue_role,
                                         const std::string& green_role) {
  std::vector<Finding> found;
  const auto look = [&](const std::string& side, const DrawnSequence& sequence, const std::string& role) {
    if (sequence.readable) return;
    found.push_back({side, "teal may not read where " + words(pair) + " stands",
                     "GRANT USAGE ON SCHEMA " + quote_identifier(sequence.name.schema) + " TO " +
                         quote_identifier(role) + "; GRANT SELECT ON SEQUENCE " + quote_sequence(sequence.name) +
                         " TO " + quote_identifier(role) + ";"});
  };
  look("blue", pair.blue, blue_role);
  look("green", pair.green, green_role);
  return found;
}

void OwnersPart::add(const SequencePair& pair, bool on_blue) {
  SeriesPlan plan = pair.plan(kOwnersMargin);
  if (plan.problem != SeriesProblem::kNone) plan = pair.plan();
  const SeriesSide& side = on_blue ? plan.blue : plan.green;
  const TableName& name = on_blue ? pair.blue.name : pair.green.name;
  ++count_;
  if (count_ <= kColumnsNamed) columns_ += (columns_.empty() ? "" : ", ") + pair.columns;
  if (count_ == kColumnsNamed + 1) columns_ += ", and more";
  std::string what = "INCREMENT BY " + std::to_string(plan.increment) + " START WITH " + std::to_string(side.start);
  if (!on_blue) what += " RESTART WITH " + std::to_string(side.next);
  sql_ += (sql_.empty() ? "" : "\n  ") + alter(name, what);
  if (!on_blue) return;
  const std::string quoted = quote_sequence(name);
  sql_ += " SELECT setval(" + quote_literal(quoted) + ", " + next_in_series(side.next, plan.increment) +
          ", false) FROM " + quoted + ";";
}

Finding OwnersPart::finding(const std::string& side, const std::string& owner, const std::string& role) const {
  return {side,
          "both sides would draw the same numbers for " + columns_ + ", and teal may not alter " +
              std::to_string(count_) + (count_ == 1 ? " sequence" : " sequences") + " of " + owner,
          sql_ + "\n  -- or let teal do it, and undo it with teal finish: GRANT " + quote_identifier(owner) + " TO " +
              quote_identifier(role) + ";"};
}

}  // namespace teal
