#include "tools/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tools/range_states.h"

namespace teal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

MigrationStatus one_link() {
  LinkStatus link;
  link.link = "blue_to_green";
  link.phase = "streaming";
  link.source_lsn = Lsn{0x3000};
  link.progress.applied = Lsn{0x2000};
  link.stale_seconds = 1.5;
  link.counters = {{"received", 7}, {"transactions", 3}, {"batches", 2}, {"values", "binary"}};
  link.copied_rows = 10;
  link.copied_bytes = 200;
  link.tables = {{TableName{"public", "item"}, {.state = "copied", .rows = 10, .bytes = 200}}};
  MigrationStatus status;
  status.name = "shop";
  status.links.push_back(std::move(link));
  return status;
}

TEST(Metrics, SayWhatStatusSays) {
  const std::string text = metrics_text(one_link());
  for (const char* line :
       {"# TYPE teal_lag_bytes gauge\n", "teal_lag_bytes{link=\"blue_to_green\"} 4096\n",
        "teal_lag_seconds{link=\"blue_to_green\"} 1.5\n", "# TYPE teal_received_changes_total counter\n",
        "teal_received_changes_total{link=\"blue_to_green\"} 7\n",
        "teal_transactions_total{link=\"blue_to_green\"} 3\n", "teal_batches_total{link=\"blue_to_green\"} 2\n",
        "teal_quarantined_rows{link=\"blue_to_green\"} 0\n",
        "teal_table_state{link=\"blue_to_green\",table=\"public.item\",state=\"copied\"} 1\n",
        "teal_copy_rows_total{link=\"blue_to_green\"} 10\n", "teal_copy_bytes_total{link=\"blue_to_green\"} 200\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, HasSubstr(std::string("teal_build_info{version=\"") + TEAL_VERSION + "\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("teal_verify_rows_total"))) << "nobody compares";
  EXPECT_THAT(text, Not(HasSubstr("teal_slot_safe_wal_bytes"))) << "no limit is set";
}

TEST(Metrics, SlotAndComparisonAreToldWhenThereIsSomethingToTell) {
  MigrationStatus status = one_link();
  status.links[0].slot.emplace();
  status.links[0].slot->safe_wal_bytes = 8192;
  status.verifying.emplace();
  status.verifying->progress.rows = 1000;
  status.verifying->progress.last = {.equal = 4, .unchecked = 1, .differs = 2};
  const std::string text = metrics_text(status);
  for (const char* line :
       {"teal_slot_safe_wal_bytes{link=\"blue_to_green\"} 8192\n", "teal_slot_loss_seconds{link=\"blue_to_green\"} 3\n",
        "teal_verify_rows_total 1000\n", "teal_verify_ranges{state=\"equal\"} 4\n",
        "teal_verify_ranges{state=\"unchecked\"} 1\n", "teal_verify_ranges{state=\"differs\"} 2\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Metrics, ComparisonThatNobodyMakesAnyMoreHasNoRanges) {
  MigrationStatus status = one_link();
  status.verifying.emplace();
  status.verifying->progress.last.differs = 1;
  status.verifying->seconds_ago = 3600;
  EXPECT_THAT(metrics_text(status), Not(HasSubstr("teal_verify_ranges")));
}

TEST(Metrics, NothingThatIsSetUpIsTheBuildAlone) {
  EXPECT_THAT(metrics_text({.name = "shop"}), Not(HasSubstr("teal_lag_bytes")));
}

TEST(Metrics, S22NamesOfTablesAreEscapedAndBounded) {
  MigrationStatus status = one_link();
  status.links[0].tables[0].name.name = "a\"} 1\nteal_lag_bytes 0\\";
  for (std::size_t i = 0; i < kLabelledTablesMost + 40; ++i) {
    status.links[0].tables.push_back({TableName{"public", "t" + std::to_string(i)}, {.state = "pending"}});
  }
  const std::string text = metrics_text(status);
  EXPECT_THAT(text, HasSubstr("table=\"public.a\\\"} 1\\nteal_lag_bytes 0\\\\\""));
  EXPECT_THAT(text, Not(HasSubstr("\nteal_lag_bytes 0")));
  EXPECT_THAT(text, HasSubstr("teal_table_state{link=\"blue_to_green\",table=\"(others)\",state=\"pending\"} 41\n"));
  EXPECT_THAT(text, Not(HasSubstr("\"public.t499\"")));
}

TEST(RangeStates, EachRangeHasACharacterUntilThereAreTooMany) {
  RangeStates states;
  for (std::size_t i = 0; i < RangeStates::kCharactersMost; ++i)
    states.add(i == 5 ? RangeState::kDiffers : RangeState::kEqual);
  EXPECT_EQ(states.text().size(), RangeStates::kCharactersMost);
  EXPECT_EQ(states.text().substr(0, 8), "=====!==");
  EXPECT_EQ(states.ranges_each(), 1U);
  states.add(RangeState::kUnchecked);
  states.add(RangeState::kEqual);
  EXPECT_EQ(states.ranges_each(), 2U);
  EXPECT_EQ(states.text().size(), RangeStates::kCharactersMost / 2 + 1);
  EXPECT_EQ(states.text().substr(0, 4), "==!=") << "the worst of both";
  EXPECT_EQ(states.text().back(), '?');
  EXPECT_EQ(states.counts(), (RangeCounts{RangeStates::kCharactersMost, 1, 1}));
}

}  // namespace
}  // namespace teal::test
