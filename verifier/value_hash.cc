#include "verifier/value_hash.h"

#include <array>
#include <string_view>

namespace teal {
namespace {

// How many bits of a value its type's own hash takes in decides which of them may go in as they are.
struct KnownType {
  std::string_view name;
  std::string_view before;
  std::string_view after;
  std::string_view trial;  // a value
};

constexpr std::array<KnownType, 23> kKnown{{
    {"boolean", "", "", "true"},
    {"smallint", "", "", "'-7'"},
    {"integer", "", "", "'-70000'"},
    {"oid", "", "", "'4000000000'"},
    {"date", "", "", "'2026-02-28'"},
    {"uuid", "", "", "'00112233-4455-6677-8899-aabbccddeeff'"},
    {"bytea", "", "", "'\\x00ff10'"},
    {"text", "", " COLLATE \"C\"", "'a b'"},
    {"character varying", "", " COLLATE \"C\"", "'a b '"},
    {"character", "bpcharsend(", ")", "'a '"},
    {"bigint", "int8send(", ")", "'-70000000000'"},
    {"real", "float4send(", ")", "'-0.1'"},
    {"double precision", "float8send(", ")", "'1e-7'"},
    {"numeric", "numeric_send(", ")", "'-1.50'"},
    {"timestamp without time zone", "timestamp_send(", ")", "'2026-01-02 03:04:05.6'"},
    {"timestamp with time zone", "timestamptz_send(", ")", "'2026-01-02 03:04:05.6+02'"},
    {"time without time zone", "time_send(", ")", "'03:04:05.6'"},
    {"time with time zone", "timetz_send(", ")", "'03:04:05.6+02'"},
    {"interval", "interval_send(", ")", "'1 year 2 days 3 hours'"},
    {"jsonb", "jsonb_send(", ")", "'{\"b\": 1, \"a\": 2.0}'"},
    {"inet", "inet_send(", ")", "'10.0.0.1/8'"},
    {"cidr", "cidr_send(", ")", "'10.0.0.0/8'"},
    {"bit varying", "varbit_send(", ")", "'10110'"},
}};

std::string hashed(const KnownType& type, const std::string& value) {
  return std::string(type.before) + value + std::string(type.after);
}

}  // namespace

std::optional<std::string> hashed_value_sql(const std::string& type, const std::string& value) {
  for (const KnownType& known : kKnown) {
    if (known.name == type) return hashed(known, value);
  }
  return std::nullopt;
}

std::string value_hash_trial_sql() {
  std::string values;
  for (const KnownType& known : kKnown) {
    values += (values.empty() ? "" : ", ") +
              hashed(known, "CAST(" + std::string(known.trial) + " AS " + std::string(known.name) + ")");
  }
  return "SELECT hash_record_extended(ROW(" + values + "), 1), hash_record_extended(ROW(" + values + "), 2)";
}

}  // namespace teal
