#pragma once
#include <string>

namespace teal {

struct KnownHash;

/// How a column's values go into the hash of their row, so that each of them is told from every other. Two values that
/// the type calls equal and writes differently (1.0 and 1.00) are told apart as well.
///
/// Either a value is a field of a record that is hashed as a whole, or it is mixed into a hash of 64 bits that follows
/// from the columns before it, which takes about half of the time. The types' own hashes do not do by themselves, where
/// they leave something out: of a numeric its sign, of a bigint and a timestamp which half is which (they are folded to
/// 32 bits), of a char its blanks. Such values go in by the bytes that the server sends, or by a form that keeps all.
/// A value type. Source: PostgreSQL, hash_numeric, hashint8, timestamp_hash, hashbpchar.
class ValueHash {
 public:
  /// `type`: as format_type spells it, without its modifier, the same on both sides. Of another type, and of "", there
  /// is nothing cheaper than the text.
  explicit ValueHash(const std::string& type = "");

  /// What the record holds for `value`, an expression of the type. Also of NULL.
  [[nodiscard]] std::string field(const std::string& value) const;

  [[nodiscard]] bool can_be_mixed() const;
  /// It may be long, and kept apart from its row: mixing it in twice would fetch it twice.
  [[nodiscard]] bool can_be_long() const;
  /// It has as many bits as `state`, and is only added to it: something else has to be mixed in before the next such.
  [[nodiscard]] bool is_added() const;
  /// The hash that follows from `state`, which is one too, and the value; NULL when that is NULL.
  [[nodiscard]] std::string mixed(const std::string& value, const std::string& state) const;

 private:
  const KnownHash* known_;  // static; nullptr: by its text
};

/// One text that follows from a value of each type that is not hashed by its text, hashed in every way: servers on
/// which it is not the same cannot compare such hashes. Needs PostgreSQL 14 or later.
[[nodiscard]] std::string value_hash_trial_sql();

}  // namespace teal
