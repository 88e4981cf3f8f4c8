#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "tools/sequence_series.h"

namespace teal {

/// What teal.sequence_state keeps of a sequence that this migration interleaved.
struct SequenceRecord {
  TableName name;
  TableName other;      ///< the other side's, of which this one draws every other number
  std::string columns;  ///< for people
  std::int64_t old_increment = 1;
  std::int64_t old_start = 1;
  std::int64_t increment = 2;
  std::int64_t start = 1;
  std::int64_t first = 1;  ///< a number of this side's
};

/// A sequence that columns of the migration's tables draw from.
struct DrawnSequence {
  TableName name;
  std::string owner;
  bool owned = false;     ///< the current role has the owner's rights
  bool readable = false;  ///< and may read where it stands; `numbers` is only half known else
  bool settable = false;  ///< and may set it
  SequenceNumbers numbers;
  std::optional<SequenceRecord> record;
};

/// A table's column.
using ColumnName = std::pair<TableName, std::string>;

/// Of one side.
struct SideSequences {
  std::set<TableName> tables;  ///< which of the tables are there
  std::map<ColumnName, TableName> drawn;
  std::map<TableName, DrawnSequence> sequences;
};

/// The sequence that each column of `tables` draws from: as an identity, in its default, or because it is owned by the
/// column. What a function or a trigger draws is not seen. Errors: PgError.
[[nodiscard]] SideSequences read_sequences(PgConnection& connection, const std::set<TableName>& tables,
                                           const std::string& migration);
/// All sequences of these tables' schemas, but not those that an extension brought, or that only columns of other
/// tables draw from or own. Errors: PgError.
[[nodiscard]] std::map<TableName, DrawnSequence> read_named_sequences(PgConnection& connection,
                                                                      const std::set<TableName>& tables);
/// Where it stands at this moment. Errors: PgError.
void read_standing(PgConnection& connection, const TableName& sequence, SequenceNumbers& numbers);
/// All of a migration on this side; empty when there is no schema teal yet. Errors: PgError.
[[nodiscard]] std::vector<SequenceRecord> read_sequence_records(PgConnection& connection, const std::string& migration);

/// A column's sequences on the two sides.
struct SequencePair {
  DrawnSequence blue;
  DrawnSequence green;
  std::string columns;  ///< that draw from them, for people: "public.item.id, public.other.id"

  [[nodiscard]] SeriesPlan plan(std::int64_t margin = 0) const;
  [[nodiscard]] bool apart() const { return !may_draw_same(blue.numbers, green.numbers); }
};

struct SequencePairs {
  std::vector<SequencePair> pairs;
  /// Columns that share a sequence on one side and not on the other, in words.
  std::vector<std::string> crossed;
};

/// Each sequence once, however many columns draw from it. A column that draws on one side only is in none.
/// `made_as_blue`: what green lacks will be made from blue's.
[[nodiscard]] SequencePairs pair_sequences(const SideSequences& blue, const SideSequences& green, bool made_as_blue);

[[nodiscard]] std::string quote_sequence(const TableName& sequence);

}  // namespace teal
