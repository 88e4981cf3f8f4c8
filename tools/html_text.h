#pragma once
#include <string>
#include <string_view>

namespace teal {

/// Text as it may stand between tags and in attributes: nothing in it is markup, and what is no text in HTML (control
/// characters, bytes that are no UTF-8) is shown as U+FFFD.
[[nodiscard]] std::string html_text(std::string_view text);

}  // namespace teal
