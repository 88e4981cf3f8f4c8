// What is written down about conflicts: both versions, once, with the decision (TRAPS G11).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>

#include "applier/batch_writer.h"
#include "applier/conflict_log.h"
#include "engine/pg_error.h"
#include "tests/scenario/conflict_fixture.h"

namespace teal::test {
namespace {

using nlohmann::json;

class ConflictLogTest : public ConflictFixture {
 protected:
  /// `resolution incoming standing` of each row of the log; `-` where there is none.
  std::string versions() {
    return green().value(
        "SELECT coalesce(string_agg(concat_ws(' ', resolution, coalesce(incoming_row->>'name', '-'), "
        "coalesce(standing_row->>'name', '-')), E'\\n' ORDER BY id), '') FROM teal.conflict_log");
  }
  std::string counts() {
    return green().value(
        "SELECT coalesce(string_agg(concat_ws(' ', migration, link, table_name, type, resolution, count), E'\\n' ORDER "
        "BY type, resolution), '') FROM teal.conflict_stats");
  }
};

TEST_F(ConflictLogTest, HoldsBothVersionsAndWhereOneIsARowThatIsGoneNothing) {
  green().exec("INSERT INTO item VALUES (3, 'old'), (4, 'old')");
  green_commits(5,
                "INSERT INTO item VALUES (1, 'green'), (2, 'green'); DELETE FROM item WHERE id = 3; UPDATE item SET "
                "name = 'green' WHERE id = 4",
                {insert("1", "green"), insert("2", "green"), remove("3"), update("4", "green")});
  apply(blue(4, {insert("1", "blue")}));
  apply(blue(6, {insert("2", "blue"), update("3", "blue"), remove("4")}));
  EXPECT_EQ(items(), "1:green 2:blue 3:blue");
  EXPECT_EQ(versions(),
            "kept blue green\n"
            "applied blue green\n"
            "applied blue -\n"
            "applied - green");
  EXPECT_EQ(json::parse(green().value("SELECT incoming_row FROM teal.conflict_log ORDER BY id LIMIT 1")),
            json({{"id", "1"}, {"name", "blue"}, {"big", "whole"}}));
  EXPECT_EQ(json::parse(green().value("SELECT standing_row FROM teal.conflict_log ORDER BY id LIMIT 1")),
            json({{"id", "1"}, {"name", "green"}, {"big", nullptr}}));
  EXPECT_EQ(counts(),
            "shop blue_to_green public.item delete_origin_differs applied 1\n"
            "shop blue_to_green public.item insert_exists applied 1\n"
            "shop blue_to_green public.item insert_exists kept 1\n"
            "shop blue_to_green public.item update_deleted applied 1");
}

TEST_F(ConflictLogTest, VersionThatComesToLightWhileItIsOverwrittenIsHeldToo) {
  green().exec("INSERT INTO item VALUES (1, 'old')");
  green_owner().exec("UPDATE public.item SET name = 'green' WHERE id = 1");
  {
    const std::scoped_lock lock(mutex_);
    arrives_late_ = [this] {
      TransactionSlice slice = slice_of(at(5), {item()}, {update("1", "green")});
      green_changes_.slice(slice);
    };
  }
  apply(blue(6, {update("1", "blue")}));
  EXPECT_EQ(items(), "1:blue");
  EXPECT_EQ(versions(), "applied blue green");
}

TEST_F(ConflictLogTest, ColumnThatWasNotSentIsNotSaidToBeNull) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green', 'big')", {insert("1", "green")});
  apply(blue(4, {P::update(item().id, {text("1"), null(), unchanged()})}));
  EXPECT_EQ(json::parse(green().value("SELECT incoming_row FROM teal.conflict_log")),
            json({{"id", "1"}, {"name", nullptr}}));
}

TEST_F(ConflictLogTest, G10RowThatBothSidesWroteAlikeIsNoConflict) {
  green_commits(5, "INSERT INTO item VALUES (1, 'same', 'whole'), (2, 'green', 'whole'), (3, 'same', 'whole')",
                {insert("1", "same"), insert("2", "green"), insert("3", "same")});
  apply(blue(4, {insert("1", "same"), insert("2", "blue")}));
  apply(blue(6, {insert("3", "same")}));
  EXPECT_EQ(items(), "1:same 2:green 3:same");
  EXPECT_EQ(versions(), "kept blue green");
  EXPECT_EQ(counts(), "shop blue_to_green public.item insert_exists kept 1");
}

TEST_F(ConflictLogTest, RowsThatMayNotBeLoggedAreNot) {
  logs_rows_ = [](const TableName& table) { return table.name != "item"; };
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  apply(blue(4, {insert("1", "blue")}));
  EXPECT_EQ(log(), "insert_exists public.item (\"id\")=(1) kept");
  EXPECT_EQ(versions(), "kept - -");
}

TEST_F(ConflictLogTest, LargeRowIsLeftOutAndTheSmallOneIsThere) {
  const std::string large(kLoggedRowBytesMax, 'x');
  green_commits(5, "INSERT INTO item VALUES (1, 'green', '" + large + "'), (2, 'green', NULL)",
                {insert("1", "green"), insert("2", "green")});
  apply(blue(4, {insert("1", "blue"), P::insert(item().id, {text("2"), text("blue"), text(large)})}));
  EXPECT_EQ(versions(), "kept blue -\nkept - green");
}

TEST_F(ConflictLogTest, G11DecisionAndItsRowCommitTogetherAndAreCountedOnce) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  green_owner().exec("ALTER TABLE public.item ADD CHECK (name <> 'refused')");
  EXPECT_THROW(apply(blue(6, {insert("1", "blue"), insert("2", "refused")})), Stopped);
  EXPECT_EQ(log(), "");
  EXPECT_EQ(counts(), "");
  green_owner().exec("ALTER TABLE public.item DROP CONSTRAINT item_name_check");
  apply(blue(6, {insert("1", "blue"), insert("2", "refused")}));
  apply(blue(6, {insert("1", "blue"), insert("2", "refused")}));
  EXPECT_EQ(items(), "1:blue 2:refused");
  EXPECT_EQ(versions(), "applied blue green");
  EXPECT_EQ(counts(), "shop blue_to_green public.item insert_exists applied 1");
}

TEST_F(ConflictLogTest, G11LinkThatIsIdleLogsNothingAgain) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  ApplierOptions eager;
  eager.advance_interval = eager.heartbeat_interval = std::chrono::milliseconds(0);
  auto applier = open(eager);
  give(*applier, blue(6, {insert("1", "blue")}));
  applier->flush();
  const std::string written = green().value("SELECT updated_at FROM teal.progress");
  applier->idle(Lsn{0x9000}, Timestamp{9});
  applier->flush();
  EXPECT_NE(green().value("SELECT updated_at FROM teal.progress"), written) << "the row did not move";
  EXPECT_EQ(versions(), "applied blue green");
  EXPECT_EQ(counts(), "shop blue_to_green public.item insert_exists applied 1");
}

// The batch holds its table for itself then: nobody else can read it.
TEST_F(ConflictLogTest, TruncateInTheSameBatchDoesNotHoldUpTheLog) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  apply(blue(6, {insert("1", "blue"), P::truncate({item().id})}));
  EXPECT_EQ(items(), "");
  EXPECT_EQ(versions(), "applied blue -");
}

}  // namespace
}  // namespace teal::test
