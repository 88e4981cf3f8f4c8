#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

struct SequenceSyncOptions {
  std::int64_t margin = 0;  ///< numbers of the other side's that count as drawn though they are not
  bool dry_run = false;
};

/// What became of one sequence of the side that is moved to.
struct SequenceMove {
  enum class Outcome {
    kMoved,    ///< it goes on behind what the other side has drawn (with `dry_run`: it would)
    kBehind,   ///< it did already
    kAbsent,   ///< there is none like the other side's
    kProblem,  ///< it could not be moved
  };
  TableName name = {};
  TableName from = {};       ///< the other side's
  std::string columns = {};  ///< that draw from both, for people; "": they have the same name
  Outcome outcome = Outcome::kBehind;
  // What they are to draw next; nullopt: nothing, it has come to its end, or that is not known.
  std::optional<std::int64_t> there = {};   ///< the other side's
  std::optional<std::int64_t> before = {};  ///< this one, as it was
  std::optional<std::int64_t> next = {};    ///< this one now
  std::string problem = {};                 ///< of kProblem and kAbsent: why, and what to do
};

/// Moves each sequence of `to` behind all that its like on `from` has drawn, in the numbers that it draws: those that
/// the same columns of `tables` draw from, and else those of the same name in these tables' schemas. None is moved
/// backwards, whoever draws from it meanwhile, also one that cycles. Numbers that sessions of `from` hold in their
/// caches count as drawn; sessions of `to` go on with what they hold. What goes wrong with a sequence does not keep the
/// others from being moved. Errors: PgError when a connection breaks. Source: PostgreSQL manual, "Sequence Manipulation
/// Functions"; TRAPS J6, J7.
[[nodiscard]] std::vector<SequenceMove> sync_sequences(PgConnection& from, PgConnection& to,
                                                       const std::set<TableName>& tables, const std::string& migration,
                                                       const SequenceSyncOptions& options);

}  // namespace teal
