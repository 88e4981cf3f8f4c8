// Changes that meet what applications have changed on green: decided by the rule, written or not, counted and logged
// (TRAPS G). Transactions are fed by hand into a real applier on a real server; green's own commits too, as its stream
// would bring them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "engine/pg_error.h"
#include "tests/scenario/conflict_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;

using Conflicts = ConflictFixture;

TEST_F(Conflicts, G1InsertOnBothSidesKeepsTheLaterOne) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green'), (2, 'green')", {insert("1", "green"), insert("2", "green")});
  apply(blue(3, {insert("1", "blue"), insert("3", "blue")}));
  apply(blue(7, {insert("2", "blue")}));
  EXPECT_EQ(items(), "1:green 2:blue 3:blue");
  EXPECT_EQ(log(),
            "insert_exists public.item (\"id\")=(1) kept\n"
            "insert_exists public.item (\"id\")=(2) applied");
  EXPECT_EQ(counter("applied"), "2");
  EXPECT_EQ(counter("conflict_lost"), "1");
}

TEST_F(Conflicts, G4ChangeThatHadSeenGreensIsNotComparedWithIt) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  apply(blue(3, {update("1", "blue")}, 5));
  EXPECT_EQ(items(), "1:blue");
  EXPECT_EQ(log(), "");
}

TEST_F(Conflicts, G5UpdateOfARowThatGreenDeletedBringsItBackOrNot) {
  green().exec("INSERT INTO item VALUES (1, 'old'), (2, 'old')");
  green_commits(5, "DELETE FROM item", {remove("1"), remove("2")});
  apply(blue(4, {update("1", "blue")}));
  apply(blue(6, {update("2", "blue")}));
  EXPECT_EQ(items(), "2:blue");
  EXPECT_THAT(log(), HasSubstr("update_deleted public.item (\"id\")=(1) kept"));
  EXPECT_THAT(log(), HasSubstr("update_deleted public.item (\"id\")=(2) applied"));
}

TEST_F(Conflicts, G5DeleteMeetsALaterUpdateAnEarlierOneAndADelete) {
  green().exec("INSERT INTO item VALUES (1, 'old'), (2, 'old'), (3, 'old')");
  green_commits(5, "UPDATE item SET name = 'green' WHERE id < 3; DELETE FROM item WHERE id = 3",
                {update("1", "green"), update("2", "green"), remove("3")});
  apply(blue(4, {remove("1")}));
  apply(blue(6, {remove("2"), remove("3")}));
  EXPECT_EQ(items(), "1:green");
  EXPECT_EQ(counter("applied"), "2");
  EXPECT_EQ(counter("conflict_lost"), "1");
}

TEST_F(Conflicts, RowThatCameAndWentInOneBatchIsADeleteToGreensRow) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  apply(blue(6, {insert("1", "blue"), remove("1")}));
  EXPECT_EQ(items(), "");
  EXPECT_EQ(counter("received"), counter("applied"));
}

TEST_F(Conflicts, G6VersionThatComesToLightWhileTheRowsAreLockedIsDecidedAnew) {
  green().exec("INSERT INTO item VALUES (1, 'old'), (2, 'old')");
  green_owner().exec("UPDATE public.item SET name = 'green' WHERE id = 1; DELETE FROM public.item WHERE id = 2");
  {
    const std::scoped_lock lock(mutex_);
    arrives_late_ = [this] {
      TransactionSlice slice = slice_of(at(9), {item()}, {update("1", "green"), remove("2")});
      green_changes_.slice(slice);
    };
  }
  apply(blue(6, {update("1", "blue"), insert("7", "blue")}));
  apply(blue(7, {update("2", "blue")}));
  EXPECT_EQ(items(), "1:green 7:blue");
  EXPECT_EQ(counter("conflict_lost"), "2");
}

TEST_F(Conflicts, PolicyDecidesAndErrorStopsTheLink) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  policy_ = ConflictPolicy::kError;
  try {
    apply(blue(6, {insert("1", "blue")}));
    FAIL() << "it did not stop";
  } catch (const Stopped& stopped) {
    EXPECT_EQ(stopped.code(), StopCode::kData);
    EXPECT_THAT(stopped.what(), HasSubstr("public.item"));
    EXPECT_THAT(stopped.what(), HasSubstr("the table's conflict policy is error"));
  }
  EXPECT_EQ(items(), "1:green");
  policy_ = ConflictPolicy::kGreenWins;
  apply(blue(6, {insert("1", "blue")}));
  EXPECT_EQ(items(), "1:green");
  policy_ = ConflictPolicy::kBlueWins;
  apply(blue(7, {update("1", "blue again")}));
  EXPECT_EQ(items(), "1:blue again");
}

