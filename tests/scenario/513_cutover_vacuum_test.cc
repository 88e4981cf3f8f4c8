// Autovacuum at work on a big table keeps nobody waiting, and no client is ended for it (TRAPS L2).
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/scenario/cutover_fixture.h"

namespace teal::test {
namespace {

using std::chrono::seconds;

class CutoverVacuum : public CutoverFixture {
 protected:
  [[nodiscard]] PgServerOptions blue_options() const override {
    return {.settings = {"max_prepared_transactions=5", "autovacuum_naptime=1"}};
  }
  bool vacuums() {
    return blue().number(
               "SELECT count(*) FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a USING (pid) WHERE "
               "a.backend_type = "
               "'autovacuum worker' AND v.relid = 'public.pgbench_accounts'::regclass") > 0;
  }
};

TEST_F(CutoverVacuum, L2NeitherTheFirstMoveNorTheNextOnesWaitForIt) {
  start_links();
  blue_owner().exec(
      "ALTER TABLE public.pgbench_accounts SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, "
      "autovacuum_vacuum_cost_delay = 50, autovacuum_vacuum_cost_limit = 20)");
  Pgbench clients(blue_server(), kOwnerRole, kShopDatabase,
                  {.clients = 8, .seconds = 25, .port = bouncer_->port(), .more = {"-n", "--rate=200"}});
  bool on_green = false;
  for (int move = 1; move <= 4; ++move) {
    if (!on_green) wait_until("it is being vacuumed", seconds(60), [&] { return vacuums(); });
    const nlohmann::json report = cut(on_green ? "rollback" : "cutover", 0, {"--unverified"});
    EXPECT_EQ(report["tries"], 1) << report.dump(1);
    EXPECT_LT(report["pause_ms"], 500) << report.dump(1);
    on_green = !on_green;
  }
  const PgbenchResult result = clients.wait(seconds(90));
  EXPECT_EQ(result.failed, 0) << result.output;
  wait_both_caught_up();
  EXPECT_EQ(history(blue()), result.transactions);
}

}  // namespace
}  // namespace teal::test
