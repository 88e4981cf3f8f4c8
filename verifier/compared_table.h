#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// In which order both servers can cut a key's values alike.
enum class KeyOrder {
  kNatural,  ///< the type's own
  kBytes,    ///< by bytes, because the type's own depends on a collation
  kText,     ///< by the bytes of its text: of a type that each side may have defined in its own way (an enum)
};

/// A column that rows are found by, and that ranges are cut along.
struct ComparedKey {
  std::string name;  ///< quoted
  std::string type;  ///< as format_type spells it, with its modifier
  KeyOrder order = KeyOrder::kNatural;
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
  std::vector<ComparedKey> key;        ///< empty: none that both sides have; rows are compared as a multiset
  bool ranged = false;                 ///< both sides can find a range of keys by an index
  std::uint64_t rows = 0;              ///< blue's estimate; 0: not known
  std::vector<std::string> obstacles;  ///< why it cannot be checked as a whole, in words
  bool readable = true;                ///< false: nothing of it can be compared
};

/// What `selection` selects on blue, sorted by name, and what is wrong with it. Tables that only green has are not
/// among them. Errors: Stopped(kUsage) as read_source_catalog; PgError.
[[nodiscard]] std::vector<ComparedTable> read_compared_tables(PgConnection& blue, PgConnection& green,
                                                              const TableSelection& selection);

}  // namespace teal
