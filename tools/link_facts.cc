#include "tools/link_facts.h"

#include <cstdlib>

#include "engine/link.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

std::optional<Lsn> optional_lsn(const Rows& rows, int row, int column) {
  if (rows.is_null(row, column)) return std::nullopt;
  const std::optional<Lsn> lsn = parse_lsn(rows.at(row, column));
  if (!lsn)
    throw Stopped(StopCode::kBug, "the server answered " + rows.str(row, column) + " where an LSN was asked for");
  return lsn;
}

}  // namespace

LinkNames forward_link(const Config& config) { return {config.name, std::string(kBlueToGreen)}; }

ConnectOptions connect_options(const Config& config, bool blue, const std::string& role) {
  ConnectOptions options;
  options.conninfo = blue ? config.blue : config.green;
  options.label = blue ? "blue" : "green";
  options.application_name = "teal/" + config.name + "/" + role;
  return options;
}

ServerFacts read_server_facts(PgConnection& connection) {
  const Rows rows = connection.exec(
      "ask " + connection.label() + " about itself",
      "SELECT (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time(), current_database(), "
      "current_user, r.rolsuper, r.rolreplication, has_database_privilege(current_database(), 'CREATE'), "
      "pg_is_in_recovery(), (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'teal'), "
      "coalesce((SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n WHERE n.nspname = 'teal'), false) "
      "FROM pg_roles r WHERE r.rolname = current_user");
  if (rows.size() != 1) throw Stopped(StopCode::kBug, "the role of teal is not in pg_roles");
  ServerFacts facts;
  facts.system_id = rows.str(0, 0);
  facts.started_at = rows.str(0, 1);
  facts.database = rows.str(0, 2);
  facts.role = rows.str(0, 3);
  facts.superuser = rows.boolean(0, 4);
  facts.replication = rows.boolean(0, 5);
  facts.create_in_database = rows.boolean(0, 6);
  facts.in_recovery = rows.boolean(0, 7);
  if (!rows.is_null(0, 8)) facts.teal_schema_owner = rows.str(0, 8);
  facts.create_in_teal_schema = rows.boolean(0, 9);
  return facts;
}

std::optional<SlotFacts> read_slot(PgConnection& source, const std::string& name) {
  const Rows rows = source.exec("look for the slot " + name,
                                "SELECT coalesce(plugin, ''), coalesce(database, ''), temporary, active_pid, "
                                "confirmed_flush_lsn, restart_lsn, coalesce(wal_status, ''), safe_wal_size, "
                                "EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.pid = s.active_pid AND "
                                "a.application_name LIKE '%' || $2) "
                                "FROM pg_replication_slots s WHERE slot_name = $1",
                                {name, std::string(kObservedSuffix)});
  if (rows.empty()) return std::nullopt;
  SlotFacts slot;
  slot.plugin = rows.str(0, 0);
  slot.database = rows.str(0, 1);
  slot.temporary = rows.boolean(0, 2);
  if (!rows.is_null(0, 3)) slot.active_pid = static_cast<int>(rows.integer(0, 3));
  slot.confirmed_flush = optional_lsn(rows, 0, 4);
  slot.restart = optional_lsn(rows, 0, 5);
  slot.wal_status = rows.str(0, 6);
  if (!rows.is_null(0, 7)) slot.safe_wal_bytes = rows.integer(0, 7);
  slot.observed = rows.boolean(0, 8);
  return slot;
}

bool has_control_table(PgConnection& connection, const std::string& name) {
  const Rows rows = connection.exec("look for teal." + name + " on " + connection.label(),
                                    "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                                    "WHERE n.nspname = 'teal' AND c.relname = $1 AND c.relkind = 'r' "
                                    "AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')",
                                    {name});
  return !rows.empty();
}

