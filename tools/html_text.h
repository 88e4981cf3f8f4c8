#pragma once
#include <string>
#include <string_view>

namespace teal {

/// Text as it may stand between tags and in attributes: nothing in it is markup, and what is no text in HTML (control
/// characters, bytes that are no UTF-8) is shown as U+FFFD.
[[nodiscard]] std::string html_text(std::string_view text);

/// A page for people who were not there: no scripts, nothing from elsewhere, for screens light and dark and for paper.
/// `title` and `footer` are text, `body` is HTML. It knows the classes `verdict` with `good`, `bad` or `doubt` of a
/// paragraph's box, and `n` of a cell with a number.
[[nodiscard]] std::string html_page(std::string_view title, std::string_view body, std::string_view footer);

}  // namespace teal
