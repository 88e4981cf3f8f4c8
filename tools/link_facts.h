#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "decoder/lsn.h"
#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// What a server says about itself and about the role that asks.
struct ServerFacts {
  std::string system_id;   ///< of the cluster; copies of its files have the same
  std::string started_at;  ///< when the server was started: tells copies of a cluster apart
  std::string database;
  std::string role;
  bool superuser = false;
  bool replication = false;         ///< the role has the attribute REPLICATION
  bool create_in_database = false;  ///< CREATE on the database
  bool in_recovery = false;
  std::optional<std::string> teal_schema_owner;  ///< nullopt: there is no schema teal
  bool create_in_teal_schema = false;
};

/// A logical replication slot. Source: pg_replication_slots.
struct SlotFacts {
  std::string plugin;
  std::string database;
  bool temporary = false;
  std::optional<int> active_pid;
  bool observed = false;  ///< by a link that applies nothing of it, for the other one
  std::optional<Lsn> confirmed_flush;
  std::optional<Lsn> restart;
  std::string wal_status;                      ///< reserved, extended, unreserved, lost; empty when unknown
  std::optional<std::int64_t> safe_wal_bytes;  ///< until the slot may be lost; nullopt: no limit is set
};

/// The link's row in teal.progress, as far as set-up and status need it.
struct LinkRow {
  Lsn applied;
  Lsn held;
  std::string source_system_id;
  std::string counters;            ///< JSON
  std::string updated_at;          ///< timestamptz as text
  double updated_seconds_ago = 0;  ///< by the target's clock
};

struct TableCopyState {
  /// pending, copied, detached (a partition that is none any more on the source), left (not selected any more)
  std::string state;
  std::int64_t rows = 0;
  std::int64_t bytes = 0;
  std::string publication_entry = {};  ///< see PublishedTable::entry; as of the copy, "" before
  TableName target = {};               ///< where its rows go
  std::string bounds = {};             ///< of a partition, see partition_bounds_sql
  std::string takes = {};              ///< of a partition, see SourceTable::takes; "": nothing is to be told by it
  std::string toast = {};              ///< of a partition, see PublishedTable::toast; "": not known

  [[nodiscard]] bool is_part(const TableName& name) const { return name != target; }
  std::string copied_as = {};  ///< text or binary; "": not copied by teal
  std::string problem = {};    ///< why a pending table cannot be copied; "": nothing is known
  bool begun = false;          ///< pending, and what rows it has on the target are of a copy in pieces
  Lsn watermark = {};          ///< 0/0: not copied, or taken as it was (run --no-copy)
};

/// Blue to green, which every migration has.
[[nodiscard]] LinkNames forward_link(const Config& config);

/// How teal's sessions appear on the servers: `teal/<name>/<role>`.
[[nodiscard]] ConnectOptions connect_options(const Config& config, bool blue, const std::string& role);

/// Errors of all below: PgError.
[[nodiscard]] ServerFacts read_server_facts(PgConnection& connection);
[[nodiscard]] std::optional<SlotFacts> read_slot(PgConnection& source, const std::string& name);
/// nullopt when there is no such row, or no schema teal yet.
[[nodiscard]] std::optional<LinkRow> read_link_row(PgConnection& target, const LinkNames& link);
/// Which target a link serves. Source: teal.link_target, on the link's source.
struct LinkTarget {
  std::string system_id;
  std::string database;

  friend bool operator==(const LinkTarget&, const LinkTarget&) = default;
};
[[nodiscard]] std::string to_string(const LinkTarget& target);
/// nullopt when none is noted, or no schema teal yet.
[[nodiscard]] std::optional<LinkTarget> read_link_target(PgConnection& source, const LinkNames& link);
/// Empty when there is no schema teal yet.
[[nodiscard]] std::map<TableName, TableCopyState> read_table_states(PgConnection& target, const LinkNames& link);
/// Leaves out tables that are not selected any more: neither they nor the table that they are a partition of.
void keep_selected(std::map<TableName, TableCopyState>& states, const std::set<TableName>& selected);

/// ` WHERE ...`, in SQL: the rows of teal.table_state of these tables, or of all that is written to them.
enum class StatesOf { kTables, kTargets };
[[nodiscard]] std::string states_where(const LinkNames& link, StatesOf of, const std::set<TableName>& tables);
/// What an operator runs on the target, with a semicolon, to have these tables copied again.
[[nodiscard]] std::string delete_states(const LinkNames& link, StatesOf of, const std::set<TableName>& tables);

/// Whether a table of schema teal exists and may be read.
[[nodiscard]] bool has_control_table(PgConnection& connection, const std::string& name);

}  // namespace teal
