#pragma once
#include <string>
#include <string_view>

namespace teal {

// For showing values and names of somebody else's database to people: nothing in them may end the quotes, begin a line,
// or steer a terminal.

/// Appends `text` in double quotes, escaped as in JSON; control characters beyond ASCII and Unicode's line and
/// direction marks are escaped too. Shape: `text` is UTF-8; what is appended is a JSON string.
void append_quoted(std::string& out, std::string_view text);

/// `text` as it is when it is printable ASCII, else in quotes: names, keys and the server's words.
[[nodiscard]] std::string shown_text(const std::string& text);

/// Appends a name as it is when it is made of ASCII letters, digits and underscores, else in quotes.
void append_name(std::string& out, std::string_view name);

}  // namespace teal
