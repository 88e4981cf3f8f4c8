// Values that one side can hold and the other cannot, or reads otherwise, and what the stream does not bring at all.
#include <array>
#include <string_view>

#include "tools/preflight_checks.h"

namespace teal {
namespace {

constexpr std::string_view kNoEncoding = "SQL_ASCII";  // bytes of any kind, which nobody can convert
constexpr std::string_view kEveryCharacter = "UTF8";

// Types whose text is a name that the reading server looks up.
constexpr std::array kObjectNames{"regclass",     "regcollation", "regconfig",   "regdatabase", "regdictionary",
                                  "regnamespace", "regoper",      "regoperator", "regproc",     "regprocedure",
                                  "regrole",      "regtype",      "aclitem"};

std::string encoding_of(PgConnection& connection) {
  return connection.exec("read the encoding of " + connection.label(), "SELECT current_setting('server_encoding')")
      .str(0, 0);
}

std::string create_database(const std::string& database) {
  return "CREATE DATABASE " + quote_identifier(database) +
         " ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;";
}

void note_encoding_of_blue(Preflight& preflight, const std::string& blue, const std::string& green) {
  if (blue == green || blue == kEveryCharacter || blue == kNoEncoding || green == kNoEncoding) return;
  preflight.report.notes.push_back("blue's encoding is " + blue + ", which cannot hold every character of green's " +
                                   green + ": a value with another one, written on green, stops the way back");
}

struct MoneyLocale {
  std::string name;    // the database's own lc_monetary: teal's sessions have another
  std::string sample;  // what it makes of an amount
};

MoneyLocale money_locale(PgConnection& connection) {
  connection.exec("begin", "BEGIN");
  const Rows name = connection.exec("read lc_monetary of " + connection.label(),
                                    "SELECT set_config('lc_monetary', reset_val, true) FROM pg_settings "
                                    "WHERE name = 'lc_monetary'");
  const Rows sample = connection.exec("read how " + connection.label() + " writes money",
                                      "SELECT (-1234567)::bigint::money::text || ' ' || 1.5::numeric::money::text");
  connection.exec("roll back", "ROLLBACK");
  return {name.str(0, 0), sample.str(0, 0)};
}

}  // namespace

// All sessions speak UTF-8, and the servers convert. What green's encoding lacks would stop the link at some row, in
// mid-stream; what has no encoding could not be converted, and text from elsewhere would be stored as bytes that its
// readers take for something else (TRAPS C11).
// Blue has its encoding for good, so what it lacks of green's is only told.
void check_encodings(Preflight& preflight, const SelectedTypes& types, PgConnection& source, PgConnection& target,
                     const ServerFacts& target_facts) {
  if (!preflight.from_blue()) {
    note_encoding_of_blue(preflight, encoding_of(target), encoding_of(source));
    return;
  }
  const std::string blue = encoding_of(source);
  const std::string green = encoding_of(target);
  const std::string anew = ", and with the locale that you want: " + create_database(target_facts.database);
  if (blue == kNoEncoding) {
    preflight.add("blue", "the database's encoding is SQL_ASCII: its bytes have no meaning that could be carried over",
                  "move it with pg_dump and pg_restore into a database with the encoding that its text really has");
  } else if (green == kNoEncoding) {
    preflight.add("green", "the database's encoding is SQL_ASCII, blue's is " + blue,
                  "make it anew with an encoding" + anew);
  } else if (blue != green && green != kEveryCharacter) {
    preflight.add("green",
                  "the database's encoding is " + green + ", which cannot hold every character of blue's " + blue,
                  "make it anew with UTF8" + anew);
  } else if (blue != green) {
    refuse_for_text(preflight, types.users_of_system_type("name"),
                    "what is longer than 63 bytes in UTF8 would be cut without an error");
  }
}

// The stored number is carried as it is; how many digits of it are fractions, and of which currency, says the reader's
// lc_monetary (TRAPS D10).
void check_money(Preflight& preflight, const SelectedTypes& types, PgConnection& source, PgConnection& target,
                 const ServerFacts& target_facts) {
  const std::vector<TypedColumn> columns = types.users_of_system_type("money");
  if (columns.empty()) return;
  const MoneyLocale blue = money_locale(source);
  const MoneyLocale green = money_locale(target);
  if (blue.sample == green.sample) return;
  preflight.report.notes.push_back(
      "blue writes money as " + blue.sample + " and green as " + green.sample + ": the stored numbers of " +
      in_words(columns) + " arrive as they are, but green's readers see other amounts; on green: ALTER DATABASE " +
      quote_identifier(target_facts.database) + " SET lc_monetary = " + quote_literal(blue.name) + ";");
}

// What such a value names is looked up on green by its name (TRAPS D11).
void check_object_names(Preflight& preflight, const SelectedTypes& types) {
  std::vector<TypedColumn> columns;
  for (const char* name : kObjectNames) {
    const std::vector<TypedColumn> users = types.users_of_system_type(name);
    columns.insert(columns.end(), users.begin(), users.end());
  }
  if (columns.empty()) return;
  preflight.report.notes.push_back(
      in_words(columns) + " hold names of objects (regclass and the like): what a value names has to exist on " +
      preflight.target() + " under the same name before the value arrives, or the link stops there");
}

// They are no part of logical decoding; what points to them is carried as a number (TRAPS D13).
void check_large_objects(Preflight& preflight, const SelectedTypes& types, PgConnection& source) {
  const Rows rows = source.exec("count the large objects", "SELECT count(*) FROM pg_largeobject_metadata");
  if (rows.at(0, 0) == "0") return;
  const std::vector<TypedColumn> columns = types.users_of_system_type("oid");
  preflight.report.notes.push_back(
      preflight.source() + " has " + rows.str(0, 0) + " large object(s), which are not carried" +
      (columns.empty() ? "" : "; the columns that may point to them are " + in_words(columns)) +
      ". docs/limits.md says how to move them when the application stands still");
}

}  // namespace teal
