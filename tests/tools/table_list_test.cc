#include "tools/table_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/pg_error.h"

namespace teal {
namespace {

using testing::HasSubstr;

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Stopped& stopped) {
    EXPECT_EQ(stopped.code(), StopCode::kUsage);
    return stopped.what();
  }
  return "";
}

TEST(TableList, TakesPatternsWithCommasAndFlagsThatRepeat) {
  const TableSelection selection = read_table_list({"public.a,sales.*", "x.y?"});
  EXPECT_TRUE(selection.selects({"public", "a"}));
  EXPECT_TRUE(selection.selects({"sales", "anything"}));
  EXPECT_TRUE(selection.selects({"x", "yz"}));
  EXPECT_FALSE(selection.selects({"public", "b"}));
}

TEST(TableList, M4CommasInsideQuotesBelongToTheName) {
  const TableSelection selection = read_table_list({R"(public."a,b","s,""x".t)"});
  EXPECT_TRUE(selection.selects({"public", "a,b"}));
  EXPECT_TRUE(selection.selects({"s,\"x", "t"}));
}

TEST(TableList, NoFlagSelectsEverything) { EXPECT_TRUE(read_table_list({}).selects({"any", "table"})); }

TEST(TableList, RefusesWhatIsNoSchemaAndTable) {
  for (const char* wrong : {"orders", "", "public.a,", "public.", "\"public.a"}) {
    EXPECT_THAT(refusal([&] { (void)read_table_list({wrong}); }), HasSubstr("is not schema.table")) << wrong;
  }
}

TEST(TableList, EachPatternHasToMatchAndTheOthersAreNamed) {
  const TableSelection selection = read_table_list({"public.ordres,public.item,sales.*"});
  const std::vector<TableName> tables = {{"public", "orders"}, {"public", "item"}};
  const std::string text = refusal([&] { check_each_pattern_matches(selection, tables, "of p"); });
  EXPECT_THAT(text, HasSubstr("\"public.ordres\" matches no table of p; did you mean public.orders?"));
  EXPECT_THAT(text, HasSubstr("\"sales.*\" matches no table of p"));
  EXPECT_THAT(text, testing::Not(HasSubstr("\"public.item\"")));
}

}  // namespace
}  // namespace teal
