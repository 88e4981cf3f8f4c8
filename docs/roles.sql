-- The rights of teal's role: run this as a superuser (or your provider's administrator) in the application's
-- database, on blue AND on green:
--
--   psql -d shop -v owner_role=shop_owner -f roles.sql
--   psql -d shop -c '\password teal'
--
-- Variables, each with -v NAME=VALUE:
--   owner_role  who owns the application's tables (required): tables it creates later are covered too; for
--               several owners run the script once for each
--   teal_role   teal's role, made when it is not there               (teal)
--   schemas     the application's schemas, with commas, no blanks    (public)
--   side        source, target, or both                              (both)
--   make_tables whether teal may create tables in those schemas, to restore blue's schema on green   (off)
--
-- Leave `side` at `both` unless changes shall only ever travel one way: after a cutover green is the source, and a
-- rollback is only as good as its rights. The script may be run again at any time, for instance after adding a schema.
--
-- teal's role is no superuser, owns none of your tables, and can't read passwords. What it can't be given:
--   * Publishing a table is its owner's right. `teal init` makes the publication where it may; else
--     `teal check` prints the statement for the owner.
--   * A target of version 14 has no grant for session_replication_role, and one of 13 none for replication origins
--     either: there teal needs a superuser, or what your provider has instead.
--   * Rows behind row security: teal stops with an error rather than miss them. To carry such tables:
--     ALTER ROLE teal BYPASSRLS;
--
-- REPLICATION also allows base backups, if pg_hba.conf has a line for the database "replication" that matches teal:
-- let it match the application's database only. With some providers the attribute is a role:
-- GRANT rds_replication TO teal (Amazon).

\set ON_ERROR_STOP on
\if :{?teal_role}
\else
  \set teal_role teal
\endif
\if :{?schemas}
\else
  \set schemas public
\endif
\if :{?side}
\else
  \set side both
\endif
\if :{?make_tables}
\else
  \set make_tables off
\endif
\if :{?owner_role}
\else
  \warn 'owner_role is missing: psql -v owner_role=NAME -f roles.sql'
  DO $$ BEGIN RAISE 'owner_role is missing: psql -v owner_role=NAME -f roles.sql'; END $$;
\endif

SELECT :'side' IN ('source', 'both') AS is_source,
       :'side' IN ('target', 'both') AS is_target,
       :'side' NOT IN ('source', 'target', 'both') AS is_unknown,
       current_setting('server_version_num')::int AS version,
       current_setting('server_version_num')::int >= 140000 AS has_origin_grants,
       current_setting('server_version_num')::int >= 150000 AS has_parameter_grants,
       current_setting('server_version_num')::int >= 190000 AS has_origin_pid \gset
\if :is_unknown
  \warn 'side is source, target or both'
  SELECT 1 / 0 AS side_is_unknown;
\endif

BEGIN;

-- ------------------------------------------------------------------------------------------------ both sides

SELECT format('CREATE ROLE %I', :'teal_role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'teal_role') \gexec

ALTER ROLE :"teal_role" LOGIN;

-- CREATE: for the schema "teal" with its progress, and for the publication of it.
SELECT format('GRANT CONNECT, CREATE ON DATABASE %I TO %I', current_database(), :'teal_role') \gexec

-- Lag, slots, and who holds a lock.
GRANT pg_monitor TO :"teal_role";

-- Cutover: connections with the side that was left are ended. (Superusers' can't be.)
GRANT pg_signal_backend TO :"teal_role";

SELECT format('GRANT USAGE ON SCHEMA %I TO %I', name, :'teal_role')
FROM unnest(string_to_array(:'schemas', ',')) AS name \gexec

-- SELECT: the initial copy and the verification on the source; on the target UPDATE and DELETE need it as well.
SELECT format('GRANT SELECT ON ALL %s IN SCHEMA %I TO %I', kind, name, :'teal_role')
FROM unnest(string_to_array(:'schemas', ',')) AS name, unnest('{TABLES,SEQUENCES}'::text[]) AS kind \gexec

SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON %s TO %I',
              :'owner_role', name, kind, :'teal_role')
FROM unnest(string_to_array(:'schemas', ',')) AS name, unnest('{TABLES,SEQUENCES}'::text[]) AS kind \gexec

-- TRIGGER: the fence that keeps everybody from writing on the side that is left at a cutover.
SELECT format('GRANT TRIGGER ON ALL TABLES IN SCHEMA %I TO %I', name, :'teal_role')
FROM unnest(string_to_array(:'schemas', ',')) AS name \gexec

SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT TRIGGER ON TABLES TO %I',
              :'owner_role', name, :'teal_role')
FROM unnest(string_to_array(:'schemas', ',')) AS name \gexec

-- ------------------------------------------------------------------------------------------------ source

\if :is_source
  -- Replication slots, and reading from them. (To set this takes a superuser before version 16.)
  ALTER ROLE :"teal_role" REPLICATION;
\endif

-- ------------------------------------------------------------------------------------------------ target

\if :is_target
  -- UPDATE on sequences is what setval needs.
  SELECT format('GRANT %s IN SCHEMA %I TO %I', rights, name, :'teal_role')
  FROM unnest(string_to_array(:'schemas', ',')) AS name,
       unnest('{"INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES","UPDATE ON ALL SEQUENCES"}'::text[]) AS rights \gexec

  SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s TO %I',
                :'owner_role', name, rights, :'teal_role')
  FROM unnest(string_to_array(:'schemas', ',')) AS name,
       unnest('{"INSERT, UPDATE, DELETE, TRUNCATE ON TABLES","UPDATE ON SEQUENCES"}'::text[]) AS rights \gexec

  \if :make_tables
    SELECT format('GRANT CREATE ON SCHEMA %I TO %I', name, :'teal_role')
    FROM unnest(string_to_array(:'schemas', ',')) AS name \gexec
  \endif

  -- teal marks what it writes with replication origins, so that nothing is sent back. The grants hold for this
  -- database; they are on functions of the system, so a dump does not carry them to another server.
  \if :has_origin_grants
    GRANT EXECUTE ON FUNCTION
      pg_replication_origin_create(text),
      pg_replication_origin_drop(text),
      pg_replication_origin_oid(text),
      pg_replication_origin_session_reset(),
      pg_replication_origin_session_is_setup(),
      pg_replication_origin_session_progress(boolean),
      pg_replication_origin_xact_setup(pg_lsn, timestamptz),
      pg_replication_origin_xact_reset(),
      pg_replication_origin_progress(text, boolean),
      pg_replication_origin_advance(text, pg_lsn),
      pg_show_replication_origin_status()
    TO :"teal_role";
    GRANT SELECT ON pg_replication_origin_status TO :"teal_role";
    \if :has_origin_pid
      GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text, integer) TO :"teal_role";
    \else
      GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text) TO :"teal_role";
    \endif
  \else
    \warn 'version 13 can not grant replication origins: as a target it needs a superuser for teal'
  \endif

  -- Replayed rows must not fire the application's triggers again.
  \if :has_parameter_grants
    GRANT SET ON PARAMETER session_replication_role TO :"teal_role";
  \else
    \warn 'versions before 15 can not grant session_replication_role: as a target they need a superuser for teal'
  \endif
\endif

COMMIT;
