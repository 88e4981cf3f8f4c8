#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/pg_connection.h"

namespace teal {

/// A line of `pg_restore --list`: "2345; 2606 16390 CONSTRAINT app item_pkey owner".
struct DumpEntry {
  std::string line;
  std::size_t place = 0;      ///< in the list
  std::uint32_t catalog = 0;  ///< pg_class, pg_constraint, ...; 0 of what is in none
  std::uint32_t oid = 0;      ///< in the source's catalog
};

/// The lines of a list but its comments, in their order.
[[nodiscard]] std::vector<DumpEntry> parse_contents(const std::string& listed);

/// An index of a table that has rows (a plain one or a partition), with the constraint that it belongs to.
struct IndexFacts {
  std::uint32_t index = 0;
  std::uint32_t constraint = 0;  ///< 0: of none
  std::uint32_t table = 0;
  bool unique = false;  ///< or of an exclusion constraint
  bool exclusive =
      false;  ///< making it lets nobody beside it at the table: a constraint, or what marks it for the table
  std::uint64_t bytes = 0;  ///< as its server last counted its pages
  /// What tells it from another index of the same name: names of both, columns, kind. The same on both sides.
  std::string likeness;
};

/// All of a database, but those of system schemas. Errors: PgError.
[[nodiscard]] std::vector<IndexFacts> read_indexes(PgConnection& connection);
/// Only their likenesses, of those that are valid. Errors: PgError.
[[nodiscard]] std::set<std::string> read_index_likenesses(PgConnection& connection);

/// What one pg_restore makes in one transaction.
struct IndexUnit {
  std::uint32_t table = 0;         ///< 0: all that several small tables need
  bool exclusive = false;          ///< nothing else may be made on the table meanwhile
  std::uint64_t weight = 0;        ///< bytes to read and to write for it, and for what has to wait for it
  std::vector<DumpEntry> entries;  ///< in the list's order
};

/// How the part of a schema that comes after the rows is made.
struct PostDataOptions {
  int jobs = 1;
  /// false: all of it in one transaction.
  bool apart = false;
  /// With `apart`: the source's table whose unique indexes come last, with all that is no index; 0: of none.
  std::uint32_t held_back = 0;
  std::map<std::uint32_t, std::uint64_t> table_bytes = {};  ///< by the source's oid
};

struct IndexPlan {
  std::vector<IndexUnit> units;  ///< the heaviest first; they may be made in any order, and beside each other
  std::vector<DumpEntry> rest;   ///< to be made after them, in one transaction, in this order
};

/// Divides `contents`, the list of the part after the rows, leaving out the indexes that are `present` on the target.
/// A unit's entries keep the list's order: two processes that make the same ones take their locks in one order.
[[nodiscard]] IndexPlan plan_indexes(const std::vector<DumpEntry>& contents, const std::vector<IndexFacts>& indexes,
                                     const std::set<std::string>& present, const PostDataOptions& options);

}  // namespace teal
