// Captures what a real server sends, as seeds for the fuzz targets: fuzz_capture MAJOR FILE; called by capture.py.
// FILE: for each message the server sent, its size in four bytes, most significant first, and its bytes from the
// envelope's tag on; a size of 0 ends a session. The sessions read the same WAL, each with other options.
#include <poll.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "decoder/copy_data.h"
#include "engine/pg_handle.h"
#include "tests/support/pg_server.h"
#include "tests/support/wal_oracle.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

constexpr int kDeadlineMs = 30'000;

// Tables of each replica identity; types of the server, of a domain and of an enumeration; a table that is not
// published, so that a few published rows are part of a transaction that is large enough to be streamed.
constexpr const char* kTables = R"(
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (n int, t text);
CREATE TABLE kinds (id bigint PRIMARY KEY, b boolean, i2 smallint, f4 real, f8 float8, n numeric(20, 5), t text,
  v varchar(10), c char(5), d date, ts timestamptz, iv interval, u uuid, j json, jb jsonb, ba bytea, a int[], ta text[],
  m mood, p positive, r pair, ip inet, rg int4range, x xml, tv tsvector, bt bit(3), mo money, rc regclass);
CREATE TABLE toasted (id text PRIMARY KEY, ext text, n int);
ALTER TABLE toasted ALTER id SET STORAGE EXTERNAL, ALTER ext SET STORAGE EXTERNAL, SET (toast_tuple_target = 128);
CREATE TABLE full_rows (line text, n int);
ALTER TABLE full_rows REPLICA IDENTITY FULL;
CREATE TABLE indexed (a int NOT NULL, b text NOT NULL, c int);
CREATE UNIQUE INDEX indexed_a_b ON indexed (a, b);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_a_b;
CREATE TABLE "Odd ""s"" é" ("Key: [a]" int PRIMARY KEY);
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (200);
CREATE TABLE unseen (v text);
CREATE PUBLICATION seeds FOR TABLE kinds, toasted, full_rows, indexed, "Odd ""s"" é", parts)";

constexpr const char* kLarge = "INSERT INTO unseen SELECT repeat('x', 1000) FROM generate_series(1, 100);";

constexpr const char* kEveryKind = R"(INSERT INTO kinds VALUES (1, true, -32768, 'NaN', 0.1, 12345.67890, E'a\né', 'v',
  'c', '4713-01-01 BC', 'infinity', '1 mon -1 day', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"a": 1}', '[null]',
  '\x00ff', '{1,NULL}', '{"a,b",""}', 'ok', 7, '(1,"x y")', '::1/64', '[1,5)', '<a/>', 'a:1', B'101', '1.50',
  'kinds'))";

// The long one: in the first session only.
constexpr const char* kLongRow =
    "INSERT INTO toasted VALUES (repeat('k', 150), repeat('e', 2100), 1); UPDATE toasted SET n = 2; DELETE FROM "
    "toasted";

constexpr const char* kOwn =
    "BEGIN; SELECT pg_replication_origin_xact_setup('16/B374D848', '2025-01-02 03:04:05+00'); "
    "INSERT INTO indexed VALUES (5, 'own', 6); COMMIT";

/// Each is one call: a transaction, or several statements around one.
std::vector<std::string> workload() {
  const std::string large = kLarge;
  return {
      kEveryKind,
      "INSERT INTO kinds (id) VALUES (2); UPDATE kinds SET id = 3 WHERE id = 2; DELETE FROM kinds WHERE id = 3",
      "INSERT INTO full_rows VALUES ('a', NULL), ('', 2); UPDATE full_rows SET n = 3; DELETE FROM full_rows",
      "INSERT INTO indexed VALUES (1, 'b', 2); UPDATE indexed SET c = 3; UPDATE indexed SET b = 'd'",
      "DELETE FROM indexed",
      "INSERT INTO \"Odd \"\"s\"\" é\" VALUES (1)",
      "INSERT INTO parts VALUES (1, 'low'); UPDATE parts SET id = 101",
      "BEGIN; ALTER TABLE full_rows ADD z int; INSERT INTO full_rows VALUES ('after', 1, 2); COMMIT",
      "TRUNCATE kinds, full_rows RESTART IDENTITY CASCADE",
      "TRUNCATE indexed",
      "SELECT pg_logical_emit_message(true, 'prefix', 'inside'), pg_logical_emit_message(false, '', 'outside')",
      "SELECT pg_replication_origin_create('teal_demo_green_to_blue')",
      "SELECT pg_replication_origin_session_setup('teal_demo_green_to_blue')",
      kOwn,
      "BEGIN;" + large + "INSERT INTO indexed VALUES (6, 'own', 6); COMMIT",
      "SELECT pg_replication_origin_session_reset()",
      "BEGIN; INSERT INTO indexed VALUES (10, 'kept', 1);" + large +
          "SAVEPOINT a; INSERT INTO indexed VALUES (11, 'undone', 1);" + large +
          "ROLLBACK TO a; INSERT INTO full_rows VALUES ('kept', 1, 1); TRUNCATE indexed; SELECT "
          "pg_logical_emit_message(true, 'p', 'c'); COMMIT",
      "BEGIN; INSERT INTO indexed VALUES (12, 'undone', 1);" + large + "ROLLBACK",
      "BEGIN; INSERT INTO indexed VALUES (20, 'small', 1); PREPARE TRANSACTION 'small'",
      "BEGIN; INSERT INTO indexed VALUES (21, 'large', 1);" + large + "PREPARE TRANSACTION 'it''s large'",
      "BEGIN; INSERT INTO indexed VALUES (22, 'undone', 1); PREPARE TRANSACTION 'undone'",
      "COMMIT PREPARED 'small'",
      "COMMIT PREPARED 'it''s large'",
      "ROLLBACK PREPARED 'undone'",
  };
}

