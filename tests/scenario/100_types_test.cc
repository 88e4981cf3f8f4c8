// Every type: what `SELECT` shows on blue is what it shows on green, by the copy and by the stream
// (TRAPS D1, D3 to D5, D7 to D9, D11).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

/// SQL expressions for values of one type.
struct TypeCase {
  std::string type;
  std::vector<std::string> values;
  int since = 13;        ///< the first major version that has the type or the values, on either side
  bool in_array = true;  ///< also as elements of an array
  int changed_in = 0;    ///< `teal check` refuses it from this version on to an older one
};

std::vector<TypeCase> numbers() {
  return {
      {"boolean", {"true", "false"}},
      {"smallint", {"'-32768'", "32767", "0"}},
      {"integer", {"'-2147483648'", "2147483647"}},
      {"bigint", {"'-9223372036854775808'", "9223372036854775807"}},
      {"real", {"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e-45", "3.4028235e38", "0.1", "16777217"}},
      {"double precision",
       {"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1", "0.1 + 0.2"}},
      {"numeric",
       {"'NaN'", "0.00", "'-0.0'", "12345678901234567890.12345678901234567890", "1e-16383",
        "repeat('9', 131072)::numeric", "(repeat('9', 100) || '.' || repeat('7', 16383))::numeric"}},
      {"numeric", {"'Infinity'", "'-Infinity'"}, 14},
      {"numeric(10,3)", {"1", "'-9999999.999'"}},
      {"numeric(3,-2)", {"12345"}, 15},
      {"money", {"'-92233720368547758.08'", "'92233720368547758.07'", "0"}},
      {"oid", {"4294967295", "0"}},
      {"xid", {"'4294967295'"}},
      {"cid", {"'7'"}},
      {"xid8", {"'18446744073709551615'"}},
      {"tid", {"'(4294967295,65535)'"}},
      {"pg_lsn", {"'FFFFFFFF/FFFFFFFF'", "'0/0'"}},
  };
}

std::vector<TypeCase> texts() {
  const std::string awkward =
      R"(E'a\tb\nc\rd\\e\'f"g{h}i,j;k\b\f\x01\x7f' || U&'\00e9\4e2d\+01F600' || '\N NULL \. $$ $1 ')";
  return {
      {"text",
       {"''", "' '", "'NULL'", "'\\N'", "'\\.'", "'\"'", "'{}'", "','", awkward, "repeat(" + awkward + ", 1000)",
        "repeat('0123456789', 100000)"}},
      {"varchar", {"''", awkward}},
      {"varchar(5)", {"'abc  '", "'abcde'"}},
      {"char(5)", {"'ab'", "''", "'   x'"}},
      {"char", {"'x'", "' '"}},
      {"\"char\"", {"''", "'x'", "'\"'", "'\\'", "','", "255::int::\"char\"" + std::string()}, 16},
      {"\"char\"", {"''", "'x'", "'\"'", "','"}, 13, true, 16},
      {"name", {"''", "'Some \"Name\"'", "repeat('n', 63)::name"}},
      {"bytea",
       {"''", "(SELECT string_agg(set_byte('\\x00'::bytea, 0, i), '' ORDER BY i) FROM generate_series(0, 255) i)",
        "decode(repeat('00ff5c2700', 50000), 'hex')"}},
      {"json", {R"('{"a": [1, 2.50, null],  "a": "\u00e9\\\""}')", "'null'", "' [ ] '", "'\"x\"'"}},
      {"jsonb", {R"('{"b": 1e400, "a": [1, 2.50, null, {"c": "\u00e9\\\""}]}')", "'null'", "'\"\"'", "'{}'"}},
      {"jsonpath", {"'$.a[*] ? (@ > 1)'"}},
      {"xml", {"''", "'<a b=\"1\">x&amp;y</a><b/>'", "'text only'", "'<?xml version=\"1.0\"?><d>é</d>'"}},
      {"uuid", {"'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"}},
      {"tsvector", {"'a:1A b:2,3B \"c d\" ''e'':16383'", "''"}},
      {"tsquery", {"'a & !b <2> (c | d:*AB)'", "''"}},
      {"bit(3)", {"B'101'"}},
      {"bit varying", {"B''", "B'1010101010101'"}},
      {"bit varying(9)", {"B'1'"}},
      {"inet", {"'10.1.2.3/8'", "'::1'", "'2001:db8::ff/64'"}},
      {"cidr", {"'10.0.0.0/8'", "'2001:db8::/32'"}},
      {"macaddr", {"'08:00:2b:01:02:03'"}},
      {"macaddr8", {"'08:00:2b:01:02:03:04:05'"}},
      {"refcursor", {"'cursor'"}},
  };
}

