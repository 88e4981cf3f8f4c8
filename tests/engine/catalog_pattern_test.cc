#include <gtest/gtest.h>

#include "engine/publication.h"
#include "engine/table_pattern.h"

namespace teal {
namespace {

TablePattern pattern(const char* text) {
  const auto parsed = TablePattern::parse(text, "test");
  if (!parsed) throw std::invalid_argument(text);
  return *parsed;
}

TableSelection selection(const std::vector<const char*>& include, const std::vector<const char*>& exclude) {
  TableSelection out;
  for (const char* text : include) out.include.push_back(pattern(text));
  for (const char* text : exclude) out.exclude.push_back(pattern(text));
  return out;
}

TEST(TablePattern, MatchesAsWritten) {
  struct Case {
    const char* pattern;
    TableName table;
    bool matches;
  };
  const Case cases[] = {
      {"public.users", {"public", "users"}, true},
      {"public.users", {"public", "Users"}, false},
      {"public.users", {"public", "users2"}, false},
      {"public.users", {"app", "users"}, false},
      {"public.*", {"public", "users"}, true},
      {"public.*", {"public2", "users"}, false},
      {"*.*", {"any", "thing"}, true},
      {"*.users", {"app", "users"}, true},
      {"public.audit_*", {"public", "audit_"}, true},
      {"public.audit_*", {"public", "audit"}, false},
      {"public.*_log", {"public", "a_log_log"}, true},
      {"public.a*b*c", {"public", "aXbYbZc"}, true},
      {"public.a*b*c", {"public", "aXbYbZ"}, false},
      {"public.user?", {"public", "users"}, true},
      {"public.user?", {"public", "user"}, false},
      {"public.?", {"public", "\xC3\xA9"}, true},  // one character of two bytes
      {"public.??", {"public", "\xC3\xA9"}, false},
      {"public.\xC3\xA9*", {"public", "\xC3\xA9t\xC3\xA9"}, true},
      {R"("my.schema"."a*")", {"my.schema", "a*"}, true},
      {R"("my.schema"."a*")", {"my.schema", "ab"}, false},
      {R"(app."we""ird")", {"app", "we\"ird"}, true},
      {R"(app."?")", {"app", "x"}, false},
      {"app.**", {"app", ""}, true},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(pattern(one.pattern).matches(one.table), one.matches) << one.pattern << " " << to_string(one.table);
  }
}

TEST(TablePattern, RefusesWhatIsNotSchemaAndTable) {
  for (const char* text : {"", "users", ".", "public.", ".users", "a.b.c", R"("public.users)", R"(public."users)",
                           R"(pub"lic.users)", R"("a"b.c)", R"("".users)", R"(a."b"c)"}) {
    EXPECT_EQ(TablePattern::parse(text, "test"), std::nullopt) << text;
  }
}

TEST(TablePattern, TellsWildcardsFromNames) {
  EXPECT_TRUE(pattern("public.users").literal());
  EXPECT_TRUE(pattern(R"(public."a*")").literal());
  EXPECT_FALSE(pattern("public.user?").literal());
  EXPECT_FALSE(pattern("*.users").literal());
}

TEST(TablePattern, TakesNoExponentialTime) {
  std::string many = "p.";
  for (int i = 0; i < 50; ++i) many += "a*";
  EXPECT_FALSE(pattern((many + "b").c_str()).matches({"p", std::string(5000, 'a')}));
}

TEST(TableSelection, TakesAllWithoutInclude) {
  EXPECT_TRUE(selection({}, {}).selects({"public", "users"}));
  EXPECT_FALSE(selection({}, {"public.*"}).selects({"public", "users"}));
}

TEST(TableSelection, LetsExcludeWin) {
  const TableSelection chosen = selection({"public.*", "app.users"}, {"public.audit_*", "app.users"});
  EXPECT_TRUE(chosen.selects({"public", "users"}));
  EXPECT_FALSE(chosen.selects({"public", "audit_1"}));
  EXPECT_FALSE(chosen.selects({"app", "users"}));
  EXPECT_FALSE(chosen.names({"app", "users"}));
  EXPECT_FALSE(chosen.selects({"other", "users"}));
}

TEST(ComparePublication, WantsACreateWhereThereIsNone) {
  const PublicationGap gap = compare_publication(std::nullopt, "p", {.tables = {{"a", "x"}, {"a", "y\"z"}}});
  ASSERT_EQ(gap.sql.size(), 1U);
  EXPECT_EQ(gap.sql[0], R"(CREATE PUBLICATION "p" FOR TABLE "a"."x", "a"."y""z";)");
  EXPECT_TRUE(gap.needs_table_owner);
}

Publication published(std::vector<PublishedTable> tables) {
  Publication publication;
  publication.name = "p";
  publication.all_operations = true;
  publication.tables = std::move(tables);
  return publication;
}

TEST(ComparePublication, IsContentWithExactlyTheTables) {
  const PublicationGap gap = compare_publication(published({{{"a", "x"}, false}}), "p", {.tables = {{"a", "x"}}});
  EXPECT_TRUE(gap.differences.empty());
  EXPECT_TRUE(gap.sql.empty());
}

TEST(ComparePublication, AddsAndDropsTables) {
  const PublicationGap gap = compare_publication(published({{{"a", "x"}, false}, {{"a", "old"}, false}}), "p",
                                                 {.tables = {{"a", "x"}, {"a", "new"}}});
  ASSERT_EQ(gap.sql.size(), 2U);
  EXPECT_EQ(gap.sql[0], R"(ALTER PUBLICATION "p" ADD TABLE "a"."new";)");
  EXPECT_EQ(gap.sql[1], R"(ALTER PUBLICATION "p" DROP TABLE "a"."old";)");
  EXPECT_EQ(gap.differences.size(), 2U);
}

TEST(ComparePublication, ListsAParentOfOthersAlone) {
  const PublicationGap gap = compare_publication(std::nullopt, "p", {.tables = {{"a", "x"}}, .parents = {{"a", "x"}}});
  EXPECT_EQ(gap.sql.at(0), R"(CREATE PUBLICATION "p" FOR TABLE ONLY "a"."x";)");
}

TEST(ComparePublication, ReplacesRowFiltersAndOptions) {
  Publication filtered = published({{{"a", "x"}, true}});
  filtered.all_operations = false;
  filtered.via_root = true;
  const PublicationGap gap = compare_publication(filtered, "p", {.tables = {{"a", "x"}}});
  ASSERT_EQ(gap.sql.size(), 2U);
  EXPECT_EQ(gap.sql[0], R"(ALTER PUBLICATION "p" SET TABLE "a"."x";)");
  EXPECT_EQ(gap.sql[1],
            "ALTER PUBLICATION \"p\" SET (publish = 'insert, update, delete, truncate', "
            "publish_via_partition_root = false);");
}

TEST(ComparePublication, NeedsANewOneInsteadOfAllTables) {
  Publication all = published({});
  all.open_ended = true;
  const PublicationGap gap = compare_publication(all, "p", {.tables = {{"a", "x"}}});
  EXPECT_TRUE(gap.needs_new_publication);
  EXPECT_EQ(gap.sql.size(), 2U);
}

}  // namespace
}  // namespace teal
