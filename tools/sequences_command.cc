#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/catalog.h"
#include "engine/pg_error.h"
#include "tools/commands.h"
#include "tools/link_facts.h"
#include "tools/sequence_sync.h"

namespace teal {
namespace {

using Outcome = SequenceMove::Outcome;

const char* word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kMoved:
      return "moved";
    case Outcome::kBehind:
      return "behind";
    case Outcome::kAbsent:
      return "absent";
    case Outcome::kProblem:
      return "problem";
  }
  return "";
}

std::int64_t count(const std::vector<SequenceMove>& moves, Outcome outcome) {
  return std::count_if(moves.begin(), moves.end(), [&](const SequenceMove& move) { return move.outcome == outcome; });
}

std::string number(const std::optional<std::int64_t>& value) { return value ? std::to_string(*value) : "its end"; }

std::string line(const SequenceMove& move, const std::string& source) {
  std::string name = move.name.name.empty() ? "" : to_string(move.name) + ": ";
  const std::string there = " (" + source + "'s: " + number(move.there) + ")";
  switch (move.outcome) {
    case Outcome::kMoved:
      return name + "next " + number(move.before) + " -> " + number(move.next) + there;
    case Outcome::kBehind:
      return name + "next " + number(move.next) + ", left as it is" + there;
    case Outcome::kAbsent:
    case Outcome::kProblem:
      return name + move.problem;
  }
  return name;
}

void print_text(const std::vector<SequenceMove>& moves, const SequencesOptions& options, const std::string& source) {
  for (const SequenceMove& move : moves) std::cout << line(move, source) << "\n";
  std::cout << moves.size() << " of " << source << "'s sequences: " << count(moves, Outcome::kMoved)
            << (options.dry_run ? " would be moved on " : " moved on ") << options.to << ", "
            << count(moves, Outcome::kBehind) << " behind already";
  if (const std::int64_t absent = count(moves, Outcome::kAbsent)) std::cout << ", " << absent << " not there";
  if (const std::int64_t problems = count(moves, Outcome::kProblem)) std::cout << ", " << problems << " NOT MOVED";
  std::cout << "\n";
}

nlohmann::ordered_json value(const std::optional<std::int64_t>& number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json();
}

void print_json(const Config& config, const std::vector<SequenceMove>& moves, const SequencesOptions& options,
                const std::string& source) {
  nlohmann::ordered_json sequences = nlohmann::ordered_json::array();
  for (const SequenceMove& move : moves) {
    nlohmann::ordered_json entry{{"sequence", move.name.name.empty() ? "" : to_string(move.name)},
                                 {"from", move.from.name.empty() ? "" : to_string(move.from)},
                                 {"columns", move.columns},
                                 {"outcome", word(move.outcome)},
                                 {"there", value(move.there)},
                                 {"before", value(move.before)},
                                 {"next", value(move.next)}};
    if (!move.problem.empty()) entry["problem"] = move.problem;
    sequences.push_back(std::move(entry));
  }
  const nlohmann::ordered_json json{{"name", config.name},
                                    {"from", source},
                                    {"to", options.to},
                                    {"dry_run", options.dry_run},
                                    {"sequences", std::move(sequences)}};
  std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace

int sequences_command(const Config& config, const OutputOptions& output, const SequencesOptions& options) {
  PgConnection blue = PgConnection::connect(connect_options(config, true, "sequences"));
  PgConnection green = PgConnection::connect(connect_options(config, false, "sequences"));
  const SourceCatalog catalog = read_source_catalog(blue, config.tables);
  std::set<TableName> tables;
  for (const SourceTable& table : catalog.tables) tables.insert(table.name);
  for (const SourceTable& part : catalog.parts) tables.insert(part.name);
  const bool to_green = options.to == "green";
  const std::vector<SequenceMove> moves =
      sync_sequences(to_green ? blue : green, to_green ? green : blue, tables, config.name,
                     {.margin = options.margin, .dry_run = options.dry_run});
  const std::string source = to_green ? "blue" : "green";
  if (output.json) {
    print_json(config, moves, options, source);
  } else {
    print_text(moves, options, source);
  }
  return count(moves, Outcome::kProblem) == 0 ? 0 : static_cast<int>(StopCode::kRefused);
}

}  // namespace teal
