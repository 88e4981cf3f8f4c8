// The writes move to the other side and back, through PgBouncer and without: nobody fails, nothing is lost or twice,
// and the pause is short (TRAPS L1 to L6, W12, W13, J6, J7).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/scenario/cutover_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Cutover : public CutoverFixture {};

TEST_F(Cutover, W13ThereAndBackUnderLoadNoClientFailsAndNoRowIsLostOrTwice) {
  start_links();
  EXPECT_EQ(command({"verify"}).exit_code, 0);
  Pgbench clients(blue_server(), kOwnerRole, kShopDatabase,
                  {.clients = 16, .seconds = 20, .port = bouncer_->port(), .more = {"-n", "--rate=800"}});
  wait_until("they write", seconds(20), [&] { return history(blue()) > 500; });
  std::vector<double> pauses;
  bool on_green = false;
  while (clients.running() && pauses.size() < (by_hand_tier() ? 100 : 10)) {
    const nlohmann::json report = cut(on_green ? "rollback" : "cutover", 0);
    if (report["result"] != "moved") break;
    on_green = !on_green;
    pauses.push_back(report["pause_ms"]);
  }
  const PgbenchResult result = clients.wait(seconds(120));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.failed, 0) << result.output;
  wait_both_caught_up();
  EXPECT_EQ(history(blue()), result.transactions);
  expect_sides_equal();
  EXPECT_EQ(writable(), on_green ? "green" : "blue");
  std::sort(pauses.begin(), pauses.end());
  ASSERT_GT(pauses.size(), 3U);
  std::printf("%zu moves, median %.0f ms, second worst %.0f ms\n", pauses.size(), pauses[pauses.size() / 2],
              pauses[pauses.size() - 2]);
}

}  // namespace
}  // namespace teal::test