TEST_F(Conflicts, G5TruncateTakesWhatIsOlderAndSparesWhatIsLater) {
  green().exec("INSERT INTO item VALUES (2, 'old'), (3, 'old'), (4, 'old')");
  green_commits(5, "INSERT INTO item VALUES (1, 'green'); UPDATE item SET name = 'green' WHERE id = 2",
                {insert("1", "green"), update("2", "green")});
  green_commits(6, "DELETE FROM item WHERE id = 3", {remove("3")});
  apply(blue(4, {insert("7", "blue"), P::truncate({item().id}), insert("8", "blue")}));
  EXPECT_EQ(items(), "1:green 2:green 8:blue");
  EXPECT_EQ(log(),
            "delete_origin_differs public.item (\"id\")=(1) kept\n"
            "delete_origin_differs public.item (\"id\")=(2) kept");
  EXPECT_EQ(counter("received"), counter("applied"));
  apply(blue(7, {P::truncate({item().id})}));
  EXPECT_EQ(items(), "");
}

TEST_F(Conflicts, G6TruncateSparesWhatComesToLightWhileTheTableIsLocked) {
  green_owner().exec("INSERT INTO public.item VALUES (1, 'green'), (2, 'green')");
  {
    const std::scoped_lock lock(mutex_);
    arrives_late_ = [this] {
      TransactionSlice slice = slice_of(at(9), {item()}, {insert("1", "green")});
      green_changes_.slice(slice);
    };
  }
  apply(blue(6, {P::truncate({item().id})}));
  EXPECT_EQ(items(), "1:green");
}

TEST_F(Conflicts, G9TruncateThatPolicyErrorLeavesToTheOperatorNamesARow) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  policy_ = ConflictPolicy::kError;
  try {
    apply(blue(6, {P::truncate({item().id})}));
    FAIL() << "it did not stop";
  } catch (const Stopped& stopped) {
    EXPECT_EQ(stopped.code(), StopCode::kData);
    EXPECT_THAT(stopped.what(), HasSubstr("the row (\"id\")=(1) was changed on both sides"));
  }
  EXPECT_EQ(items(), "1:green");
}

TEST_F(Conflicts, G5TruncateWhoseRowsSomethingKeepsIsRefusedWithTheCount) {
  green().exec("INSERT INTO item VALUES (2, 'old')");
  green_owner().exec(
      "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER keep BEFORE "
      "DELETE ON public.item FOR EACH ROW EXECUTE FUNCTION keep(); ALTER TABLE public.item ENABLE ALWAYS TRIGGER keep");
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  try {
    apply(blue(4, {P::truncate({item().id})}));
    FAIL() << "it did not stop";
  } catch (const Stopped& stopped) {
    EXPECT_THAT(stopped.what(), HasSubstr("TRUNCATE on public.item"));
    EXPECT_THAT(stopped.what(), HasSubstr("touched 0 rows instead of 1"));
  }
  EXPECT_EQ(items(), "1:green 2:old");
}

// Both streams may be lost at once, and who waits for the other's does not look at its own.
TEST_F(Conflicts, LinkWhoseOwnStreamIsLostDoesNotWaitForTheOtherOne) {
  reader_ = {};
  TransactionSlice slice = blue(3, {insert("1", "blue")});
  blue_changes_.ended();
  try {
    apply(std::move(slice));
    FAIL() << "it was applied without green's stream";
  } catch (const PgError& error) {
    EXPECT_EQ(error.sqlstate(), "08006");
  }
}

// What comes again after a restart is only looked at; what green has not seen of it is known once it has come.
TEST_F(Conflicts, I6StreamStartsWhereItDidUntilAllHasComeBack) {
  TransactionSlice unseen = blue(1, {insert("1", "blue")});
  const Lsn oldest = unseen.facts.final_lsn;
  apply(std::move(unseen));
  apply(blue(2, {insert("2", "blue")}));
  EXPECT_EQ(green().value("SELECT held FROM teal.progress"), to_string(oldest));
  blue_changes_.forget(Lsn{0x10000});  // as in a process that has just begun
  blue_changes_.begin_session(oldest, Timestamp{}, Lsn{});
  apply(slice_of(at(1), {item()}, {insert("1", "blue")}));
  EXPECT_EQ(green().value("SELECT held FROM teal.progress"), to_string(oldest));
}

}  // namespace
}  // namespace teal::test