std::vector<TypeCase> times() {
  return {
      {"date", {"'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'", "'0001-01-01 BC'", "'2024-02-29'"}},
      {"time", {"'00:00'", "'24:00'", "'23:59:59.999999'"}},
      {"time(2)", {"'12:34:56.78'"}},
      {"timetz", {"'00:00+15:59:59'", "'24:00-15:59:59'", "'12:00:00.000001+01:30'"}},
      {"timestamp",
       {"'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'infinity'", "'-infinity'",
        "'2000-01-01 00:00:00.000001'"}},
      {"timestamp(0)", {"'2000-01-01 00:00:01'"}},
      {"timestamptz",
       {"'4713-01-02 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'infinity'", "'-infinity'",
        "'2024-03-31 02:30:00 Europe/Berlin'"}},
      {"interval",
       {"'178000000 years'", "'-178000000 years'", "'1 mon -1 day 00:00:00.000001'", "'-00:00:01'", "'0'",
        "'2147483647 days 23:59:59.999999'"}},
      {"interval", {"'infinity'", "'-infinity'"}, 17},
      {"interval day to second(3)", {"'1 02:03:04.567'"}},
  };
}

std::vector<TypeCase> shapes() {
  return {
      {"point", {"'(1.5,-2e300)'", "'(NaN,Infinity)'", "'(-0,0.1)'"}},
      {"line", {"'{1,-2,0.1}'"}},
      {"lseg", {"'[(0,0),(1,0.1)]'"}},
      {"box", {"'(1,1),(0,0.1)'"}},  // arrays of boxes are delimited by semicolons
      {"path", {"'[(0,0),(1,1)]'", "'((0,0),(1,0.1))'"}},
      {"polygon", {"'((0,0),(1,1),(2,0.1))'"}},
      {"circle", {"'<(0,0.1),5>'"}},
      {"int4range", {"'empty'", "'(,)'", "'[1,5)'"}},
      {"numrange", {"'[0.10,1.50]'", "'(,NaN)'"}},
      {"tstzrange", {"'[2020-01-01 00:00+00,infinity)'"}},
      {"daterange", {"'[-infinity,2020-01-01)'"}},
      {"int8range", {"'[1,9223372036854775807)'"}},
      {"tsrange", {"'[2020-01-01 00:00:00.5,)'"}},
      {"int4multirange", {"'{}'", "'{[1,3),[7,9)}'"}, 14},
      {"tstzmultirange", {"'{[2020-01-01 00:00+00,2021-01-01 00:00+00),[2022-01-01 00:00+00,)}'"}, 14},
  };
}

std::vector<TypeCase> references() {
  return {
      {"regclass", {"'pg_class'", "0"}},
      {"regtype", {"'int4'", "'timestamp with time zone'", "0"}},
      {"regproc", {"'now'", "0"}},
      {"regprocedure", {"'lower(text)'"}},
      {"regoper", {"'||/'"}},
      {"regoperator", {"'+(int4,int4)'"}},
      {"regrole", {"'shop_owner'"}},
      {"regnamespace", {"'public'"}},
      {"regconfig", {"'english'"}},
      {"regdictionary", {"'simple'"}},
      {"int2vector", {"'1 -2 3'"}, 13, false},
      {"oidvector", {"'1 2 3'"}, 13, false},
      {"pg_snapshot", {"'10:20:10,14,15'"}},
      {"txid_snapshot", {"'10:20:10,14,15'"}},
  };
}

