#include "tests/support/random_workload.h"

#include <initializer_list>
#include <vector>

namespace teal::test {
namespace {

constexpr const char* kTables = R"(
CREATE TABLE item (id bigint PRIMARY KEY, n int, t text, ext text, main text, b bytea);
ALTER TABLE item ALTER ext SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
CREATE TABLE indexed (v text, a bigint NOT NULL, big text, b text NOT NULL, c boolean);
ALTER TABLE indexed ALTER big SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX indexed_b_a ON indexed (b, a);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_b_a;
CREATE TABLE bag (x int, y text, big text, f float8);
ALTER TABLE bag ALTER big SET STORAGE EXTERNAL;
ALTER TABLE bag REPLICA IDENTITY FULL;
CREATE TABLE toasted_key (k text PRIMARY KEY, v int, other text);
ALTER TABLE toasted_key ALTER k SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
CREATE SCHEMA "Odd ""s"".x";
CREATE TABLE "Odd ""s"".x"."select, it's" ("Key: [a]" bigint, "new-tuple:" text, "order" text,
  PRIMARY KEY ("Key: [a]", "new-tuple:"));
ALTER TABLE "Odd ""s"".x"."select, it's" REPLICA IDENTITY FULL)";
constexpr std::size_t kIds = 8;  // per session: few, so that most statements find a row
constexpr const char* kOdd = R"("Odd ""s"".x"."select, it's")";

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += part;
  return out;
}

}  // namespace

RandomWorkload::RandomWorkload(const PgServer& server, std::string_view database, std::uint64_t seed,
                               RandomWorkloadOptions options)
    : options_(options), random_(seed) {
  for (auto& session : sessions_) session = std::make_unique<Session>(Session{server.connect("postgres", database)});
  sessions_[0]->sql.exec(kTables);
}

void RandomWorkload::run(std::size_t statements) {
  for (std::size_t i = 0; i < statements; ++i) step(below(kSessions));
  for (auto& session : sessions_) {
    if (session->open) finish(*session, true);
  }
}

void RandomWorkload::step(std::size_t number) {
  Session& session = *sessions_[number];
  if (!session.open && chance(45)) {
    session.sql.exec("BEGIN");
    session.open = true;
  } else if (session.open && chance(options_.finish_percent)) {
    finish(session, chance(85));
  } else if (session.open && chance(12)) {
    session.sql.exec("SAVEPOINT s" + std::to_string(++session.savepoints));
  } else if (session.savepoints > 0 && chance(20)) {
    session.savepoints = 1 + below(session.savepoints);
    session.sql.exec("ROLLBACK TO s" + std::to_string(session.savepoints));
  } else if (chance(options_.alone_percent)) {
    alone(number);
  } else if (chance(5)) {
    copy_in(session, number);
  } else {
    try_statement(session, change(number));
  }
}

void RandomWorkload::finish(Session& session, bool commit) {
  session.sql.exec(commit ? "COMMIT" : "ROLLBACK");
  session.open = false;
  session.savepoints = 0;
}

// A statement may break a key: then its transaction goes on from a savepoint of its own.
void RandomWorkload::try_statement(Session& session, const std::string& statement) {
  if (session.open) session.sql.exec("SAVEPOINT guard");
  const bool failed = !session.sql.sqlstate_of(statement).empty();
  if (session.open) session.sql.exec(failed ? "ROLLBACK TO guard" : "RELEASE guard");
}

// A lock on whole tables: the other transactions end before it, and this one before any other goes on.
void RandomWorkload::alone(std::size_t number) {
  for (std::size_t other = 0; other < kSessions; ++other) {
    if (other != number && sessions_.at(other)->open) finish(*sessions_.at(other), chance(85));
  }
  Session& session = *sessions_.at(number);
  if (!session.open) session.sql.exec("BEGIN");
  session.open = true;
  try_statement(session, change(number));
  try_statement(session, locking_statement());
  for (int i = 0; i < 3; ++i) try_statement(session, change(number));
  finish(session, chance(80));
}

// Some fail, because what they alter was rolled back or dropped. A new name is never used twice.
std::string RandomWorkload::locking_statement() {
  const std::string added = "added" + std::to_string(columns_added_);
  switch (below(8)) {
    case 0:
      return "TRUNCATE item, bag";
    case 1:
      return joined({"TRUNCATE ", kOdd, " RESTART IDENTITY CASCADE"});
    case 2:
      return "TRUNCATE indexed CASCADE";
    case 3:
      return joined({"ALTER TABLE item DROP COLUMN ", added});
    case 4:
      return joined({"ALTER TABLE item RENAME COLUMN ", added, " TO added", std::to_string(++columns_added_)});
    case 5:
      return joined({"ALTER TABLE item ALTER COLUMN ", added, " TYPE numeric USING 0.5"});
    case 6:
      return joined({"ALTER TABLE indexed REPLICA IDENTITY ", chance(50) ? "FULL" : "USING INDEX indexed_b_a"});
    default:
      return joined({"ALTER TABLE item ADD COLUMN added", std::to_string(++columns_added_),
                     chance(50) ? " int DEFAULT 7" : " text"});
  }
}

