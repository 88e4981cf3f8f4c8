#include "engine/control_schema.h"

#include <string>

#include "engine/pg_error.h"

namespace teal {

std::string_view control_schema_sql() {
  return R"sql(
DO $$
BEGIN
  -- IF NOT EXISTS would ask for CREATE on the database even when the schema is there.
  IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'teal') THEN
    CREATE SCHEMA teal;
  END IF;
END
$$;
CREATE TABLE IF NOT EXISTS teal.schema_version (
  version int PRIMARY KEY,
  installed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS teal.progress (
  migration text NOT NULL,
  link text NOT NULL,
  lane int NOT NULL DEFAULT 0,
  applied pg_lsn NOT NULL,
  held pg_lsn NOT NULL,
  seen pg_lsn NOT NULL DEFAULT '0/0',
  max_commit_time timestamptz,
  held_seen pg_lsn NOT NULL DEFAULT '0/0',
  held_time timestamptz,
  source_system_id text NOT NULL,
  counters jsonb NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration, link, lane)
);
CREATE TABLE IF NOT EXISTS teal.table_state (
  migration text NOT NULL,
  link text NOT NULL,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  target_schema text NOT NULL,
  target_table text NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'copied', 'detached', 'left')),
  copy_attempt bigint NOT NULL DEFAULT 0,
  watermark pg_lsn NOT NULL DEFAULT '0/0',
  copied_rows bigint NOT NULL DEFAULT 0,
  copied_bytes bigint NOT NULL DEFAULT 0,
  publication_entry text NOT NULL DEFAULT '',
  bounds text NOT NULL DEFAULT '',
  takes text NOT NULL DEFAULT '',
  toast text NOT NULL DEFAULT '',
  source_timeline bigint NOT NULL DEFAULT 0,
  copied_as text NOT NULL DEFAULT '' CHECK (copied_as IN ('', 'text', 'binary')),
  problem text NOT NULL DEFAULT '',
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration, link, schema_name, table_name)
);
CREATE TABLE IF NOT EXISTS teal.link_target (
  migration text NOT NULL,
  link text NOT NULL,
  target_system_id text NOT NULL,
  target_database text NOT NULL,
  PRIMARY KEY (migration, link)
);
CREATE TABLE IF NOT EXISTS teal.quarantine (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  migration text NOT NULL,
  link text NOT NULL,
  commit_lsn pg_lsn NOT NULL,
  position bigint NOT NULL,
  lsn pg_lsn NOT NULL,
  xid bigint NOT NULL,
  table_name text NOT NULL,
  operation text NOT NULL,
  key text NOT NULL,
  sqlstate text NOT NULL,
  message text NOT NULL,
  state text NOT NULL CHECK (state IN ('stopped', 'retry', 'skip', 'skipped', 'resolved')),
  times bigint NOT NULL DEFAULT 1,
  first_at timestamptz NOT NULL DEFAULT now(),
  at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (migration, link, commit_lsn, position)
);
CREATE TABLE IF NOT EXISTS teal.conflict_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  migration text NOT NULL,
  link text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  type text NOT NULL,
  table_name text NOT NULL,
  key text NOT NULL,
  resolution text NOT NULL CHECK (resolution IN ('applied', 'kept')),
  source_lsn pg_lsn NOT NULL,
  source_time timestamptz NOT NULL,
  target_lsn pg_lsn NOT NULL,
  target_time timestamptz NOT NULL,
  incoming_row jsonb,
  standing_row jsonb
);
CREATE INDEX IF NOT EXISTS conflict_log_at ON teal.conflict_log (migration, at);
CREATE TABLE IF NOT EXISTS teal.conflict_stats (
  migration text NOT NULL,
  link text NOT NULL,
  table_name text NOT NULL,
  type text NOT NULL,
  resolution text NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (migration, link, table_name, type, resolution)
);
CREATE TABLE IF NOT EXISTS teal.fetched_key (
  migration text NOT NULL,
  link text NOT NULL,
  key_hash text NOT NULL,
  left_out boolean NOT NULL,
  as_of pg_lsn NOT NULL,
  table_name text NOT NULL,
  PRIMARY KEY (migration, link, key_hash)
);
CREATE TABLE IF NOT EXISTS teal.sequence_state (
  migration text NOT NULL,
  schema_name text NOT NULL,
  sequence_name text NOT NULL,
  columns text NOT NULL,
  other_schema text NOT NULL,
  other_name text NOT NULL,
  old_increment bigint NOT NULL,
  old_start bigint NOT NULL,
  old_last_value bigint NOT NULL,
  old_is_called boolean NOT NULL,
  increment bigint NOT NULL,
  start bigint NOT NULL,
  first bigint NOT NULL,
  interleaved_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration, schema_name, sequence_name)
);
CREATE TABLE IF NOT EXISTS teal.verify_state (
  migration text NOT NULL,
  schema_name text NOT NULL,
  table_name text NOT NULL,
  result text NOT NULL CHECK (result IN ('equal', 'differs', 'unchecked')),
  rows bigint NOT NULL,
  differences bigint NOT NULL,
  in_flux bigint NOT NULL,
  reasons text NOT NULL,
  whole boolean NOT NULL,
  made_by text NOT NULL CHECK (made_by IN ('verify', 'run')),
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration, schema_name, table_name)
);
CREATE TABLE IF NOT EXISTS teal.verify_progress (
  migration text PRIMARY KEY,
  progress jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS teal.cutover_journal (
  migration text NOT NULL,
  number bigint NOT NULL,
  to_side text NOT NULL CHECK (to_side IN ('blue', 'green')),
  state text NOT NULL CHECK (state IN ('preparing', 'pausing', 'moved', 'done', 'undone')),
  details jsonb NOT NULL DEFAULT '{}',
  started_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration, number)
);
CREATE TABLE IF NOT EXISTS teal.marker (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  migration text NOT NULL,
  link text NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS teal.marker_applied (
  migration text NOT NULL,
  link text NOT NULL,
  id bigint NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration, link, id)
);
)sql";
}

void install_control_schema(PgConnection& connection) {
  // Two of teal's processes may come here at once: the second waits and then finds everything there.
  connection.exec("begin", "BEGIN");
  connection.exec("lock out other installations", "SELECT pg_advisory_xact_lock(hashtextextended('teal.schema', 0))");
  connection.exec("create schema teal", std::string(control_schema_sql()));
  const Rows newest =
      connection.exec("read the version of schema teal", "SELECT max(version) FROM teal.schema_version");
  if (!newest.is_null(0, 0) && newest.integer(0, 0) > kControlSchemaVersion) {
    throw Stopped(StopCode::kRefused, "schema teal on " + connection.label() + " has version " + newest.str(0, 0) +
                                          ", this teal knows " + std::to_string(kControlSchemaVersion) +
                                          ": use the newer teal");
  }
  connection.exec("note the version of schema teal", "INSERT INTO teal.schema_version (version) VALUES (" +
                                                         std::to_string(kControlSchemaVersion) +
                                                         ") ON CONFLICT DO NOTHING");
  connection.exec("commit schema teal", "COMMIT");
}

}  // namespace teal