std::vector<TypeCase> users_types() {
  return {
      {"public.mood", {"'fine'", "'so so'", "'a,b{}\"'"}},
      {"public.positive", {"1", "2147483647"}},
      {"public.pair", {"ROW(1, 'x')", "ROW(NULL, '')", "ROW(NULL, NULL)", R"(ROW(-1, E'a"b\\c,(d)'))"}},
      {"public.nested",
       {"ROW(ROW(1, 'x')::public.pair, ARRAY[1, NULL], 'fine', '[1,2)')", "ROW(NULL, '{}', NULL, NULL)"}},
      {"public.checked_pair", {"ROW(1, 'x')"}},
      {"public.moods", {"'{fine,\"so so\"}'", "'{}'"}},
      {"public.span", {"'[fine,so so)'", "'empty'"}},
  };
}

// What comes with PostgreSQL, in every version.
std::vector<TypeCase> extensions_types() {
  return {
      {"public.citext", {"'MiXed'", "''"}},
      {"public.hstore", {R"('a=>1, "b c"=>NULL, "d\"e"=>"x\\y"')", "''"}},
      {"public.ltree", {"'Top.Science_1.Ästhetik'", "''", "repeat('a.', 1000)::text || 'b'"}},
      {"public.lquery", {"'Top.*{1,3}.!a|b*@%'", "'*'"}},
      {"public.ltxtquery", {"'Europe & Russia*@ & !Transportation'"}},
      {"public.cube", {"'(1,2.5),(-3e300,0.1)'", "'(0.1)'", "'()'"}},
      {"public.seg", {"'1.50'", "'~6.5'", "'-1.0 .. 2.00'", "'5(+-)0.3'", "'< 7'"}},
      {"public.isbn13", {"'978-0-393-04002-?'"}},
      {"public.ean13", {"'220356483481?'"}},
      {"public.issn", {"'1436-4522'"}},
      {"public.query_int", {"'1&(2|!3)'"}},
      {"public.lo", {"4294967295"}},
  };
}

constexpr const char* kTypes = R"(
CREATE EXTENSION citext SCHEMA public; CREATE EXTENSION hstore SCHEMA public; CREATE EXTENSION ltree SCHEMA public;
CREATE EXTENSION cube SCHEMA public; CREATE EXTENSION seg SCHEMA public; CREATE EXTENSION isn SCHEMA public;
CREATE EXTENSION intarray SCHEMA public; CREATE EXTENSION lo SCHEMA public;
SET search_path = public;
CREATE TYPE mood AS ENUM ('fine', 'so so', 'a,b{}"');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (n int, t text);
CREATE TYPE nested AS (p pair, a int[], m mood, r int4range);
CREATE DOMAIN checked_pair AS pair CHECK ((VALUE).n > 0);
CREATE DOMAIN moods AS mood[];
CREATE TYPE span AS RANGE (subtype = mood);
RESET search_path)";

/// One table per type: the value, an array of it, an array with bounds of its own, and one of two dimensions.
class Types : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    for (Sql* side : {&blue(), &green()}) side->exec(kTypes);
    configure("copy: { schema: false }\n");
  }

  void carry(const std::vector<TypeCase>& cases) {
    const int oldest = std::min(blue_major(), green_major());
    std::vector<TypeCase> usable;
    for (const TypeCase& c : cases) {
      const bool refused = blue_major() >= c.changed_in && green_major() < c.changed_in;
      if (c.since <= oldest && !refused) usable.push_back(c);
    }
    std::vector<std::string> tables;
    for (std::size_t i = 0; i < usable.size(); ++i) {
      const std::string name = "public.t" + std::to_string(i);
      const std::string array = usable[i].in_array ? usable[i].type + "[]" : "int";
      create_tables_both("CREATE TABLE " + name + " (id int PRIMARY KEY, v " + usable[i].type + ", a " + array +
                         ", b " + array + ", c " + array + ")");
      tables.push_back(name);
    }
    create_publication(tables);
    for (std::size_t i = 0; i < usable.size(); ++i) insert(tables[i], usable[i], 0);
    TealProcess& teal = run_streaming();
    for (std::size_t i = 0; i < usable.size(); ++i) {
      insert(tables[i], usable[i], 1000);
      blue_owner().exec("UPDATE " + tables[i] + " AS t SET (v, a, b, c) = (SELECT v, a, b, c FROM " + tables[i] +
                        " AS o WHERE o.id = (t.id + 1) % 1000) WHERE id >= 1000");
      blue_owner().exec("UPDATE " + tables[i] + " SET id = id + 5000 WHERE id % 2 = 0");
    }
    wait_caught_up();
    for (std::size_t i = 0; i < usable.size(); ++i) {
      SCOPED_TRACE(usable[i].type);
      expect_equal(tables[i]);
    }
    EXPECT_EQ(teal.terminate(), 0) << teal.err();
  }

 private:
  void insert(const std::string& table, const TypeCase& c, int first) {
    int id = first;
    blue_owner().exec("INSERT INTO " + table + " VALUES (" + std::to_string(id++) + ")");
    for (const std::string& value : c.values) {
      const std::string v = "(" + value + ")::" + c.type;
      std::string arrays;
      if (c.in_array) {
        const std::string of = "::" + c.type + "[]";
        arrays = ", ARRAY[" + v + ", NULL, " + v + "]" + of + ", array_fill(" + v + ", ARRAY[2], ARRAY[-3])" + of +
                 ", ARRAY[[" + v + ", " + v + "], [NULL, " + v + "]]" + of;
      }
      blue_owner().exec("INSERT INTO " + table + " VALUES (" + std::to_string(id++) + ", " + v + arrays + ")");
    }
    if (c.in_array)
      blue_owner().exec("INSERT INTO " + table + " VALUES (" + std::to_string(id) + ", NULL, '{}', '{}', '{NULL}')");
  }
};

// The arrays of each type are D8's: NULLs, none, bounds of their own, two dimensions.
TEST_F(Types, D1D3D8NumbersArriveAsTheyAre) { carry(numbers()); }
TEST_F(Types, D1D5D8TextsArriveAsTheyAre) { carry(texts()); }
TEST_F(Types, D1D4D8TimesArriveAsTheyAre) { carry(times()); }
TEST_F(Types, D1D8D9ShapesAndRangesArriveAsTheyAre) { carry(shapes()); }
TEST_F(Types, D1D8D11NamesOfObjectsArriveAsTheyAre) { carry(references()); }
TEST_F(Types, D1D7D8UsersTypesArriveAsTheyAre) { carry(users_types()); }
TEST_F(Types, D1D8D9ExtensionsTypesArriveAsTheyAre) { carry(extensions_types()); }

}  // namespace
}  // namespace teal::test
