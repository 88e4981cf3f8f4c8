// Both sides know a row by the same hash, whatever the order of their columns and the spelling of equal values.
#include "conflict/row_key.h"

#include <gtest/gtest.h>

#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

namespace teal::test {
namespace {

constexpr TypeId kInt4{23};
constexpr TypeId kText{25};
constexpr TypeId kChar{1042};
constexpr TypeId kFloat8{701};
constexpr TypeId kNumeric{1700};

struct Field {
  std::string name;
  TypeId type;
  std::string value;
  ColumnKind kind = ColumnKind::kText;
};

class Row {
 public:
  explicit Row(std::vector<Field> fields) : fields_(std::move(fields)) {
    relation_.schema = "public";
    relation_.name = "t";
    for (const Field& field : fields_) {
      relation_.columns.push_back({.name = field.name, .type = field.type});
      values_.push_back({reinterpret_cast<const std::byte*>(field.value.data()),
                         static_cast<std::uint32_t>(field.value.size()), field.kind});
    }
  }
  KeyHash key(const std::vector<std::string>& columns, const std::string& table = "t") const {
    return key_hash(make_key_shape(relation_, "public", table, columns), values_);
  }
  std::int64_t version(const std::string& column) const {
    return row_version(make_key_shape(relation_, "public", "t", {}, column), values_);
  }

 private:
  std::vector<Field> fields_;
  Relation relation_;
  std::vector<ColumnValue> values_;
};

KeyHash key_of(TypeId type, const std::string& value, ColumnKind kind = ColumnKind::kText) {
  return Row({{"k", type, value, kind}}).key({"k"});
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

TEST(RowKey, OrderOfColumnsAndOtherColumnsDoNotCount) {
  const Row blue({{"a", kInt4, "1"}, {"b", kText, "x"}, {"other", kText, "y"}});
  const Row green({{"b", kText, "x"}, {"more", kInt4, "7"}, {"a", kInt4, "1"}});
  EXPECT_EQ(blue.key({"a", "b"}), green.key({"b", "a"}));
}

TEST(RowKey, K3WhereAColumnEndsCounts) {
  const Row one({{"a", kText, "a"}, {"b", kText, "bc"}});
  const Row other({{"a", kText, "ab"}, {"b", kText, "c"}});
  EXPECT_NE(one.key({"a", "b"}), other.key({"a", "b"}));
}

TEST(RowKey, TablesCountAndSoDoesNull) {
  const Row row({{"a", kText, ""}});
  EXPECT_NE(row.key({"a"}), row.key({"a"}, "u"));
  EXPECT_NE(row.key({"a"}), Row({{"a", kText, "", ColumnKind::kNull}}).key({"a"}));
}

TEST(RowKey, EqualNumbersAreOneKey) {
  EXPECT_EQ(key_of(kNumeric, "1.50"), key_of(kNumeric, "1.5"));
  EXPECT_EQ(key_of(kNumeric, "100.00"), key_of(kNumeric, "100"));
  EXPECT_NE(key_of(kNumeric, "100"), key_of(kNumeric, "1"));
  EXPECT_NE(key_of(kNumeric, "10"), key_of(kNumeric, "100"));
  EXPECT_EQ(key_of(kFloat8, "-0"), key_of(kFloat8, "0"));
  // 1.5 and 1.50: one digit group before, one behind the point; scale 1 and 2.
  EXPECT_EQ(key_of(kNumeric, bytes({0, 2, 0, 0, 0, 0, 0, 1, 0, 1, 19, 136}), ColumnKind::kBinary),
            key_of(kNumeric, bytes({0, 2, 0, 0, 0, 0, 0, 2, 0, 1, 19, 136}), ColumnKind::kBinary));
  EXPECT_EQ(key_of(kFloat8, bytes({0x80, 0, 0, 0, 0, 0, 0, 0}), ColumnKind::kBinary),
            key_of(kFloat8, bytes({0, 0, 0, 0, 0, 0, 0, 0}), ColumnKind::kBinary));
}

TEST(RowKey, BlanksCountInTextAndNotInChar) {
  EXPECT_EQ(key_of(kChar, "a  "), key_of(kChar, "a"));
  EXPECT_NE(key_of(kText, "a  "), key_of(kText, "a"));
}

TEST(RowKey, G9VersionsAreIntegersAndNullIsBelowAll) {
  EXPECT_EQ(Row({{"v", kInt4, "-7"}}).version("v"), -7);
  EXPECT_EQ(Row({{"v", kInt4, bytes({255, 255, 255, 249}), ColumnKind::kBinary}}).version("v"), -7);
  EXPECT_EQ(Row({{"v", kInt4, bytes({1, 0}), ColumnKind::kBinary}}).version("v"), 256);
  EXPECT_EQ(Row({{"v", kInt4, "", ColumnKind::kNull}}).version("v"), kNoVersion);
  EXPECT_THROW((void)Row({{"v", kText, "seven"}}).version("v"), std::invalid_argument);
}

TEST(RowKey, ColumnThatIsNotSentIsNamed) {
  try {
    (void)Row({{"a", kInt4, "1"}}).key({"b"});
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "the source does not send column b of public.t");
  }
}

}  // namespace
}  // namespace teal::test
