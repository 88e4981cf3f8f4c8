#pragma once
#include <optional>
#include <string>
#include <utility>

#include "tests/support/sql.h"

namespace teal::test {

/// A row of the test's own in a link's stream: once it is applied, so is everything that was committed before it.
class LinkMarker {
 public:
  /// `migration`: its name in teal.yml.
  explicit LinkMarker(std::string migration, std::string link = "blue_to_green")
      : migration_(std::move(migration)), link_(std::move(link)) {}

  /// Writes it, at the first call that can, and looks whether it has arrived. Errors: SqlError.
  bool arrived(Sql& source, Sql& target);

 private:
  std::string migration_;
  std::string link_;
  std::optional<std::string> id_;
};

}  // namespace teal::test
