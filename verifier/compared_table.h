#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "verifier/value_hash.h"

namespace teal {

/// In which order both servers can cut a key's values alike.
enum class KeyOrder {
  kNatural,  ///< the type's own
  kBytes,    ///< by bytes, because the type's own depends on a collation
  kText,     ///< by the bytes of its text: of a type that each side may have defined in its own way (an enum)
};

/// A column that rows are found by, and that ranges are cut along.
struct ComparedKey {
  std::string name;  ///< not quoted
  std::string type;  ///< what a value of either side is cast to without being cut, padded or refused
  KeyOrder order = KeyOrder::kNatural;
  bool null_on_green = false;  ///< green's column may be NULL
};

/// A table on one of the two sides.
struct ComparedSide {
  TableName name;
  bool partitioned = false;  ///< its rows lie in partitions; else those of tables that inherit from it are not its own
};

/// What is compared of a table that both sides have: the columns that both have, by name.
/// Values are equal when the servers write the same text for them: 1.0 and 1.00 differ, so do -0 and 0, and two
/// spellings of one json; char is padded. Nothing that an application could see is taken for equal.
struct ComparedTable {
  ComparedSide blue;
  ComparedSide green;
  std::vector<std::string> columns;    ///< quoted, in blue's order
  std::vector<ValueHash> values;       ///< of each column
  std::vector<ComparedKey> key;        ///< empty: none that can be compared; rows are compared as a multiset
  bool ranged = false;                 ///< both sides can find a range of keys by an index
  std::uint64_t rows = 0;              ///< blue's estimate; 0: not known
  bool long_rows = false;              ///< by blue's sizes
  std::vector<std::string> obstacles;  ///< why it cannot be checked as a whole, in words
  std::string signature;               ///< tells it from every other table, see journal_signature; "": nobody asked
  bool readable = true;                ///< false: nothing of it can be compared
  /// Columns that both sides have and that cannot be compared, in words: a row cannot be written without them.
  std::vector<std::string> left_out;
};

/// What `selection` selects on either side, and what is wrong with it: what only one of them has cannot be compared.
/// Errors: Stopped(kUsage) as read_source_catalog; PgError.
[[nodiscard]] std::vector<ComparedTable> read_compared_tables(PgConnection& blue, PgConnection& green,
                                                              const TableSelection& selection);

}  // namespace teal
