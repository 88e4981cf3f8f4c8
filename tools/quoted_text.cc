#include "tools/quoted_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace teal {
namespace {

bool plain(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

const char* short_escape(char c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return nullptr;
  }
}

void append_unicode_escape(std::string& out, unsigned code_point) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "\\u%04x", code_point);
  out += text.data();
}

// Code points beyond ASCII that a viewer may obey instead of showing them: C1 controls, line and paragraph separators,
// and what turns the direction of writing. 0: none begins at `at`. All of them are shorter than U+10000.
unsigned steering_character(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U; };
  if (byte(0) == 0xC2U && byte(1) >= 0x80U && byte(1) < 0xA0U) return byte(1);
  if (byte(0) != 0xE2U || (byte(1) != 0x80U && byte(1) != 0x81U)) return 0;
  const unsigned code_point = 0x2000U + ((byte(1) - 0x80U) << 6U) + (byte(2) - 0x80U);
  const bool steers =
      (code_point >= 0x2028U && code_point <= 0x202EU) || (code_point >= 0x2066U && code_point <= 0x2069U);
  return steers ? code_point : 0;
}

}  // namespace

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (const char* escape = short_escape(c)) {
      out += escape;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20U || byte == 0x7FU) {
      append_unicode_escape(out, byte);
    } else if (const unsigned code_point = byte < 0x80U ? 0 : steering_character(text, i); code_point != 0) {
      append_unicode_escape(out, code_point);
      i += code_point < 0x800U ? 1 : 2;
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string shown_text(const std::string& text) {
  const bool printable = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
  if (printable) return text;
  std::string out;
  append_quoted(out, text);
  return out;
}

void append_name(std::string& out, std::string_view name) {
  if (plain(name)) {
    out += name;
  } else {
    append_quoted(out, name);
  }
}

}  // namespace teal
