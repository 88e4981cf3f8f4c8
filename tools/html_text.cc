#include "tools/html_text.h"

#include <nlohmann/json.hpp>

namespace teal {
namespace {

constexpr const char* kStyle = R"css(
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #59636e; --line: #d5dae0; --good: #1a7f37;
  --bad: #c4232b; --doubt: #9a6700; --panel: #f5f7f9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --paper: #14181d; --soft: #9aa5b1; --line: #343c45;
  --good: #4ac26b; --bad: #ff7b72; --doubt: #e0b341; --panel: #1d232a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.verdict { border-left: .4rem solid; padding: .8rem 1rem; background: var(--panel); margin: 1.2rem 0; }
.verdict b { font-size: 1.25rem; display: block; }
.good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); }
.verdict p { color: var(--ink); margin: .3rem 0 0; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; } th { color: var(--soft); font-weight: 600; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; } code, .key { font: .9em/1.5 ui-monospace, monospace; }
summary { cursor: pointer; color: var(--soft); } ul { margin: .3rem 0; padding-left: 1.3rem; }
footer { color: var(--soft); margin-top: 2.5rem; font-size: .9rem; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } tr, .verdict { break-inside: avoid; } }
)css";

// The replacement is the JSON library's.
std::string valid_utf8(std::string_view text) {
  const std::string quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(quoted).get<std::string>();
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string html;
  for (const char c : valid_utf8(text)) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
          html += "\xEF\xBF\xBD";
        } else {
          html += c;
        }
    }
  }
  return html;
}

std::string html_page(std::string_view title, std::string_view body, std::string_view footer) {
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>" +
         html_text(title) + "</title><style>" + kStyle + "</style></head>\n<body>\n<h1>" + html_text(title) +
         "</h1>\n" + std::string(body) + "<footer>teal " TEAL_VERSION "; " + html_text(footer) +
         "</footer>\n</body></html>\n";
}

}  // namespace teal
