// Databases in other encodings: characters arrive as they are, or nothing begins (TRAPS C11).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/scenario/check_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;

class Encodings : public CheckFixture {
 protected:
  /// Database shop on each side, in an encoding of its own. The tests' sessions speak UTF-8.
  void make_databases(const std::string& on_blue, const std::string& on_green) {
    make_database(blue_server(), on_blue);
    make_database(green_server(), on_green);
    for (Sql* sql : {&blue(), &green(), &blue_owner(), &green_owner()}) sql->exec("SET client_encoding = 'UTF8'");
    configure("copy: { schema: false }\n");
  }

  void make_table() {
    create_tables_both("CREATE TABLE public.\"Größe\" (\"schlüssel\" text PRIMARY KEY, wert text, feld text[])");
    create_publication({"public.\"Größe\""});
  }

  void expect_characters_arrive() {
    make_table();
    // Every character that is no control character in LATIN1.
    const std::string rows =
        "INSERT INTO public.\"Größe\" SELECT %1 || chr(i), 'é' || chr(i), ARRAY[chr(i), '\"' || chr(i), NULL] "
        "FROM generate_series(160, 255) i";
    const auto insert = [&](const std::string& prefix) {
      std::string sql = rows;
      blue_owner().exec(sql.replace(sql.find("%1"), 2, "'" + prefix + "'"));
    };
    insert("kopie");
    TealProcess& teal = run_streaming();
    insert("ström");
    blue_owner().exec(
        "UPDATE public.\"Größe\" SET wert = 'ß', feld = ARRAY['ñ'] WHERE \"schlüssel\" LIKE '%ü'; "
        "DELETE FROM public.\"Größe\" WHERE \"schlüssel\" LIKE '%ä'; "
        "UPDATE public.\"Größe\" SET \"schlüssel\" = 'ÿ' WHERE \"schlüssel\" = 'kopieö'");
    wait_caught_up();
    EXPECT_EQ(green().number("SELECT count(*) FROM public.\"Größe\""), 2 * 96 - 2);
    expect_equal("public.\"Größe\"");
    EXPECT_EQ(command({"--json", "status"}).exit_code, 0);
    EXPECT_EQ(teal.terminate(), 0) << teal.err();
  }

  void expect_refused(const std::string& side, const std::string& says, const std::string& mends) {
    const nlohmann::json found = findings();
    ASSERT_EQ(found.size(), 1U) << found.dump(2);
    EXPECT_EQ(found[0].at("side"), side);
    EXPECT_THAT(what(found[0]), HasSubstr(says));
    EXPECT_THAT(mend(found[0]), HasSubstr(mends));
    expect_run_refuses(found);
  }

 private:
  static void make_database(PgServer& server, const std::string& encoding) {
    Sql sql = server.connect();
    sql.exec("DROP DATABASE shop");
    sql.exec("CREATE DATABASE shop OWNER shop_owner ENCODING " + sql_text(encoding) +
             " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    run_roles_sql(server);
  }
};

TEST_F(Encodings, C11Latin1OnBlueArrivesInUtf8) {
  make_databases("LATIN1", "UTF8");
  expect_characters_arrive();
}

TEST_F(Encodings, C11Latin1OnBothSidesArrives) {
  make_databases("LATIN1", "LATIN1");
  expect_characters_arrive();
}

TEST_F(Encodings, C11SchemaOfLatin1IsMadeInUtf8) {
  make_databases("LATIN1", "UTF8");
  make_table();
  green_owner().exec("DROP TABLE public.\"Größe\"");
  run_roles_sql(green_server(), {"make_tables=on"});
  configure("");
  blue_owner().exec("INSERT INTO public.\"Größe\" VALUES ('ä', 'ö', '{ü}')");
  const TealResult result = run_until_synced();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_equal("public.\"Größe\"");
}

TEST_F(Encodings, C11NamesThatUtf8WouldCutAreRefused) {
  make_databases("LATIN1", "UTF8");
  create_tables_both("CREATE TABLE public.t (id int PRIMARY KEY, v name)");
  create_publication({"public.t"});
  expect_refused("green", "public.t.v is name: what is longer than 63 bytes in UTF8 would be cut without an error",
                 "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"v\" TYPE text;");
}

TEST_F(Encodings, C11GreenWhoseEncodingLacksCharactersOfBluesIsRefused) {
  make_databases("UTF8", "LATIN1");
  make_table();
  expect_refused("green", "the database's encoding is LATIN1, which cannot hold every character of blue's UTF8",
                 "CREATE DATABASE \"shop\" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;");
}

TEST_F(Encodings, C11BytesWithoutAnEncodingAreRefusedOnBlue) {
  make_databases("SQL_ASCII", "UTF8");
  make_table();
  expect_refused("blue", "encoding is SQL_ASCII", "pg_dump");
}

TEST_F(Encodings, C11BytesWithoutAnEncodingAreRefusedOnGreen) {
  make_databases("UTF8", "SQL_ASCII");
  make_table();
  expect_refused("green", "encoding is SQL_ASCII, blue's is UTF8", "ENCODING 'UTF8'");
}

}  // namespace
}  // namespace teal::test
