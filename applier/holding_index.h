#pragma once
#include <set>
#include <string>
#include <vector>

#include "engine/pg_connection.h"

namespace teal {

/// A unique index of a table, or of one of its partitions alone, as far as it takes to find rows by it.
struct HoldingIndex {
  struct Part {
    std::string column;    ///< "": an expression
    std::string sql;       ///< over the columns of a row
    std::string equality;  ///< the operator of the index's own class
  };
  std::string table = {};  ///< where it is, quoted
  bool partitioned = false;
  bool nulls_alike = false;
  std::string predicate = {};        ///< of the rows that it has, and of the partition; "": all
  std::set<std::string> reads = {};  ///< columns, quoted: of its parts and its predicate
  std::vector<Part> parts = {};

  /// `, part AS teal_e0, ...`, to select.
  [[nodiscard]] std::string sql_of_parts() const;
  /// ` WHERE ...`: `n` and `h`, which have selected its parts, have equal ones. Where NULLs are alike, each part is
  /// either NULL on both sides or equal, and each way is a WHERE of its own, so that the server can use the index.
  [[nodiscard]] std::vector<std::string> matches() const;
  /// It can be used for that: with many parts there are too many ways.
  [[nodiscard]] bool seeks_nulls() const;
};

/// All of the table, and those that only some of its partitions have. Not those that are checked at the end of a
/// transaction: they are not checked where teal writes. Errors: PgError.
[[nodiscard]] std::vector<HoldingIndex> read_holding_indexes(PgConnection& session, const std::string& table);

}  // namespace teal
