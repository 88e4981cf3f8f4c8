#pragma once
#include <optional>
#include <string>

namespace teal {

/// What a record has to hold for a column, so that `hash_record_extended` of it tells each of its values from every
/// other, or nothing: of that type there is nothing cheaper than its text. Two values that the type calls equal and
/// writes differently (1.0 and 1.00) are told apart as well.
///
/// The types' own hashes do not do, where they leave something out: of a numeric its sign, of a bigint and a timestamp
/// which half is which (they are folded to 32 bits). Those go in as the bytes that the server sends.
/// `type`: as format_type spells it, without its modifier, the same on both sides. `value`: an expression of it.
/// Source: PostgreSQL, hash_numeric, hashint8, timestamp_hash.
[[nodiscard]] std::optional<std::string> hashed_value_sql(const std::string& type, const std::string& value);

/// One value of each of these types, hashed: servers on which it is not the same cannot compare such hashes.
/// Needs PostgreSQL 14 or later.
[[nodiscard]] std::string value_hash_trial_sql();

}  // namespace teal
