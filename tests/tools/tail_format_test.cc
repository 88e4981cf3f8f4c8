// The lines of `teal tail`, and which slices give lines.
#include "tools/tail_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/pgoutput_builder.h"
#include "tools/quoted_text.h"
#include "tools/tail_printer.h"

namespace teal {
namespace {

using P = test::PgoutputBuilder;
using nlohmann::json;
using test::Bytes;
using test::null;
using test::text;
using test::unchanged;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const Relation kItem =
    test::make_relation(RelationId{1}, "public", "item", {test::key("id"), test::column("note"), test::column("doc")});
const Relation kFull =
    test::make_relation(RelationId{2}, "public", "log", {test::key("a"), test::key("b")}, ReplicaIdentity::kFull);
const Relation kOdd = test::make_relation(RelationId{3}, "Odd \"s\".x", "new\nline", {test::key("a=b c")});
constexpr test::TransactionToBuild kFacts{
    .xid = Xid{742}, .final_lsn = Lsn{0x1000}, .end_lsn = Lsn{0x1038}, .commit_time = Timestamp{1}};

std::vector<std::string> types_of(const Relation& relation) {
  std::vector<std::string> types(relation.columns.size(), "text");
  types[0] = "numeric(10,2)[]";
  return types;
}

TailPrinter printer_of(TailFormat format, std::initializer_list<std::string_view> patterns = {}) {
  TableSelection selection;
  for (const std::string_view pattern : patterns) selection.include.push_back(*TablePattern::parse(pattern, ""));
  // Kept as long as the test program: what is returned is a view.
  return {format, selection, [](const Relation& relation) -> std::span<const std::string> {
            static std::vector<std::string> types;
            types = types_of(relation);
            return types;
          }};
}

std::string printed(TailFormat format, const std::vector<Bytes>& rows, const test::TransactionToBuild& facts = kFacts) {
  return printer_of(format).lines_of(test::slice_of(facts, {kItem, kFull, kOdd}, rows));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The transaction's lines between begin and commit, as JSON.
std::vector<json> changes_as_json(const std::vector<Bytes>& rows) {
  std::vector<json> changes;
  for (const std::string& line : lines_of(printed(TailFormat::kJson, rows))) changes.push_back(json::parse(line));
  EXPECT_GE(changes.size(), 2U);
  EXPECT_EQ(changes.front().at("op"), "begin");
  EXPECT_EQ(changes.back().at("op"), "commit");
  EXPECT_EQ(changes.back().at("changes"), changes.size() - 2);
  return {changes.begin() + 1, changes.end() - 1};
}

TEST(TailText, ShowsATransactionFromBeginToCommit) {
  const std::vector<Bytes> rows = {P::insert(kItem.id, {text("1"), text("a"), null()}),
                                   P::update(kItem.id, {text("1"), text(""), unchanged()}),
                                   P::update_key(kItem.id, {text("1"), null(), null()}, {text("2"), null(), text("d")}),
                                   P::delete_key(kItem.id, {text("2"), null(), null()})};
  EXPECT_THAT(
      lines_of(printed(TailFormat::kText, rows)),
      ElementsAre("begin xid=742 commit_lsn=0/1000 commit_time=\"2000-01-01 00:00:00.000001+00\"",
                  "insert public.item new: id[numeric(10,2)[]]=\"1\" note[text]=\"a\" doc[text]=null",
                  "update public.item new: id[numeric(10,2)[]]=\"1\" note[text]=\"\" doc[text]=unchanged",
                  "update public.item key: id[numeric(10,2)[]]=\"1\" new: id[numeric(10,2)[]]=\"2\" "
                  "note[text]=null doc[text]=\"d\"",
                  "delete public.item key: id[numeric(10,2)[]]=\"2\"", "commit xid=742 end_lsn=0/1038 changes=4"));
}

TEST(TailText, ShowsWholeOldRowsTruncatesAndOrigins) {
  test::TransactionToBuild facts = kFacts;
  facts.origin = Origin{"teal_shop_blue_to_green", Lsn{5}};
  const std::vector<Bytes> rows = {P::update_full(kFull.id, {text("1"), null()}, {text("1"), text("x")}),
                                   P::delete_full(kFull.id, {text("1"), text("x")}), P::truncate({kItem.id}, 0),
                                   P::truncate({kItem.id, kOdd.id}, kTruncateCascade | kTruncateRestartIdentity)};
  EXPECT_THAT(lines_of(printed(TailFormat::kText, rows, facts)),
              ElementsAre(testing::EndsWith("+00\" origin=teal_shop_blue_to_green"),
                          "update public.log old: a[numeric(10,2)[]]=\"1\" b[text]=null new: "
                          "a[numeric(10,2)[]]=\"1\" b[text]=\"x\"",
                          "delete public.log old: a[numeric(10,2)[]]=\"1\" b[text]=\"x\"", "truncate public.item",
                          "truncate public.item, \"Odd \\\"s\\\".x\".\"new\\nline\" cascade restart_identity",
                          testing::StartsWith("commit ")));
}

TEST(TailText, D5M4NothingInAValueOrANameForgesALineOrSteersATerminal) {
  const std::string evil =
      "x\"\ncommit xid=1\r\x1b[2J\x7f\xc2\x9b"
      "31m\xe2\x80\xa8\xe2\x80\xae\t\\ end";
  const std::string out = printed(
      TailFormat::kText, {P::insert(kItem.id, {text("1"), text(evil), text(evil)}), P::insert(kOdd.id, {text("1")})});
  EXPECT_EQ(lines_of(out).size(), 4U);
  for (const char* steering : {"\r", "\x1b", "\x7f", "\xc2\x9b", "\xe2\x80\xa8", "\xe2\x80\xae", "\t"}) {
    EXPECT_THAT(out, Not(HasSubstr(steering)));
  }
  EXPECT_THAT(out, HasSubstr(R"(note[text]="x\"\ncommit xid=1\r\u001b[2J\u007f\u009b31m\u2028\u202e\t\\ end")"));
  EXPECT_THAT(out, HasSubstr(R"(insert "Odd \"s\".x"."new\nline" new: "a=b c"[numeric(10,2)[]]="1")"));
}

TEST(TailText, TheWordNullInAValueIsNotNull) {
  const std::string out =
      printed(TailFormat::kText, {P::insert(kItem.id, {text("1"), text("null"), text("unchanged")})});
  EXPECT_THAT(out, HasSubstr("note[text]=\"null\" doc[text]=\"unchanged\"\n"));
}

TEST(TailJson, GivesOneObjectPerLine) {
  test::TransactionToBuild facts = kFacts;
  facts.origin = Origin{"sub\"1", Lsn{}};
  const auto lines = lines_of(printed(TailFormat::kJson, {P::insert(kItem.id, {text("1"), text("a"), null()})}, facts));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(json::parse(lines[0]), json::parse(R"({"op": "begin", "xid": 742, "commit_lsn": "0/1000",
    "commit_time": "2000-01-01 00:00:00.000001+00", "origin": "sub\"1"})"));
  EXPECT_EQ(json::parse(lines[1]), json::parse(R"({"op": "insert", "xid": 742, "lsn": "0/828", "schema": "public",
    "table": "item", "new": {"id": "1", "note": "a", "doc": null},
    "types": {"id": "numeric(10,2)[]", "note": "text", "doc": "text"}})"));
  EXPECT_EQ(json::parse(lines[2]), json::parse(R"({"op": "commit", "xid": 742, "commit_lsn": "0/1000",
    "end_lsn": "0/1038", "commit_time": "2000-01-01 00:00:00.000001+00", "changes": 1})"));
}

TEST(TailJson, SaysNullWhereThereIsNoOrigin) {
  const std::string out = printed(TailFormat::kJson, {P::delete_key(kItem.id, {text("1"), null(), null()})});
  EXPECT_TRUE(json::parse(lines_of(out).at(0)).at("origin").is_null());
}

TEST(TailJson, C1UnchangedColumnsAreListedAndNeverNull) {
  const auto changes = changes_as_json(
      {P::update(kItem.id, {text("1"), unchanged(), unchanged()}), P::update(kItem.id, {text("1"), null(), text("")})});
  EXPECT_EQ(changes.at(0).at("new"), json::parse(R"({"id": "1"})"));
  EXPECT_EQ(changes.at(0).at("unchanged"), json::parse(R"(["note", "doc"])"));
  EXPECT_EQ(changes.at(1).at("new"), json::parse(R"({"id": "1", "note": null, "doc": ""})"));
  EXPECT_EQ(changes.at(1).at("unchanged"), json::array());
}

TEST(TailJson, C2ToastedKeyComesFromTheOldKey) {
  const auto changes =
      changes_as_json({P::update_key(kItem.id, {text("key"), null(), null()}, {unchanged(), text("n"), null()})});
  EXPECT_EQ(changes.at(0).at("key"), json::parse(R"({"id": "key"})"));
  EXPECT_EQ(changes.at(0).at("new"), json::parse(R"({"note": "n", "doc": null})"));
  EXPECT_EQ(changes.at(0).at("unchanged"), json::parse(R"(["id"])"));
}

TEST(TailJson, C3OldKeyHoldsTheIdentityOnlyAndTheOldRowAll) {
  const auto changes =
      changes_as_json({P::update_key(kItem.id, {text("1"), null(), null()}, {text("2"), null(), null()}),
                       P::delete_key(kItem.id, {text("2"), null(), null()}),
                       P::update_full(kFull.id, {text("1"), null()}, {text("1"), text("x")}),
                       P::delete_full(kFull.id, {text("1"), null()})});
  EXPECT_EQ(changes.at(0).at("key"), json::parse(R"({"id": "1"})"));
  EXPECT_EQ(changes.at(1).at("key"), json::parse(R"({"id": "2"})"));
  EXPECT_FALSE(changes.at(1).contains("new"));
  for (const std::size_t i : {2U, 3U}) {
    EXPECT_EQ(changes.at(i).at("old"), json::parse(R"({"a": "1", "b": null})"));
    EXPECT_FALSE(changes.at(i).contains("key"));
  }
}

TEST(TailJson, AnUpdateThatLeavesTheKeyAloneHasTheKeyToo) {
  const auto changes = changes_as_json({P::update(kItem.id, {text("1"), text("a"), null()})});
  EXPECT_EQ(changes.at(0).at("key"), json::parse(R"({"id": "1"})"));
}

TEST(TailJson, D12NumbersKeepTheirDigits) {
  const std::string huge = "9223372036854775807";
  const std::string precise = "12345678901234567890.123456789012345678901234567890";
  const auto changes = changes_as_json({P::insert(kItem.id, {text(huge), text(precise), text("0.10")})});
  EXPECT_EQ(changes.at(0).at("new").at("id"), huge);
  EXPECT_EQ(changes.at(0).at("new").at("note"), precise);
  EXPECT_EQ(changes.at(0).at("new").at("doc"), "0.10");
}

TEST(TailJson, J1TruncateListsTablesAndFlags) {
  const auto changes = changes_as_json({P::truncate({kItem.id, kFull.id}, kTruncateRestartIdentity)});
  EXPECT_EQ(changes.at(0), json::parse(R"({"op": "truncate", "xid": 742, "lsn": "0/820",
    "tables": [{"schema": "public", "table": "item"}, {"schema": "public", "table": "log"}],
    "cascade": false, "restart_identity": true})"));
}

TEST(TailJson, D5EveryCharacterComesBack) {
  std::string all;
  for (int c = 1; c < 0x80; ++c) all += static_cast<char>(c);
  all += "é中😀\xc2\x80\xc2\x9f\xc2\xa0\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf\xe2\x81\xa6\xe2\x81\xa9";
  const std::string out = printed(TailFormat::kJson, {P::insert(kItem.id, {text("1"), text(all), text("NULL")})});
  EXPECT_EQ(lines_of(out).size(), 3U);
  const json change = json::parse(lines_of(out).at(1));
  EXPECT_EQ(change.at("new").at("note"), all);
  EXPECT_EQ(change.at("new").at("doc"), "NULL");
}

TEST(QuotedText, LeavesPlainNamesBare) {
  for (const auto& [name, shown] : std::vector<std::pair<std::string, std::string>>{{"item_2", "item_2"},
                                                                                    {"Item", "Item"},
                                                                                    {"a b", "\"a b\""},
                                                                                    {"größe", "\"größe\""},
                                                                                    {"", "\"\""},
                                                                                    {"new:", "\"new:\""}}) {
    std::string out;
    append_name(out, name);
    EXPECT_EQ(out, shown);
  }
}

TEST(TailPrinter, C9ATransactionWithoutSelectedChangesGivesNoLine) {
  TailPrinter printer = printer_of(TailFormat::kText, {"public.l*"});
  EXPECT_EQ(printer.lines_of(test::slice_of(kFacts, {}, {})), "");
  const Bytes item = P::insert(kItem.id, {text("1"), null(), null()});
  EXPECT_EQ(printer.lines_of(test::slice_of(kFacts, {kItem}, {item})), "");
  EXPECT_EQ(printer.transactions(), 0U);
  const std::string out =
      printer.lines_of(test::slice_of(kFacts, {kItem, kFull}, {item, P::insert(kFull.id, {text("1"), null()}), item}));
  EXPECT_EQ(lines_of(out).size(), 3U);
  EXPECT_THAT(out, HasSubstr("commit xid=742 end_lsn=0/1038 changes=1\n"));
  EXPECT_EQ(printer.transactions(), 1U);
  EXPECT_EQ(printer.changes(), 1U);
}

TEST(TailPrinter, ATruncateShowsItsSelectedTablesOnly) {
  TailPrinter printer = printer_of(TailFormat::kText, {"public.item"});
  EXPECT_THAT(printer.lines_of(test::slice_of(kFacts, {kItem, kFull}, {P::truncate({kFull.id, kItem.id})})),
              HasSubstr("truncate public.item\n"));
  EXPECT_EQ(printer.lines_of(test::slice_of(kFacts, {kItem, kFull}, {P::truncate({kFull.id})})), "");
}

TEST(TailPrinter, ATransactionInSeveralSlicesHasOneBeginAndOneCommit) {
  TransactionAssembler assembler({.own_origin_prefix = "", .slice_bytes_max = 1});
  std::vector<Bytes> body = {P::relation(kItem)};
  for (int i = 0; i < 3; ++i) body.push_back(P::insert(kItem.id, {text(std::to_string(i)), null(), null()}));
  const auto slices = test::feed(assembler, test::transaction(kFacts, body));
  ASSERT_GT(slices.size(), 2U);
  TailPrinter printer = printer_of(TailFormat::kText);
  std::string out;
  for (const TransactionSlice& slice : slices) out += printer.lines_of(slice);
  const auto lines = lines_of(out);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_THAT(lines.front(), HasSubstr("begin xid=742"));
  EXPECT_THAT(lines.back(), HasSubstr("commit xid=742 end_lsn=0/1038 changes=3"));
  EXPECT_EQ(printer.transactions(), 1U);
}

}  // namespace
}  // namespace teal
