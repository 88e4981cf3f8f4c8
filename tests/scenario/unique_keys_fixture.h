#pragma once
#include <string>

#include "tests/scenario/two_way_load_fixture.h"

namespace teal::test {

inline constexpr const char* kAccounts =
    "CREATE TABLE account (id int PRIMARY KEY, mail text UNIQUE, phone text UNIQUE, n int)";

inline constexpr int kClaimSeconds = 4;  ///< for how long applications write

/// A table with unique values, which different rows claim while the two sides do not see each other.
class UniqueKeys : public TwoWayLoadFixture {
 protected:
  UniqueKeys() : TwoWayLoadFixture(kClaimSeconds) {}

  void start_accounts(const std::string& table = kAccounts, const std::string& more = "") {
    start_both(table, {"public.account"}, more);
    blue_owner().exec("INSERT INTO account SELECT i, 'old' || i, 'old' || i, 0 FROM generate_series(1, 5) i");
    wait_both_caught_up();
  }
  /// Neither side sees what the other does; the first one's commits are the earlier ones.
  void apart(Sql& first, const std::string& first_sql, Sql& second, const std::string& second_sql) {
    EXPECT_EQ(teal_->terminate(), 0);
    first.exec(first_sql);
    second.exec(second_sql);
  }
  /// What is deleted while the links catch up arrives too.
  void together() {
    run_both();
    settle();
  }
  void settle() {
    wait_both_caught_up();
    wait_both_caught_up();
    expect_all_equal();
    expect_ledgers_close();
  }
  std::string rows() { return blue().value("SELECT string_agg(id || mail, ' ' ORDER BY id) FROM account"); }
  std::int64_t logged(const std::string& which) {
    std::int64_t count = 0;
    for (Sql* side : {&blue(), &green()})
      count += side->number("SELECT count(*) FROM teal.conflict_log WHERE " + which);
    return count;
  }
};

}  // namespace teal::test
