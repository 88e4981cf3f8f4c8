// Changes that meet what applications have changed on green: decided by the rule, written or not, counted and logged
// (TRAPS G). Transactions are fed by hand into a real applier on a real server; green's own commits too, as its stream
// would bring them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "applier/side_changes.h"
#include "engine/pg_error.h"
#include "tests/scenario/applier_fixture.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;
using testing::HasSubstr;

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id"), column("name"), column("big")});

Bytes insert(const std::string& id, const std::string& name) {
  return P::insert(kItem.id, {text(id), text(name), text("whole")});
}
Bytes update(const std::string& id, const std::string& name) {
  return P::update(kItem.id, {text(id), text(name), text("whole")});
}
Bytes remove(const std::string& id) { return P::delete_key(kItem.id, {text(id), null(), null()}); }

std::optional<KeyShape> item_shape(const Relation& relation) {
  return make_key_shape(relation, relation.schema, relation.name, {"id"});
}

class Conflicts : public ApplierFixture {
 protected:
  void SetUp() override {
    ApplierFixture::SetUp();
    prepare("CREATE TABLE item (id int PRIMARY KEY, name text, big text)", {"item"});
    // Stands for the link that reads green: what was given to `green_commits` has arrived.
    reader_ = std::jthread([this](const std::stop_token& stop) {
      Sql sql = green_server().connect("postgres", kShopDatabase);
      while (!stop.stop_requested()) {
        const auto position = parse_lsn(sql.value("SELECT pg_current_wal_insert_lsn()"));
        const std::scoped_lock lock(mutex_);
        if (arrives_late_) std::exchange(arrives_late_, nullptr)();
        green_changes_.passed(*position);
      }
    });
  }

  std::unique_ptr<Applier> open() {
    ApplierOptions options;
    options.conflicts = ConflictGuardOptions{
        {Side::kBlue, &blue_changes_, &green_changes_, [this](const TableName&) { return policy_; }}, names_, [this] {
          return PgConnection::connect(green_connect("fence"));
        }};
    return open_applier(options);
  }

  /// An application's commit on green at `position` of its log: `sql` there, `rows` in its stream.
  void green_commits(std::uint64_t position, const std::string& sql, const std::vector<Bytes>& rows) {
    green_owner().exec("SET search_path = public; " + sql);
    TransactionSlice slice = slice_of(at(position), {kItem}, rows);
    green_changes_.slice(slice);
  }

  /// A commit on blue, which had seen green's log up to `seen`.
  TransactionSlice blue(std::uint64_t position, const std::vector<Bytes>& rows, std::uint64_t seen = 0) {
    blue_changes_.begin_session(Lsn{}, Timestamp{}, Lsn{seen * 0x1000 + 0x100});
    TransactionSlice slice = slice_of(at(position), {kItem}, rows);
    blue_changes_.slice(slice);
    return slice;
  }

  void apply(TransactionSlice slice) {
    auto applier = open();
    give(*applier, std::move(slice));
    applier->flush();
  }

  std::string items() { return content("item", "name"); }
  std::string log() {
    return green().value(
        "SELECT coalesce(string_agg(concat_ws(' ', type, table_name, key, resolution), E'\\n' ORDER BY id), '') "
        "FROM teal.conflict_log");
  }

  ConflictPolicy policy_ = ConflictPolicy::kLastUpdateWins;
  SideChanges blue_changes_{"green_to_blue", item_shape};
  SideChanges green_changes_{"blue_to_green", item_shape};
  std::mutex mutex_;
  std::function<void()> arrives_late_;  // called by the reader before it passes anything more
  std::jthread reader_;
};

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
      TransactionSlice slice = slice_of(at(9), {kItem}, {update("1", "green"), remove("2")});
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

TEST_F(Conflicts, WinnerThatWasNotSentWholeStopsTheLink) {
  green().exec("INSERT INTO item VALUES (1, 'old', 'big')");
  green_commits(5, "UPDATE item SET big = 'other'", {update("1", "old")});
  try {
    apply(blue(6, {P::update(kItem.id, {text("1"), text("blue"), unchanged()})}));
    FAIL() << "half a row would win";
  } catch (const Stopped& stopped) {
    EXPECT_THAT(stopped.what(), HasSubstr("REPLICA IDENTITY FULL"));
  }
  EXPECT_EQ(items(), "1:old");
}

TEST_F(Conflicts, TruncateTakesWhatIsOlderAndStopsAtWhatIsLater) {
  green_commits(5, "INSERT INTO item VALUES (1, 'green')", {insert("1", "green")});
  EXPECT_THROW(apply(blue(4, {P::truncate({kItem.id})})), Stopped);
  EXPECT_EQ(items(), "1:green");
  apply(blue(6, {P::truncate({kItem.id})}));
  EXPECT_EQ(items(), "");
}

}  // namespace
}  // namespace teal::test