struct Session {
  std::string slot;
  std::string options;
};

/// What teal asks for, or may ask for, as far as the server knows it.
std::vector<Session> sessions(int major) {
  std::vector<Session> all{{"plain", "proto_version '1'"}};
  if (major >= 14) {
    all.push_back({"binary_rows", "proto_version '1', binary 'true', messages 'true'"});
    all.push_back({"streamed", "proto_version '2', streaming 'on', messages 'true'"});
  }
  if (major >= 15) all.push_back({"prepared", "proto_version '3', streaming 'on', two_phase 'on'"});
  if (major >= 16) all.push_back({"parallel", "proto_version '4', streaming 'parallel', origin 'any'"});
  return all;
}

void check(bool good, const std::string& what, PGconn* connection) {
  if (!good) throw std::runtime_error(what + ": " + PQerrorMessage(connection));
}

Frame next_message(PGconn* connection) {
  for (;;) {
    char* buffer = nullptr;
    const int size = PQgetCopyData(connection, &buffer, 1);
    check(size >= 0, "the stream ended", connection);
    if (size > 0) return frame_from_copy_buffer(buffer, static_cast<std::size_t>(size));
    pollfd readable{PQsocket(connection), POLLIN, 0};
    check(poll(&readable, 1, kDeadlineMs) == 1, "the stream stands still", connection);
    check(PQconsumeInput(connection) == 1, "the connection is lost", connection);
  }
}

void write(std::ofstream& file, std::span<const std::byte> message) {
  for (int shift = 24; shift >= 0; shift -= 8)
    file.put(static_cast<char>(message.size() >> static_cast<unsigned>(shift)));
  file.write(reinterpret_cast<const char*>(message.data()), static_cast<std::streamsize>(message.size()));
}

/// Writes all that the server sends, up to the keepalive that says that it has nothing before `end` any more.
void capture(const PgServer& server, const Session& session, Lsn end, std::ofstream& file) {
  const ConnHandle connection(PQconnectdb((server.conninfo("postgres", "postgres") + " replication=database").c_str()));
  check(PQstatus(connection.get()) == CONNECTION_OK, "no connection", connection.get());
  const std::string command =
      "START_REPLICATION SLOT " + session.slot + " LOGICAL 0/0 (" + session.options + ", publication_names 'seeds')";
  const ResultHandle started(PQexec(connection.get(), command.c_str()));
  check(PQresultStatus(started.get()) == PGRES_COPY_BOTH, command, connection.get());
  for (;;) {
    const Frame frame = next_message(connection.get());
    write(file, frame.bytes());
    const auto data = parse_copy_data(frame.bytes());
    if (data.has_error()) throw std::runtime_error(to_string(data.error()));
    const auto* const keepalive = std::get_if<PrimaryKeepalive>(&*data);
    if (keepalive != nullptr && keepalive->wal_end >= end) break;
  }
  write(file, {});
}

void capture_all(int major, const std::string& path) {
  const PgServer server(
      {.settings = {"logical_decoding_work_mem=64kB", "max_prepared_transactions=4", "timezone=UTC"}, .major = major});
  Sql sql = server.connect();
  sql.exec(kTables);
  for (const Session& session : sessions(major)) {
    const std::string two_phase = session.slot == "prepared" ? ", false, true" : "";
    sql.exec("SELECT pg_create_logical_replication_slot('" + session.slot + "', 'pgoutput'" + two_phase + ")");
    if (session.slot == sessions(major).front().slot) sql.exec(kLongRow);
  }
  for (const std::string& statements : workload()) sql.exec(statements);
  const std::optional<Lsn> end = parse_lsn(sql.value("SELECT pg_current_wal_flush_lsn()"));
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  for (const Session& session : sessions(major)) capture(server, session, end.value(), file);
  if (!file.flush()) throw std::runtime_error("can't write " + path);
}

}  // namespace
}  // namespace teal::test

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: fuzz_capture MAJOR FILE\n");
    return 2;
  }
  try {
    teal::test::capture_all(std::stoi(argv[1]), argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz_capture: %s\n", error.what());
    return 1;
  }
  return 0;
}
