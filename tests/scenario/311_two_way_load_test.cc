// Applications write the same rows on both sides at once: when they stop, both sides are alike (TRAPS B, G, W3, W8).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenario/two_way_load_fixture.h"
#include "tests/support/fake_clock.h"

namespace teal::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

int load_seconds(int of_long_tier) {
  const char* given = std::getenv("TEAL_LOAD_SECONDS");
  if (given != nullptr) return std::atoi(given);
  return long_tier() ? of_long_tier : 6;
}

class TwoWayLoad : public TwoWayLoadFixture {
 protected:
  explicit TwoWayLoad(int long_seconds = 60) : TwoWayLoadFixture(load_seconds(long_seconds)) {}

  /// Both sides have the same rows, each side's changes were received once, and nothing of them came back.
  void expect_alike();

  void wait_for_rows_of(const std::string& side) {
    wait_until("rows of " + side, seconds(30),
               [&] { return green().truth("SELECT count(*) > 5 FROM register WHERE v = " + sql_text(side)); });
  }

  /// Changes of applications, without those that came again in a new session.
  std::int64_t first_received(const std::string& link) {
    return counter(link, "received") - counter(link, "own") - counter(link, "already_applied");
  }
};

void TwoWayLoad::expect_alike() {
  wait_both_caught_up();
  expect_all_equal();
  expect_ledgers_close();
  // B1: what is not teal's own is what the applications wrote, and nothing of it came back.
  EXPECT_EQ(first_received("blue_to_green"), local_changes(blue()));
  EXPECT_EQ(first_received("green_to_blue"), local_changes(green()));
  std::printf("%lld transactions, lost %lld to green, %lld to blue\n", static_cast<long long>(transactions_),
              static_cast<long long>(counter("blue_to_green", "conflict_lost")),
              static_cast<long long>(counter("green_to_blue", "conflict_lost")));
}

TEST_F(TwoWayLoad, B1W3W8BothSidesAreAlikeWhenTheWritersStop) {
  start_both(kRegisterTable, {"public.register"});
  count_local_changes(blue());
  count_local_changes(green());
  write_on_both(register_script(200));
  expect_alike();
}

class OtherClock : public TwoWayLoad, public testing::WithParamInterface<std::pair<const char*, const char*>> {
 protected:
  OtherClock() : TwoWayLoad(20) {}
  [[nodiscard]] PgServerOptions green_options() const override {
    PgServerOptions options;
    options.environment = clock_.environment();
    return options;
  }

  /// What green's clock is ahead of this machine's.
  void expect_offset(const std::string& offset) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const std::int64_t ahead = green().number("SELECT round(extract(epoch FROM clock_timestamp()))") -
                               std::chrono::round<seconds>(now).count();
    EXPECT_LE(std::abs(ahead - std::stoll(offset)), 3) << ahead;
  }

  const FakeClock clock_{GetParam().first};
};

TEST_P(OtherClock, W3W8G2BothSidesAreAlikeAlsoWhenItSteps) {
  start_both(kRegisterTable, {"public.register"});
  expect_offset(GetParam().first);
  count_local_changes(blue());
  count_local_changes(green());
  write_on_both(register_script(200), [this] {
    wait_for_rows_of("green");
    clock_.set(GetParam().second);
    expect_offset(GetParam().second);
  });
  expect_alike();
}

INSTANTIATE_TEST_SUITE_P(Offsets, OtherClock,
                         testing::Values(std::pair{"+3600", "+3600"}, std::pair{"-3600", "-3600"},
                                         std::pair{"+0", "-3600"}, std::pair{"+0", "+600"}),
                         [](const auto& clock) { return "Number" + std::to_string(clock.index); });

// A change is decided only once the target's own stream has been read up to it: that must not take a timer's round.
TEST_F(TwoWayLoad, OneChangeIsOnTheOtherSideAtOnce) {
  start_both(kRegisterTable, {"public.register"});
  std::vector<milliseconds> times;
  for (int i = 0; i < 41; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    blue_owner().exec("INSERT INTO register VALUES (" + std::to_string(i) + ", 'blue', 0)");
    wait_for_count("register", i + 1);
    times.push_back(std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin));
  }
  std::sort(times.begin(), times.end());
  std::printf("median %lld ms, most %lld ms\n", static_cast<long long>(times[20].count()),
              static_cast<long long>(times.back().count()));
  EXPECT_LT(times[20], milliseconds(100));
}

}  // namespace
}  // namespace teal::test
