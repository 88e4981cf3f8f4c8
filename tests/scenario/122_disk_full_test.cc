// Green has no space left: nothing is skipped, teal stays, and goes on once there is space again.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "tests/scenario/sidecar_fixture.h"
#include "tests/support/small_mount.h"

namespace teal::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr std::uint64_t kMiB = 1U << 20U;

class DiskFull : public SidecarFixture {
 protected:
  /// So many rows of about 4 kB that no compression makes small.
  void write_rows(int count) {
    blue_owner().exec(
        "INSERT INTO item SELECT coalesce((SELECT max(id) FROM item), 0) + i, (SELECT string_agg(md5(i || '/' || n || "
        "random()), '') FROM generate_series(1, 120) n) FROM generate_series(1, " +
        std::to_string(count) + ") i");
  }

  // Made before the servers, which have to see it.
  SmallMount mount_{96 * kMiB};
};

TEST_F(DiskFull, I1TablespaceThatIsFullStopsNothingForGood) {
  fs::create_directory(mount_.path() / "space");
  const UserIds user = server_user().value();
  ASSERT_EQ(::chown((mount_.path() / "space").c_str(), user.uid, user.gid), 0);
  green().exec("CREATE TABLESPACE small LOCATION " + sql_text((mount_.path() / "space").string()));
  green().exec("GRANT CREATE ON TABLESPACE small TO shop_owner");
  const std::string table = "CREATE TABLE item (id int PRIMARY KEY, v text)";
  start(table, table + " TABLESPACE small", {"public.item"});
  write_rows(100);
  wait_caught_up();
  mount_.fill(2 * kMiB);
  for (int i = 0; i < 3; ++i) write_rows(1000);
  teal_->wait_for_log("link interrupted.*No space left", seconds(30));
  EXPECT_EQ(green().number("SELECT count(*) % 1000 FROM item"), 100) << "half a transaction";
  blue_owner().exec("UPDATE item SET v = 'changed' WHERE id % 10 = 0; DELETE FROM item WHERE id % 7 = 0");
  EXPECT_TRUE(teal_->running());
  mount_.free();
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

TEST_F(DiskFull, I1WalThatIsFullEndsGreenAndCostsNothing) {
  green_server().configure({"max_wal_size=32MB", "min_wal_size=32MB"});
  green_server().stop();
  const fs::path wal = green_server().directory() / "data" / "pg_wal";
  SpawnOptions copy;
  copy.argv = {"/bin/cp", "-a", wal.string(), (mount_.path() / "wal").string()};
  ASSERT_EQ(run_program(copy, seconds(30)), 0);
  fs::remove_all(wal);
  fs::create_directory_symlink(mount_.path() / "wal", wal);
  green_server().start();
  start("CREATE TABLE item (id int PRIMARY KEY, v text)", {"public.item"});
  write_rows(100);
  wait_caught_up();
  mount_.fill(4 * kMiB);
  wait_until("green has no space for its WAL", seconds(60), [&] {
    write_rows(300);
    return green_server().log().find("No space left on device") != std::string::npos;
  });
  teal_->wait_for_log("link interrupted", seconds(30));
  EXPECT_TRUE(teal_->running());
  mount_.free();
  wait_until("green is back", seconds(30), [&] {
    green_server().start();
    return PQping(green_server().conninfo("postgres", "postgres").c_str()) == PQPING_OK;
  });
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

TEST_F(DiskFull, M1SpillDirectoryThatIsFullLeavesTheTransactionToTheSource) {
  blue_server().configure({"logical_decoding_work_mem=64kB"});
  blue_server().restart();
  const fs::path spill = mount_.path() / "spill";
  fs::create_directory(spill);
  start("CREATE TABLE item (id int PRIMARY KEY, v text)", {"public.item"},
        "apply: { spill_dir: " + spill.string() + " }\n");
  mount_.fill(2 * kMiB);
  blue_owner().exec("BEGIN");
  write_rows(2000);
  teal_->wait_for_log("link interrupted.*No space left", seconds(30));
  blue_owner().exec("COMMIT");
  wait_caught_up();
  expect_equal("public.item");
  EXPECT_EQ(times_logged("link interrupted"), 1U) << "the session after it asks for no blocks";
  EXPECT_TRUE(fs::is_empty(spill));
  EXPECT_EQ(teal_->terminate(), 0) << teal_->err();
}

}  // namespace
}  // namespace teal::test
