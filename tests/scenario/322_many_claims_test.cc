// Unique values that many rows of large transactions claim on both sides (TRAPS G7, F12).
#include <gtest/gtest.h>

#include <stop_token>
#include <string>
#include <thread>

#include "tests/scenario/unique_keys_fixture.h"

namespace teal::test {
namespace {

class ManyClaims : public UniqueKeys {};

TEST_F(ManyClaims, G7LargeTransactionsLoseOneRowOrTakeOne) {
  start_accounts();
  apart(blue_owner(), "INSERT INTO account SELECT i, 'b' || i, 'b' || i, 0 FROM generate_series(1001, 3000) i",
        green_owner(), "INSERT INTO account VALUES (11, 'b1700', 'p', 0)");
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM account"), 2005);
  EXPECT_EQ(blue().value("SELECT id FROM account WHERE mail = 'b1700'"), "11");
  apart(green_owner(), "INSERT INTO account VALUES (12, 'c4700', 'q', 0)", blue_owner(),
        "INSERT INTO account SELECT i, 'c' || i, 'c' || i, 0 FROM generate_series(4001, 6000) i");
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM account"), 4005);
  EXPECT_EQ(blue().value("SELECT id FROM account WHERE mail = 'c4700'"), "4700");
}

// Each claim alone would have the transaction read again: what is known to meet one is settled before it is written.
TEST_F(ManyClaims, G7ManyClaimsInALargeTransactionAreSettledInFewReadings) {
  constexpr int kReadings = 6;
  const std::string many = "INSERT INTO account SELECT i, 'b' || i, NULL, 0 FROM generate_series(1001, 11000) i";
  const std::string some =
      "INSERT INTO account SELECT 50000 + i, 'b' || i, NULL, 1 FROM generate_series(1020, 11000, 20) i";
  start_accounts(std::string(kAccounts) + "; CREATE UNIQUE INDEX ON account (lower(mail), n) WHERE n > 0");
  apart(blue_owner(), many, green_owner(), some);
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE n = 0"), 9505);
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE n = 1"), 500);
  EXPECT_EQ(logged("type = 'insert_exists' AND resolution = 'kept'"), 500);
  EXPECT_LE(times_logged("a large transaction has to be read again"), kReadings);

  blue_owner().exec("DELETE FROM account WHERE id > 1000");
  wait_both_caught_up();
  apart(green_owner(), some, blue_owner(), many);
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE n = 0"), 10005);
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE n = 1"), 0);
  EXPECT_GE(logged("type = 'insert_exists' AND resolution = 'applied'"), 500);
  EXPECT_LE(times_logged("a large transaction has to be read again"), kReadings);
}

// Rows that were empty before it claim nothing: and nobody may wait for who waits for the look at them.
TEST_F(ManyClaims, G7LargeTransactionOfATruncatedTableAndAnApplicationsLockDoNotHoldUpEachOther) {
  const auto claim = [](const std::string& from, const std::string& to) {
    return "INSERT INTO account SELECT i, 'b' || i, NULL, 0 FROM generate_series(" + from + ", " + to + ") i";
  };
  start_accounts();
  apart(blue_owner(), claim("1001", "4000"), green_owner(),
        "INSERT INTO account SELECT 50000 + i, 'b' || i, NULL, 1 FROM generate_series(1020, 4000, 20) i");
  run_both();
  {
    Sql locker = green_server().connect(kOwnerRole, kShopDatabase);
    const std::jthread locks([&locker](const std::stop_token& stop) {
      while (!stop.stop_requested()) locker.exec("BEGIN; LOCK TABLE account; COMMIT");
    });
    settle();
    blue_owner().exec("BEGIN; TRUNCATE account; " + claim("5001", "8000") + "; COMMIT");
    settle();
  }
  EXPECT_EQ(blue().number("SELECT count(*) FROM account"), 3000);
}

// The rows that hold the values were deleted by the same transaction, in vain: they had been changed on the other side.
TEST_F(ManyClaims, G7ValuesOfRowsThatADeleteLostAgainstAreSettledTogether) {
  start_accounts(kAccounts, "conflicts: { default: green_wins }\n");
  const auto fill = [](const std::string& first, const std::string& last, const std::string& note) {
    return "INSERT INTO account SELECT i, 'm' || i % 100000, '" + note + "' || i, 0 FROM generate_series(" + first +
           ", " + last + ") i";
  };
  blue_owner().exec(fill("1001", "4000", "p"));
  wait_both_caught_up();
  apart(green_owner(), "UPDATE account SET n = 1 WHERE id > 1000 AND id % 2 = 0", blue_owner(),
        "BEGIN; DELETE FROM account WHERE id > 1000; " + fill("101001", "104000", "q") + "; COMMIT");
  together();
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE n = 1"), 1500);
  EXPECT_EQ(blue().number("SELECT count(*) FROM account WHERE id > 100000"), 1500);
  EXPECT_LE(times_logged("a large transaction has to be read again"), 6);
  EXPECT_EQ(times_logged("held up by other sessions"), 0);
}

}  // namespace
}  // namespace teal::test