std::optional<LinkRow> read_link_row(PgConnection& target, const LinkNames& link) {
  if (!has_control_table(target, "progress")) return std::nullopt;
  const Rows rows = target.exec("read the link's progress",
                                "SELECT applied, held, source_system_id, counters, updated_at, "
                                "extract(epoch FROM clock_timestamp() - updated_at) FROM teal.progress "
                                "WHERE migration = $1 AND link = $2 AND lane = 0",
                                {link.migration, link.link});
  if (rows.empty()) return std::nullopt;
  LinkRow row;
  row.applied = optional_lsn(rows, 0, 0).value_or(Lsn{});
  row.held = optional_lsn(rows, 0, 1).value_or(Lsn{});
  row.source_system_id = rows.str(0, 2);
  row.counters = rows.str(0, 3);
  row.updated_at = rows.str(0, 4);
  row.updated_seconds_ago = std::strtod(rows.str(0, 5).c_str(), nullptr);
  return row;
}

std::map<TableName, TableCopyState> read_table_states(PgConnection& target, const LinkNames& link) {
  std::map<TableName, TableCopyState> states;
  if (!has_control_table(target, "table_state")) return states;
  const Rows rows = target.exec("read the tables' copy states",
                                "SELECT schema_name, table_name, state, copied_rows, copied_bytes, publication_entry, "
                                "target_schema, target_table, "
                                "problem, watermark, copied_as, bounds, takes, toast, copy_attempt > 0 AND state = "
                                "'pending' "
                                "FROM teal.table_state WHERE migration = $1 AND link = $2",
                                {link.migration, link.link});
  for (int i = 0; i < rows.size(); ++i) {
    TableCopyState& state = states[{rows.str(i, 0), rows.str(i, 1)}];
    state.state = rows.str(i, 2);
    state.rows = rows.integer(i, 3);
    state.bytes = rows.integer(i, 4);
    state.publication_entry = rows.str(i, 5);
    state.target = {rows.str(i, 6), rows.str(i, 7)};
    state.problem = rows.str(i, 8);
    state.watermark = parse_lsn(rows.at(i, 9)).value_or(Lsn{});
    state.copied_as = rows.str(i, 10);
    state.bounds = rows.str(i, 11);
    state.takes = rows.str(i, 12);
    state.toast = rows.str(i, 13);
    state.begun = rows.boolean(i, 14);
  }
  return states;
}

void keep_selected(std::map<TableName, TableCopyState>& states, const std::set<TableName>& selected) {
  std::erase_if(states, [&](const auto& entry) {
    return !selected.contains(entry.first) && !selected.contains(entry.second.target);
  });
}

std::string states_where(const LinkNames& link, StatesOf of, const std::set<TableName>& tables) {
  std::string list;
  for (const TableName& table : tables) {
    list += (list.empty() ? "(" : ", (") + quote_literal(table.schema) + ", " + quote_literal(table.name) + ")";
  }
  return " WHERE migration = " + quote_literal(link.migration) + " AND link = " + quote_literal(link.link) + " AND " +
         (of == StatesOf::kTables ? "(schema_name, table_name)" : "(target_schema, target_table)") + " IN (" + list +
         ")";
}

std::string delete_states(const LinkNames& link, StatesOf of, const std::set<TableName>& tables) {
  return "DELETE FROM teal.table_state" + states_where(link, of, tables) + ";";
}

std::string to_string(const LinkTarget& target) {
  return "system identifier " + target.system_id + ", database " + target.database;
}

std::optional<LinkTarget> read_link_target(PgConnection& source, const LinkNames& link) {
  if (!has_control_table(source, "link_target")) return std::nullopt;
  const Rows rows = source.exec("look which target the link serves",
                                "SELECT target_system_id, target_database FROM teal.link_target WHERE migration = $1 "
                                "AND link = $2",
                                {link.migration, link.link});
  if (rows.empty()) return std::nullopt;
  return LinkTarget{rows.str(0, 0), rows.str(0, 1)};
}

}  // namespace teal
