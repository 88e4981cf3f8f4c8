#pragma once
#include <optional>
#include <string>
#include <vector>

namespace teal {

/// The values of a table's key columns, as the server writes them.
using KeyValues = std::vector<std::string>;

/// Rows whose key is `from` or above and below `to`, in the order that digest_sql.h defines; an end that is missing is
/// open, so that the ranges of a table leave no row out.
struct KeyRange {
  std::optional<KeyValues> from;
  std::optional<KeyValues> to;

  bool operator==(const KeyRange&) const = default;
};

}  // namespace teal
