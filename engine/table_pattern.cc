#include "engine/table_pattern.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace teal {
namespace {

constexpr int kAnyCharacters = -1;
constexpr int kOneCharacter = -2;

// UTF-8: everything after the first byte of a character.
bool continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

std::size_t next_character(std::string_view text, std::size_t at) {
  ++at;
  while (at < text.size() && continuation(text[at])) ++at;
  return at;
}

bool any_matches(const std::vector<TablePattern>& patterns, const TableName& table) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const TablePattern& p) { return p.matches(table); });
}

}  // namespace

std::string to_string(const TableName& table) { return table.schema + "." + table.name; }

std::optional<TablePattern> TablePattern::parse(std::string_view text, std::string where) {
  TablePattern pattern;
  pattern.text_ = std::string(text);
  pattern.where_ = std::move(where);
  std::optional<Part> schema = parse_part(text);
  if (!schema || text.empty() || text.front() != '.') return std::nullopt;
  text.remove_prefix(1);
  std::optional<Part> name = parse_part(text);
  if (!name || !text.empty()) return std::nullopt;
  pattern.schema_ = std::move(*schema);
  pattern.name_ = std::move(*name);
  return pattern;
}

// Takes one part off the front of `rest`, up to the dot that ends it.
std::optional<TablePattern::Part> TablePattern::parse_part(std::string_view& rest) {
  Part part;
  if (rest.empty() || rest.front() != '"') {
    const std::size_t length = std::min(rest.find('.'), rest.size());
    for (const char c : rest.substr(0, length)) {
      if (c == '"') return std::nullopt;
      part.push_back(c == '*' ? kAnyCharacters : c == '?' ? kOneCharacter : static_cast<unsigned char>(c));
    }
    rest.remove_prefix(length);
    return part.empty() ? std::nullopt : std::optional(part);
  }
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      if (i + 1 == rest.size() || rest[i + 1] != '"') {
        rest.remove_prefix(i + 1);
        return part.empty() ? std::nullopt : std::optional(part);
      }
      ++i;
    }
    part.push_back(static_cast<unsigned char>(rest[i]));
  }
  return std::nullopt;  // the closing quote is missing
}

bool TablePattern::matches(const TableName& table) const {
  return part_matches(schema_, table.schema) && part_matches(name_, table.name);
}

bool TablePattern::literal() const {
  const auto plain = [](const Part& part) {
    return std::none_of(part.begin(), part.end(), [](int c) { return c < 0; });
  };
  return plain(schema_) && plain(name_);
}

// Linear in the text per `*`: after a mismatch only the last `*` takes one character more.
bool TablePattern::part_matches(const Part& part, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::optional<std::size_t> star;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < part.size() && part[p] == kAnyCharacters) {
      star = p++;
      star_text = t;
    } else if (p < part.size() && part[p] == kOneCharacter) {
      ++p;
      t = next_character(text, t);
    } else if (p < part.size() && part[p] == static_cast<unsigned char>(text[t])) {
      ++p;
      ++t;
    } else if (star) {
      p = *star + 1;
      star_text = next_character(text, star_text);
      t = star_text;
    } else {
      return false;
    }
  }
  while (p < part.size() && part[p] == kAnyCharacters) ++p;
  return p == part.size();
}

bool TableSelection::selects(const TableName& table) const {
  return (include.empty() || any_matches(include, table)) && !any_matches(exclude, table);
}

bool TableSelection::names(const TableName& table) const {
  const auto exact = [&](const TablePattern& pattern) { return pattern.literal() && pattern.matches(table); };
  return std::any_of(include.begin(), include.end(), exact) && !any_matches(exclude, table);
}

}  // namespace teal
