#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decoder/relation.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// A live column of a table, in attnum order.
struct CatalogColumn {
  std::string name;
  std::string type;       ///< as format_type spells it, with its modifier, qualified unless built in
  std::string base_type;  ///< the same without the modifier
  std::string
      cast_type;  ///< a spelling whose cast neither truncates nor pads (`bpchar` where base_type says character)
  std::uint32_t type_oid = 0;
  std::int32_t type_modifier = -1;
  int attnum = 0;
  bool not_null = false;
  bool has_default = false;       ///< an expression, an identity or a generation rule
  bool generated = false;         ///< stored or virtual: never written, not published
  bool computed_on_read = false;  ///< a virtual generated column (18+)
  char identity = '\0';           ///< 'a' always, 'd' by default, '\0' none. Source: pg_attribute.attidentity
  std::string generated_as;       ///< its generation expression
  bool toastable = false;         ///< large values may be kept outside the row
  bool deterministic = true;      ///< equal under its collation means equal bytes
  bool text_cast = false;         ///< a cast from text runs a function, in place of the type's input function
  /// "": none; a generation rule is none.
  std::string default_expression = {};
  /// What it reads in rows that are older than it: the constant default that ADD COLUMN had. It is in no row, so it is
  /// not sent, and a rewrite of the table forgets it. Of a partitioned table only its partitions know.
  /// Source: pg_attribute.attmissingval
  std::optional<std::string> added_value = {};
};

/// A table of the source that is selected for replication.
struct SourceTable {
  TableName name;
  TableName target;          ///< where its rows go on the other side: the same; of a partition, the table at its top
  bool partitioned = false;  ///< it has no rows of its own: its partitions are SourceCatalog::parts
  std::string bounds;        ///< of a partition, see partition_bounds_sql
  /// Of a partition, once read_rows_taken has filled it: which rows it takes, as SQL over its table's columns. What
  /// hash partitions share is all that is said of them: only the server that has them can tell more.
  std::string takes = {};
  bool leaving = false;       ///< a partition whose DETACH ... CONCURRENTLY has begun and not ended
  bool has_children = false;  ///< other tables inherit from it; they are tables of their own
  std::uint32_t oid = 0;
  std::string owner;
  std::vector<CatalogColumn> columns;
  ReplicaIdentity replica_identity = ReplicaIdentity::kDefault;
  /// Names of the key that rows are found by: primary key or replica identity index, in the key's order.
  std::vector<std::string> identity_columns;
  bool whole_rows = false;      ///< REPLICA IDENTITY FULL and no usable key: rows are found by all their values
  std::string refusal;          ///< why it cannot be replicated, in words; empty: it can
  std::string refusal_mend;     ///< SQL that mends it; empty: excluding the table is the only way
  std::string keyless_mend;     ///< SQL that mends it where a table needs no key; empty: none does
  bool row_security = false;    ///< policies would hide rows from the current role
  bool may_select = false;      ///< SELECT on the table
  bool may_use_schema = false;  ///< USAGE on its schema
  bool owned = false;           ///< the current role has the owner's rights
  std::uint64_t bytes = 0;      ///< size on disk without indexes, to copy the largest first
};

/// A relation that the selection matches but that is nothing to replicate, and why.
struct SkippedRelation {
  TableName name;
  std::string why;
};

/// What is selected on the source.
struct SourceCatalog {
  std::vector<SourceTable> tables;       ///< what is published, sorted by name
  std::vector<SourceTable> parts;        ///< partitions with rows, of the partitioned tables among `tables`
  std::vector<SkippedRelation> skipped;  ///< unlogged and foreign tables, materialized views
};

/// Reads what `selection` selects on `source`: permanent tables outside the system's and teal's schemas that belong to
/// no extension. Partitions come with their table. Tables that cannot be replicated (without a usable key) are in it
/// with a `refusal`. Errors: Stopped(kUsage) for a pattern that matches nothing, or that names something that is no
/// table; PgError.
[[nodiscard]] SourceCatalog read_source_catalog(PgConnection& source, const TableSelection& selection);
/// The same where the selection is meant for the other side: what a pattern names may be missing here.
[[nodiscard]] SourceCatalog read_selected(PgConnection& source, const TableSelection& selection);

/// Fills SourceTable::takes. Not read with the catalog, because it is needed of few and long for a default partition.
/// Errors: PgError.
void read_rows_taken(PgConnection& source, std::vector<SourceTable>& tables);

/// The tables that have rows, without partitions that are leaving: each is copied, and sends its changes, for itself.
/// Sorted by name.
[[nodiscard]] std::vector<SourceTable> tables_with_rows(const SourceCatalog& catalog);

struct ForeignKey {
  std::string name;
  TableName child;
  TableName parent;
};

/// Every foreign key of the database. Errors: PgError.
[[nodiscard]] std::vector<ForeignKey> read_foreign_keys(PgConnection& source);

/// The other side of a source table.
struct TargetRelation {
  TableName name;
  bool schema_exists = false;
  bool exists = false;    ///< as an ordinary or partitioned table; what follows is only meant when it does
  bool is_other = false;  ///< the name belongs to something else (a view, a foreign table)
  bool partitioned = false;
  bool logged = true;  ///< false: an unlogged table, which a crash empties
  TableName part_of;   ///< it is a partition: of the table at the top
  std::string detach;  ///< the SQL that makes it none; "": it is none
  std::vector<CatalogColumn> columns;
  std::vector<std::string> missing_rights;  ///< of SELECT, INSERT, UPDATE, DELETE, TRUNCATE
  bool may_use_schema = false;
  bool may_create_in_schema = false;
  /// A unique index that rows can be found by, on exactly the identity columns; true where none is needed.
  bool identity_index = false;
  bool row_security = false;  ///< policies would hide rows from the current role
};

/// Looks up the tables' targets on `target`, in the order of `tables`. Errors: PgError.
[[nodiscard]] std::vector<TargetRelation> find_target_relations(PgConnection& target,
                                                                const std::vector<SourceTable>& tables);

/// Whether any of these tables has what pg_restore makes after the rows: an index, a foreign key, a trigger, a rule.
/// Errors: PgError.
[[nodiscard]] bool have_post_data(PgConnection& connection, const std::vector<SourceTable>& tables);

}  // namespace teal
