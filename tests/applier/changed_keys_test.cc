#include "applier/changed_keys.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

/// Batches of rows of one table with a key of one text column.
class ChangedKeysTest : public testing::Test {
 protected:
  ChangedKeysTest() {
    table_.target = {"public", "item"};
    table_.columns.push_back({.name = "\"id\"", .element = 25});
    table_.key = {0};
  }

  void note(ChangedKeys& keys, int from, int to) {
    texts_.clear();
    for (int i = from; i < to; ++i) texts_.push_back(std::to_string(i));
    values_.clear();
    for (const std::string& text : texts_) {
      ColumnValue value;
      value.kind = ColumnKind::kText;
      value.data = reinterpret_cast<const std::byte*>(text.data());
      value.size = static_cast<std::uint32_t>(text.size());
      values_.push_back(value);
    }
    Segment segment;
    segment.table = &table_;
    for (const ColumnValue& value : values_) {
      NetRow row;
      row.key.columns = TupleView(&value, 1);
      segment.rows.push_back(row);
    }
    std::vector<Epoch> epochs(1);
    epochs[0].tables.emplace_back();
    epochs[0].tables[0].push_back(std::move(segment));
    keys.note(epochs);
  }

  static std::vector<std::string> ids(const std::vector<ChangedRowKey>& keys) {
    std::vector<std::string> ids;
    ids.reserve(keys.size());
    for (const ChangedRowKey& key : keys) ids.push_back(key.values.at(0));
    return ids;
  }

  TargetTable table_;
  std::vector<std::string> texts_;
  std::vector<ColumnValue> values_;
};

TEST_F(ChangedKeysTest, GivesEachKeyOnceAndTheOldestFirst) {
  ChangedKeys keys;
  note(keys, 1, 4);
  note(keys, 2, 5);
  const std::vector<ChangedRowKey> first = keys.take(2);
  EXPECT_EQ(ids(first), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(first[0].target, (TableName{"public", "item"}));
  EXPECT_EQ(first[0].columns, std::vector<std::string>{"\"id\""});
  note(keys, 1, 2);
  EXPECT_EQ(ids(keys.take(9)), (std::vector<std::string>{"3", "4", "1"}));
  EXPECT_TRUE(keys.take(9).empty());
}

TEST_F(ChangedKeysTest, DropsTheOldestOfTooMany) {
  ChangedKeys keys(3, 100);
  note(keys, 1, 6);
  EXPECT_EQ(ids(keys.take(9)), (std::vector<std::string>{"3", "4", "5"}));
  note(keys, 1, 2);
  EXPECT_EQ(ids(keys.take(9)), std::vector<std::string>{"1"}) << "what was dropped is not known any more";
}

TEST_F(ChangedKeysTest, TakesAFewOfALargeBatchFromAllOfIt) {
  ChangedKeys keys(1000, 10);
  note(keys, 0, 1000);
  const std::vector<std::string> taken = ids(keys.take(1000));
  EXPECT_LE(taken.size(), 10U);
  EXPECT_GE(taken.size(), 9U);
  EXPECT_GT(std::stoi(taken.back()), 800);
}

TEST_F(ChangedKeysTest, LeavesOutWhatHasNoKeyOrNoText) {
  ChangedKeys keys;
  table_.whole_rows = true;
  note(keys, 1, 2);
  EXPECT_TRUE(keys.take(9).empty());
  ColumnValue stamp;
  stamp.kind = ColumnKind::kBinary;
  EXPECT_FALSE(key_value_text(1184, stamp).has_value()) << "a timestamptz";
  const std::byte number[4] = {std::byte{0}, std::byte{0}, std::byte{1}, std::byte{2}};
  stamp.data = number;
  stamp.size = 4;
  EXPECT_EQ(key_value_text(23, stamp), "258");
}

}  // namespace
}  // namespace teal
