// A server's, a database's or a role's settings must not change what arrives, nor end teal's sessions.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

// Each alone would corrupt values, hide rows, make statements fail or end sessions.
const std::vector<std::string> kHostile = {
    "datestyle = 'SQL, DMY'",
    "timezone = 'Asia/Tokyo'",
    "intervalstyle = 'sql_standard'",
    "extra_float_digits = 0",
    "bytea_output = 'escape'",
    "xmloption = 'document'",
    "search_path = 'hostile, public'",
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '100ms'",  // less could end a session before its first statement on a busy machine
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "standard_conforming_strings = off",
    "row_security = on",
    "client_encoding = 'LATIN1'",
    "client_min_messages = 'debug1'",
    "enable_indexscan = off",
    "synchronous_commit = off",
    "jit = on",  // this one only makes them slow
};

constexpr const char* kTable = R"(
CREATE TABLE public.value (
  id int PRIMARY KEY,
  day date, stamp timestamp, stamp_tz timestamptz, took interval, real4 real, real8 double precision,
  raw bytea, doc xml, words text, amount money, ranges tstzrange, days date[])
)";

// Day and month of the dates are both at most 12: read the wrong way round, they are still valid.
std::string rows(int first) {
  const std::string id = std::to_string(first);
  const std::string next = std::to_string(first + 1);
  return "INSERT INTO public.value VALUES (" + id +
         ", '2025-05-06', '2025-05-06 07:08:09.123456', '2025-05-06 07:08:09.123456+02', '-1 year 2 mons -3 days "
         "04:05:06.7', 0.1::real + 0.2::real, 0.1::float8 + 0.2::float8, '\\x00ff5c27', '<a>1</a><b/>', "
         "E'back\\\\slash ''quote'' \\u00e9\\u4e2d', 12.34, '[2025-05-06 00:00+00,2025-06-07 00:00+00)', "
         "'{2025-01-02,2025-03-04}'), (" +
         next + ", '0044-03-04 BC', 'infinity', '-infinity', '0', 'NaN', '-0', '', 'text only', '', -1, 'empty', '{}')";
}

class SessionSettings : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_tables_both(kTable);
    create_publication({"public.value"});
    configure("copy: { schema: false }\ntables: { include: [public.*] }\n");
  }

  /// In the role, or in the database for everybody.
  void set_on_both(const std::string& where) {
    for (Sql* sql : {&blue(), &green()}) {
      for (const std::string& setting : kHostile) sql->exec("ALTER " + where + " SET " + setting);
    }
  }

  // A schema that comes first in a hostile search path, with functions and tables of well-known names.
  void make_hostile_schema() {
    for (Sql* sql : {&blue(), &green()}) {
      sql->exec(
          "CREATE SCHEMA hostile; GRANT USAGE ON SCHEMA hostile TO teal; CREATE TABLE hostile.value (id int); "
          "CREATE TABLE hostile.pg_class (oid oid); GRANT SELECT ON ALL TABLES IN SCHEMA hostile TO teal");
    }
  }

  void expect_everything_arrives() {
    blue_owner().exec(rows(1));
    TealProcess& teal = run_streaming();
    blue_owner().exec(rows(3));
    blue_owner().exec(
        "UPDATE public.value SET day = day + 1, real8 = real8 * 3 WHERE id IN (1, 3); "
        "DELETE FROM public.value WHERE id = 2");
    wait_caught_up();
    EXPECT_EQ(green().number("SELECT count(*) FROM public.value"), 3);
    expect_equal("public.value");
    EXPECT_EQ(teal.terminate(), 0) << teal.err();
  }
};

TEST_F(SessionSettings, C12M7OfTheRoleChangeNothing) {
  make_hostile_schema();
  set_on_both("ROLE teal");
  EXPECT_EQ(command({"check"}).exit_code, 0);
  expect_everything_arrives();
  EXPECT_EQ(command({"status"}).exit_code, 0);
  EXPECT_EQ(command({"finish", "--yes"}).exit_code, 1);  // the owner's publication is left
  expect_no_trace(1);
}

TEST_F(SessionSettings, M7OfTheRoleDoNotHinderTheSchemasRestore) {
  green_owner().exec("DROP TABLE public.value");
  run_roles_sql(green_server(), {"make_tables=on"});
  configure("copy: { schema: true }\n");
  set_on_both("ROLE teal");
  expect_everything_arrives();
}

TEST_F(SessionSettings, C12OfOneServerChangeNothing) {
  // Of one only: the other would read the text in its own way.
  blue_server().configure({"datestyle=SQL, DMY", "timezone=Asia/Tokyo", "intervalstyle=sql_standard",
                           "extra_float_digits=0", "bytea_output=escape", "xmloption=document"});
  blue_server().restart();
  blue_owner().exec("SET datestyle = 'ISO, YMD'; SET xmloption = 'content'");
  expect_everything_arrives();
}

}  // namespace
}  // namespace teal::test
