#pragma once
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace teal {

/// A table as both sides call it.
struct TableName {
  std::string schema;
  std::string name;

  auto operator<=>(const TableName&) const = default;
};

/// `schema.name`, unquoted: for messages, never for SQL (that is `quote_qualified`).
[[nodiscard]] std::string to_string(const TableName& table);

/// `schema.table` with `*` (any characters) and `?` (one character) in either part. A part in double quotes is taken
/// literally, dots and wildcards too; case is never folded.
class TablePattern {
 public:
  /// `where` is the place in the configuration, for messages ("teal.yml:8: tables.include").
  /// Errors: nullopt when `text` is not schema.table.
  [[nodiscard]] static std::optional<TablePattern> parse(std::string_view text, std::string where);

  [[nodiscard]] bool matches(const TableName& table) const;
  /// The pattern names exactly one table.
  [[nodiscard]] bool literal() const;
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  // One byte of text per element, or a wildcard (negative).
  using Part = std::vector<int>;

  static std::optional<Part> parse_part(std::string_view& rest);
  static bool part_matches(const Part& part, std::string_view text);

  Part schema_;
  Part name_;
  std::string text_;
  std::string where_;
};

/// Which tables are replicated: what `include` matches, less what `exclude` matches. An empty `include` is all.
struct TableSelection {
  std::vector<TablePattern> include;
  std::vector<TablePattern> exclude;

  [[nodiscard]] bool selects(const TableName& table) const;
  /// Selected by a pattern without wildcards: somebody asked for exactly this table.
  [[nodiscard]] bool names(const TableName& table) const;
};

}  // namespace teal
