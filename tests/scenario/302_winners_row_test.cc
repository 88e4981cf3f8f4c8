// A change that wins and was not sent whole (unchanged TOAST) is completed from the source (TRAPS C1, G5). Transactions
// are fed by hand into a real applier; the source that it reads from is a real server, which may be further than they.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>
#include <string>

#include "tests/scenario/conflict_fixture.h"

namespace teal::test {
namespace {

class WinnersRow : public ConflictFixture {
 protected:
  void SetUp() override {
    ConflictFixture::SetUp();
    blue_owner().exec("CREATE TABLE public.item (id int PRIMARY KEY, name text, big text)");
    green().exec("INSERT INTO item VALUES (1, 'old', 'big'), (2, 'old', 'big')");
  }

  static Bytes partial(const std::string& id, const std::string& name) {
    return P::update(item().id, {text(id), text(name), unchanged()});
  }
  static Bytes move(const std::string& from, const std::string& id, const std::string& name) {
    return P::update_key(item().id, {text(from), null(), null()}, {text(id), text(name), unchanged()});
  }
  /// Green has changed row 1 earlier than blue will, in the log's time.
  void green_changed_row_1() {
    green_commits(5, "UPDATE item SET name = 'green', big = 'green' WHERE id = 1", {update("1", "green")});
  }
  std::string rows() { return content("item", "name || '/' || big"); }
  std::string fetched() {
    return green().value("SELECT coalesce(string_agg(table_name || ' ' || left_out, ', '), '') FROM teal.fetched_key");
  }
  /// A position of the log that is fed by hand, above all that the source has by now.
  std::uint64_t later() {
    return parse_lsn(TwoNodeFixture::blue().value("SELECT pg_current_wal_insert_lsn()"))->value / 0x1000 + 2;
  }
};

TEST_F(WinnersRow, C1TakesWhatWasNotSentFromTheSource) {
  blue_owner().exec("INSERT INTO public.item VALUES (1, 'blue, and later', 'blue')");
  green_changed_row_1();
  apply(blue(6, {partial("1", "blue")}));
  EXPECT_EQ(rows(), "1:blue/blue 2:old/big");
  EXPECT_EQ(log(), "update_origin_differs public.item (\"id\")=(1) applied");
  EXPECT_EQ(fetched(), "public.item false");
  apply(blue(later(), {partial("1", "blue again")}, 5));
  EXPECT_EQ(rows(), "1:blue again/blue 2:old/big");
  EXPECT_EQ(fetched(), "") << "the stream has come to the moment of the reading";
  EXPECT_EQ(counter("applied"), "2");
}

TEST_F(WinnersRow, C1TakesNullForNull) {
  blue_owner().exec("INSERT INTO public.item VALUES (1, 'blue', NULL)");
  green_changed_row_1();
  apply(blue(6, {partial("1", "blue")}));
  EXPECT_EQ(green().value("SELECT big IS NULL FROM item WHERE id = 1"), "t");
}

TEST_F(WinnersRow, C1G5RowThatIsGoneFromTheSourceGoesAndItsDeleteFindsNothing) {
  green_changed_row_1();
  apply(blue(6, {partial("1", "blue")}));
  EXPECT_EQ(rows(), "2:old/big");
  EXPECT_EQ(fetched(), "public.item true");
  apply(blue(7, {remove("1")}, 5));
  EXPECT_EQ(rows(), "2:old/big");
  EXPECT_EQ(fetched(), "");
  EXPECT_EQ(counter("applied"), "2");
}

TEST_F(WinnersRow, C1G5RowThatIsGoneAndComesBackIsWritten) {
  green_changed_row_1();
  apply(blue(6, {partial("1", "blue")}));
  apply(blue(7, {partial("1", "blue again"), remove("1"), insert("1", "new")}, 5));
  EXPECT_EQ(rows(), "1:new/whole 2:old/big");
  EXPECT_EQ(fetched(), "");
}

TEST_F(WinnersRow, C1G5RowThatIsGoneInTheBatchThatDeletesIt) {
  green_changed_row_1();
  auto applier = open();
  give(*applier, blue(6, {partial("1", "blue")}));
  give(*applier, blue(7, {partial("1", "blue again")}, 5));
  give(*applier, blue(8, {remove("1")}, 5));
  applier->flush();
  EXPECT_EQ(rows(), "2:old/big");
  EXPECT_EQ(fetched(), "");
  EXPECT_EQ(counter("received"), counter("applied"));
}

// What has the old key by now is another row: the one that took the new key is not to get its value.
TEST_F(WinnersRow, C1G5KeyThatWasChangedSinceBringsItsOwnRow) {
  blue_owner().exec("INSERT INTO public.item VALUES (1, 'other', 'of the other'), (7, 'moved', 'of the moved')");
  green_changed_row_1();
  apply(blue(6, {partial("1", "blue")}));
  EXPECT_EQ(rows(), "1:blue/of the other 2:old/big");
  apply(blue(7, {move("1", "7", "moved")}, 5));
  EXPECT_EQ(rows(), "2:old/big 7:moved/of the moved");
  apply(blue(8, {move("2", "1", "other")}, 5));
  EXPECT_EQ(rows(), "1:other/big 7:moved/of the moved");
}

TEST_F(WinnersRow, C1G5KeyThatWasChangedToNobodysOldKeyBringsItsOwnRow) {
  blue_owner().exec("INSERT INTO public.item VALUES (7, 'moved', 'of the moved')");
  green_changed_row_1();
  auto applier = open();
  give(*applier, blue(6, {partial("1", "blue")}));
  give(*applier, blue(7, {move("1", "7", "moved")}, 5));
  applier->flush();
  EXPECT_EQ(rows(), "2:old/big 7:moved/of the moved");
  EXPECT_EQ(counter("received"), counter("applied"));
}

// Green's row stays under the old key; under the new one nothing is in the way, and nothing is there to take it from.
TEST_F(WinnersRow, C1G5KeyChangeThatLosesItsOldKeyBringsItsWholeRow) {
  blue_owner().exec("INSERT INTO public.item VALUES (7, 'moved', 'of the moved')");
  green_changed_row_1();
  apply(blue(4, {move("1", "7", "moved")}));
  EXPECT_EQ(rows(), "1:green/green 2:old/big 7:moved/of the moved");
}

TEST_F(WinnersRow, C1G6VersionThatComesToLightLaterIsReplacedWhole) {
  blue_owner().exec("INSERT INTO public.item VALUES (1, 'blue', 'blue')");
  green_owner().exec("UPDATE public.item SET name = 'green', big = 'green' WHERE id = 1");
  {
    const std::scoped_lock lock(mutex_);
    arrives_late_ = [this] {
      TransactionSlice slice = slice_of(at(5), {item()}, {update("1", "green")});
      green_changes_.slice(slice);
    };
  }
  apply(blue(6, {partial("1", "blue")}));
  EXPECT_EQ(rows(), "1:blue/blue 2:old/big");
}

}  // namespace
}  // namespace teal::test
