// pgbouncer.ini: one line is changed, and of it three values.
#include "tools/pooler_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "engine/pg_error.h"
#include "tests/support/scratch_directory.h"

namespace teal {
namespace {

const PoolerTarget kGreen{"green.example", "5433", "shop"};

TEST(PoolerConfig, ReplacesThreeValuesOfOneLineAndNothingElse) {
  const std::string ini =
      "; shop = host=comment\n[pgbouncer]\nshop = host=not-here\n\n[databases]\r\n# shop = host=no\n"
      "shopping = host=blue port=1\n  shop  =  dbname=shop  host=blue.example pool_size=5  port=5432 "
      "connect_query='SELECT "
      "''host=x'''  \n* = host=blue\n[users]\nshop = pool_mode=session\n";
  const std::string moved = with_pooler_target(ini, "shop", kGreen);
  EXPECT_THAT(moved, testing::HasSubstr("  shop  =  dbname=shop  host=green.example pool_size=5  port=5433 "
                                        "connect_query='SELECT ''host=x'''  \n* = host=blue\n"));
  EXPECT_EQ(with_pooler_target(moved, "shop", {"blue.example", "5432", "shop"}), ini);
  EXPECT_EQ(read_pooler_target(moved, "shop"), kGreen);
}

TEST(PoolerConfig, AddsWhatTheLineLacks) {
  EXPECT_EQ(with_pooler_target("[databases]\nshop =\n", "shop", kGreen),
            "[databases]\nshop = host=green.example port=5433 dbname=shop\n");
  EXPECT_EQ(with_pooler_target("[databases]\nshop = host=a auth_user=x", "shop", kGreen),
            "[databases]\nshop = host=green.example auth_user=x port=5433 dbname=shop");
}

TEST(PoolerConfig, LineWithoutAKeyIsWithoutItAgainAfterTheWayBack) {
  const std::string ini = "[databases]\nshop = dbname=shop\nshop = port=5432\n";
  const std::optional<PoolerTarget> blue = read_pooler_target(ini, "shop");
  ASSERT_TRUE(blue);
  const std::string moved = with_pooler_target(ini, "shop", kGreen);
  EXPECT_EQ(moved, "[databases]\nshop = dbname=shop\nshop = port=5433 host=green.example dbname=shop\n");
  EXPECT_EQ(read_pooler_target(with_pooler_target(moved, "shop", *blue), "shop"), blue);
}

TEST(PoolerConfig, QuotesWhatNeedsIt) {
  const PoolerTarget odd{"/run/my dir", "5433", "it's"};
  const std::string ini = with_pooler_target("[databases]\n\"shop\" = host='a b' dbname=x\n", "shop", odd);
  EXPECT_EQ(ini, "[databases]\n\"shop\" = host='/run/my dir' dbname='it''s' port=5433\n");
  EXPECT_EQ(read_pooler_target(ini, "shop"), odd);
}

TEST(PoolerConfig, LineThatIsNotThereIsNotMade) {
  for (const char* ini : {"", "[databases]\n* = host=a\n", "[pgbouncer]\nshop = host=a\n", "[databases]\nshop\n"}) {
    EXPECT_EQ(read_pooler_target(ini, "shop"), std::nullopt) << ini;
    EXPECT_THROW(static_cast<void>(with_pooler_target(ini, "shop", kGreen)), std::invalid_argument) << ini;
  }
}

TEST(PoolerConfig, FileKeepsItsModeAndItsLink) {
  const std::filesystem::path folder = test::make_scratch_directory("ini");
  const std::filesystem::path real = folder / "real.ini";
  test::write_file(real, "old");
  std::filesystem::permissions(real, std::filesystem::perms(0640));
  std::filesystem::create_symlink("real.ini", folder / "link.ini");
  replace_pooler_file(folder / "link.ini", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.ini"));
  EXPECT_EQ(read_pooler_file(real), "new");
  EXPECT_EQ(std::filesystem::status(real).permissions(), std::filesystem::perms(0640));
  EXPECT_FALSE(std::filesystem::exists(folder / "real.ini.teal"));
  EXPECT_THROW(replace_pooler_file(folder / "none.ini", "x"), Stopped);
  EXPECT_THROW(static_cast<void>(read_pooler_file(folder / "none.ini")), Stopped);
}

}  // namespace
}  // namespace teal
