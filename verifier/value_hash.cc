#include "verifier/value_hash.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace teal {

// `$v` stands for a value and `$s` for the state.
struct KnownHash {
  std::string_view name;
  std::string_view field;
  std::string_view trial;  // a value
  std::string_view mixed = "";
  bool is_long = false;
};

namespace {

constexpr std::string_view kAdded = "($s # $v)";
constexpr std::string_view kMixedText = "hashtextextended($v COLLATE \"C\", $s)";

// How many bits of a value its type's own hash takes in decides which of them may go in as they are.
constexpr std::array<KnownHash, 23> kKnown{{
    {"boolean", "$v", "true", "hashint4extended($v::integer, $s)"},
    {"smallint", "$v", "'-7'", "hashint2extended($v, $s)"},
    {"integer", "$v", "'-70000'", "hashint4extended($v, $s)"},
    {"bigint", "int8send($v)", "'-70000000000'", kAdded},
    {"oid", "$v", "'4000000000'", "hashoidextended($v, $s)"},
    {"date", "$v", "'2026-02-28'"},
    {"uuid", "$v", "'00112233-4455-6677-8899-aabbccddeeff'", "uuid_hash_extended($v, $s)"},
    {"bytea", "$v", "'\\x00ff10'"},
    {"text", "$v COLLATE \"C\"", "'a b'", kMixedText, true},
    {"character varying", "$v COLLATE \"C\"", "'a b '", kMixedText, true},
    // Its hash leaves out the blanks at the end, and nothing else: so the length says how many there are.
    {"character", "bpcharsend($v)", "'a '",
     "hashbpcharextended($v COLLATE \"C\", hashint4extended(octet_length($v), $s))", true},
    {"real", "float4send($v)", "'-0.1'"},
    {"double precision", "float8send($v)", "'1e-7'"},
    {"numeric", "numeric_send($v)", "'-1.50'"},
    {"timestamp without time zone", "timestamp_send($v)", "'2026-01-02 03:04:05.6'"},
    {"timestamp with time zone", "timestamptz_send($v)", "'2026-01-02 03:04:05.6+02'"},
    {"time without time zone", "time_send($v)", "'03:04:05.6'"},
    {"time with time zone", "timetz_send($v)", "'03:04:05.6+02'"},
    {"interval", "interval_send($v)", "'1 year 2 days 3 hours'"},
    {"jsonb", "jsonb_send($v)", "'{\"b\": 1, \"a\": 2.0}'"},
    {"inet", "inet_send($v)", "'10.0.0.1/8'"},
    {"cidr", "cidr_send($v)", "'10.0.0.0/8'"},
    {"bit varying", "varbit_send($v)", "'10110'"},
}};

std::string filled(std::string_view pattern, const std::string& value, const std::string& state) {
  std::string text;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::string_view rest = pattern.substr(at);
    if (rest.starts_with("$v") || rest.starts_with("$s")) {
      text += rest[1] == 'v' ? value : state;
      at += 2;
    } else {
      text += pattern[at++];
    }
  }
  return text;
}

}  // namespace

ValueHash::ValueHash(const std::string& type) : known_(nullptr) {
  const auto* const known =
      std::find_if(kKnown.begin(), kKnown.end(), [&](const auto& one) { return one.name == type; });
  if (known != kKnown.end()) known_ = known;
}

std::string ValueHash::field(const std::string& value) const {
  return filled(known_ == nullptr ? "ROW($v)::text COLLATE \"C\"" : known_->field, value, "");
}

bool ValueHash::can_be_mixed() const { return known_ != nullptr && !known_->mixed.empty(); }

bool ValueHash::can_be_long() const { return known_ != nullptr && known_->is_long; }

bool ValueHash::is_added() const { return known_ != nullptr && known_->mixed == kAdded; }

std::string ValueHash::mixed(const std::string& value, const std::string& state) const {
  return filled(known_->mixed, value, state);
}

std::string value_hash_trial_sql() {
  std::string fields;
  std::string state = "1";
  for (const KnownHash& known : kKnown) {
    const ValueHash hash{std::string(known.name)};
    const std::string value = "CAST(" + std::string(known.trial) + " AS " + std::string(known.name) + ")";
    fields += (fields.empty() ? "" : ", ") + hash.field(value);
    if (hash.can_be_mixed()) state = hash.mixed(value, state);
  }
  return "SELECT concat_ws(' ', hash_record_extended(ROW(" + fields + "), 1), hash_record_extended(ROW(" + fields +
         "), 2), " + state + ")";
}

}  // namespace teal
