#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace teal {

/// Values of a system type that only newer servers have, on the way to an older one.
struct VersionRule {
  std::string_view type;   ///< its name in pg_type
  int since_major;         ///< the first version that has such values
  bool silent;             ///< the older server would take them for something else; else it refuses them
  std::string_view what;   ///< the values, and what becomes of them, in words
  std::string_view check;  ///< a condition over %1, a column's name, that keeps such values out; "" when there is none
};

/// The rules that matter between these two versions, the silent ones first.
/// Source: release notes; charin and charout in utils/adt/char.c, numeric_in, interval_in.
[[nodiscard]] std::vector<VersionRule> version_rules(int source_major, int target_major);

/// Whether a numeric's modifier has a scale that is negative or larger than its precision, as versions before 15
/// refuse.
[[nodiscard]] bool scale_needs_15(int type_modifier);

/// Why logical decoding of a server of this version (as PQserverVersion gives it: 150012 is 15.12) may lose changes,
/// with the version to upgrade to; "" when it does not. Source: release notes of 15.13, 16.9 and 17.5, "Avoid data loss
/// when DDL operations that don't take a strong lock affect tables that are being logically replicated"; 14.18 is of
/// the same day.
[[nodiscard]] std::string decoding_flaw(int server_version);

}  // namespace teal
