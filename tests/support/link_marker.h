#pragma once
#include <optional>
#include <string>

#include "tests/support/sql.h"

namespace teal::test {

/// A row of the test's own in the stream of the link from blue to green: once it is applied, so is everything that was
/// committed before it.
class LinkMarker {
 public:
  /// `migration`: its name in teal.yml.
  explicit LinkMarker(std::string migration) : migration_(std::move(migration)) {}

  /// Writes it, at the first call that can, and looks whether it has arrived. Errors: SqlError.
  bool arrived(Sql& blue, Sql& green);

 private:
  std::string migration_;
  std::optional<std::string> id_;
};

}  // namespace teal::test
