#include "tools/verify_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/html_text.h"

namespace teal {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kEvil = "<script>alert(\"1\")</script>&'\x01\xff";

// The first tag that does not fit; "" when all are closed in their order.
std::string first_wrong_tag(const std::string& html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    if (end == std::string::npos) return html.substr(at);
    const std::string tag = html.substr(at + 1, end - at - 1);
    if (tag.starts_with("!") || tag.ends_with("/")) continue;
    const std::string name = tag.substr(0, tag.find(' '));
    if (!name.starts_with("/")) {
      open.push_back(name);
    } else if (open.empty() || "/" + open.back() != name) {
      return tag;
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : open.back();
}

VerifyRun run() {
  return {.name = "shop",
          .blue = {"old:5432/shop", "15.8"},
          .green = {"new:5432/shop", "17.2"},
          .started = "2026-11-20 12:00:00+00",
          .seconds = 12.5,
          .links_ran = true};
}

TableResult table(const std::string& name) {
  TableResult result;
  result.table.blue.name = result.table.green.name = {"public", name};
  result.table.key = {{.name = "id", .type = "text"}};
  result.rows = 1'234'567;
  return result;
}

TEST(HtmlText, NothingIsMarkupAndEverythingIsText) {
  EXPECT_EQ(html_text(kEvil), "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(VerifyHtml, EqualSidesSaySoOnTop) {
  const std::vector<TableResult> results{table("item")};
  const std::string html = verify_html(run(), results, {.looked = true});
  EXPECT_THAT(html, HasSubstr("Blue and green hold the same rows."));
  EXPECT_THAT(html, HasSubstr("old:5432/shop, PostgreSQL 15.8"));
  EXPECT_THAT(html, HasSubstr("1\xC2\xA0"
                              "234\xC2\xA0"
                              "567"));
  EXPECT_EQ(first_wrong_tag(html), "");
}

TEST(VerifyHtml, S21NamesAndValuesAreNeverMarkup) {
  TableResult result = table(kEvil);
  result.table.key[0].name = kEvil;
  result.differences.emplace_back().key = {kEvil};
  result.obstacles.push_back(kEvil);
  VerifyRun evil = run();
  evil.name = evil.blue.address = kEvil;
  evil.notes.push_back(kEvil);
  const BeyondRows beyond{.looked = true,
                          .findings = {{.area = FindingArea::kOrphans,
                                        .weight = FindingWeight::kWrong,
                                        .table = kEvil,
                                        .side = "green",
                                        .text = kEvil,
                                        .keys = {kEvil},
                                        .more_keys = true}}};
  const std::vector<TableResult> results{result};
  const std::string html = verify_html(evil, results, beyond, kEvil);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_EQ(first_wrong_tag(html), "");
  EXPECT_THAT(html, HasSubstr("1 table differs."));
  EXPECT_THAT(html, HasSubstr("<h2>Repair</h2>"));
  EXPECT_THAT(html, HasSubstr("1 thing is wrong besides"));
}

TEST(VerifyHtml, WhatWasNotCheckedIsNeverCalledEqual) {
  TableResult result = table("item");
  result.in_flux = 3;
  const std::vector<TableResult> results{result};
  const std::string html = verify_html(run(), results, {});
  EXPECT_THAT(html, HasSubstr("not everything could be checked"));
  EXPECT_THAT(html, HasSubstr("3 rows kept changing"));
  EXPECT_THAT(html, HasSubstr("Only rows were looked at."));
}

}  // namespace
}  // namespace teal
