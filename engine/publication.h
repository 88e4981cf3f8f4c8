#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// A table of a publication.
struct PublishedTable {
  TableName name;
  bool filtered = false;  ///< it has a row filter or a column list (15+), a partition: in an entry of its own
  /// pg_publication_rel.oid, a slash, the table's own oid; for a partition of a published table a slash and the xmin of
  /// each step of its inheritance. A table that left the publication (or its table) and came back, or that was dropped
  /// and made anew, has another one: its changes in between were not published.
  std::string entry = {};
  bool partitioned = false;  ///< its rows are those of its partitions
  TableName target = {};     ///< of a partition the published table; else the table itself
  bool logged = true;        ///< false: an unlogged partition, whose changes are in no log
  /// Of a partition the number of its TOAST table, "0" without one. An ALTER TABLE that rewrites the rows (SET UNLOGGED
  /// and SET LOGGED do) makes a new one; TRUNCATE, VACUUM FULL and CLUSTER keep it.
  std::string toast = {};

  [[nodiscard]] bool is_part() const { return name != target; }
};

/// Of PublishedTable::entry: pg_publication_rel.oid, as text.
[[nodiscard]] std::string entry_listing(const std::string& entry);
/// Of PublishedTable::entry: the table's own oid, as text; "" when the entry names none.
[[nodiscard]] std::string entry_table(const std::string& entry);

/// A publication as it stands in the catalogs. Source: pg_publication, pg_publication_rel, pg_publication_namespace.
struct Publication {
  std::string name;
  std::string owner;
  bool owned = false;              ///< the current role has the owner's rights
  bool open_ended = false;         ///< FOR ALL TABLES or FOR TABLES IN SCHEMA: also tables that come later
  bool all_operations = false;     ///< insert, update, delete and truncate
  bool via_root = false;           ///< publish_via_partition_root
  bool generated_columns = false;  ///< publish_generated_columns (18+)
  std::vector<PublishedTable> tables;
  std::vector<PublishedTable> parts;  ///< partitions with rows, of the partitioned tables among `tables`; unlogged too
};

/// Errors: nullopt when there is no such publication in this database; PgError.
[[nodiscard]] std::optional<Publication> read_publication(PgConnection& source, const std::string& name);

/// Whether the last rewrite of the partition came with a change of its columns (a new type, a volatile default).
/// Errors: PgError.
[[nodiscard]] bool was_rewritten_for_columns(PgConnection& source, const TableName& part);

/// What a publication shall list.
struct TablesToPublish {
  std::vector<TableName> tables;
  std::set<TableName> parents =
      {};  ///< of these, those that others inherit from: listed as ONLY, or they bring these along
};

/// The CREATE PUBLICATION that teal wants, with a semicolon.
[[nodiscard]] std::string create_publication_sql(const std::string& name, const TablesToPublish& tables);

/// `"a"."b", "a"."c"`.
[[nodiscard]] std::string quoted_list(const std::vector<TableName>& tables);

/// What separates a publication from the one that teal wants.
struct PublicationGap {
  std::vector<std::string> differences;  ///< in words; empty: nothing is missing
  std::vector<std::string> sql;          ///< statements that mend it, in order
  bool needs_table_owner = false;        ///< the statements need the rights of the tables' owner
  bool needs_new_publication = false;    ///< only a drop and a new one would do
};

/// Compares `present` (nullopt: none) with exactly these tables, every operation, no filters.
[[nodiscard]] PublicationGap compare_publication(const std::optional<Publication>& present, const std::string& name,
                                                 const TablesToPublish& wanted);

}  // namespace teal