// Rows of one COPY share an LSN.
void RandomWorkload::copy_in(Session& session, std::size_t number) {
  std::vector<std::string> lines(1 + below(20));
  for (std::string& line : lines) {
    line = id(number) + "\t" + (chance(20) ? "\\N" : "copied, it's") + "\t" + std::string(chance(20) ? 3000 : 1, 'c') +
           "\t0.1\n";
  }
  session.sql.copy_in("COPY bag FROM STDIN", lines);
}

std::string RandomWorkload::change(std::size_t number) {
  switch (below(6)) {
    case 0:
      return change_of_indexed(number);
    case 1:
      return change_of_bag(number);
    case 2:
      return change_of_toasted_key(number);
    case 3:
      return change_of_odd(number);
    default:
      return change_of_item(number);
  }
}

std::string RandomWorkload::change_of_item(std::size_t number) {
  switch (below(8)) {
    case 0:
    case 1:
      return joined({"INSERT INTO item (id, n, t, ext, main, b) VALUES (", id(number), ", ", id(number), ", ", text(),
                     ", ", big(), ", ", big(), ", convert_to(", big(), ", 'UTF8'))"});
    case 2:
      return joined(
          {"INSERT INTO item (id, t) SELECT ", id(number), " + 300 * i, 'many' FROM generate_series(1, 5) i"});
    case 3:
      return joined({"UPDATE item SET ext = ", big(), " WHERE id = ", id(number)});
    case 4:
      return joined({"UPDATE item SET id = id + 300, main = ", big(), " WHERE id = ", id(number)});
    case 5:
      return joined({"DELETE FROM item WHERE id = ", id(number)});
    case 6:
      return joined({"INSERT INTO item (id, n) VALUES (", id(number),
                     ", 1) ON CONFLICT (id) DO UPDATE SET t = ", text(), ", b = NULL"});
    default:
      return joined({"UPDATE item SET n = n + 1, t = ", text(), " WHERE id % 3 = ", std::to_string(number),
                     " AND id % 7 = ", std::to_string(below(7))});
  }
}

std::string RandomWorkload::change_of_indexed(std::size_t number) {
  switch (below(4)) {
    case 0:
      return joined({"INSERT INTO indexed VALUES (", text(), ", ", id(number), ", ", big(), ", ", text(), ", ",
                     chance(50) ? "true" : "NULL", ")"});
    case 1:
      return joined({"UPDATE indexed SET v = ", text(), ", c = NOT c WHERE a = ", id(number)});
    case 2:
      return joined({"UPDATE indexed SET b = b || 'x' WHERE a = ", id(number)});
    default:
      return joined({"DELETE FROM indexed WHERE a = ", id(number)});
  }
}

std::string RandomWorkload::change_of_bag(std::size_t number) {
  switch (below(4)) {
    case 0:
      return joined(
          {"INSERT INTO bag SELECT ", id(number), ", ", text(), ", ", big(), ", 'NaN' FROM generate_series(1, 3)"});
    case 1:
      return joined(
          {"UPDATE bag SET f = f + 0.1 WHERE ctid IN (SELECT ctid FROM bag WHERE x = ", id(number), " LIMIT 1)"});
    case 2:
      return joined({"UPDATE bag SET y = ", text(), ", x = x + 3 WHERE x = ", id(number)});
    default:
      return joined({"DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE x = ", id(number), " LIMIT 2)"});
  }
}

std::string RandomWorkload::change_of_toasted_key(std::size_t number) {
  const std::string key = joined({"repeat('k', 2300) || ", id(number)});
  switch (below(4)) {
    case 0:
      return joined({"INSERT INTO toasted_key VALUES (", key, ", 0, ", big(), ")"});
    case 1:
      return joined({"UPDATE toasted_key SET v = v + 1 WHERE k = ", key});
    case 2:
      return joined({"UPDATE toasted_key SET k = 'short' || k WHERE k = ", key});
    default:
      return joined({"DELETE FROM toasted_key WHERE k = ", key});
  }
}

std::string RandomWorkload::change_of_odd(std::size_t number) {
  switch (below(3)) {
    case 0:
      return joined({"INSERT INTO ", kOdd, " VALUES (", id(number), ", ", text(), " || '', ", text(), ")"});
    case 1:
      return joined({"UPDATE ", kOdd, " SET \"order\" = ", text(), " WHERE \"Key: [a]\" = ", id(number)});
    default:
      return joined({"DELETE FROM ", kOdd, " WHERE \"Key: [a]\" = ", id(number)});
  }
}

std::string RandomWorkload::id(std::size_t number) { return std::to_string(3 * below(kIds) + number); }

std::string RandomWorkload::text() {
  switch (below(6)) {
    case 0:
      return "NULL";
    case 1:
      return "''";
    case 2:
      return "'it''s \"x\" \\ [a]: null new-tuple: '";
    case 3:
      return "E'two\\nlines\\t\\u00e9'";
    default:
      return "'t" + std::to_string(below(1000)) + "'";
  }
}

// Large enough to be stored out of line, or not, and compressible, or not.
std::string RandomWorkload::big() {
  const std::string size = std::to_string(below(4) * 1500);
  if (chance(50)) return "repeat('" + std::to_string(below(10)) + "', " + size + ")";
  return "(SELECT string_agg(md5(i::text || '" + std::to_string(below(1000)) + "'), '') FROM generate_series(1, " +
         size + " / 32) i)";
}

}  // namespace teal::test
