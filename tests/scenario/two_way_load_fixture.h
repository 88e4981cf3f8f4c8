#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/pgbench.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {

/// Every version says where it was written and the how-many-th it is.
inline constexpr const char* kRegisterTable =
    "CREATE TABLE register (id int PRIMARY KEY, v text NOT NULL, n int NOT NULL)";

/// Updates, upserts and deletes of single rows of that table, of so many.
inline std::string register_script(int rows) {
  return "\\set id random(1, " + std::to_string(rows) + R"()
\set kind random(1, 10)
\if :kind <= 5
UPDATE register SET v = ':side', n = n + 1 WHERE id = :id;
\elif :kind <= 8
INSERT INTO register VALUES (:id, ':side', 0) ON CONFLICT (id) DO UPDATE SET v = excluded.v, n = register.n + 1;
\else
DELETE FROM register WHERE id = :id;
\endif
)";
}

/// Pgbench on both sides at once, on the same rows.
class TwoWayLoadFixture : public TwoWayFixture {
 protected:
  /// `seconds`: how long applications write.
  explicit TwoWayLoadFixture(int seconds) : seconds_(seconds) {}

  /// The script knows its side as `:side`.
  std::unique_ptr<Pgbench> write(const PgServer& server, const std::string& side, const std::string& script) {
    const std::filesystem::path file = make_scratch_directory("script") / "write.sql";
    write_file(file, script);
    return std::make_unique<Pgbench>(
        server, kOwnerRole, kShopDatabase,
        PgbenchOptions{.clients = 3, .seconds = seconds_, .more = {"-n", "-f", file.string(), "-D", "side=" + side}});
  }

  /// Returns when all have ended, none of whose transactions may have failed.
  void write_on_both(const std::string& script, const std::function<void()>& meanwhile = {}) {
    const auto on_blue = write(blue_server(), "blue", script);
    const auto on_green = write(green_server(), "green", script);
    if (meanwhile) meanwhile();
    for (Pgbench* writer : {on_blue.get(), on_green.get()}) {
      const PgbenchResult result = writer->wait(std::chrono::seconds(seconds_ + 60));
      EXPECT_EQ(result.exit_code, 0) << result.output;
      EXPECT_EQ(result.failed, 0) << result.output << deadlocks(blue_server()) << deadlocks(green_server());
      transactions_ += result.transactions;
    }
  }

  /// What the server said of deadlocks.
  static std::string deadlocks(const PgServer& server) {
    const std::string log = server.log();
    const std::size_t at = log.find("deadlock detected");
    return at == std::string::npos ? "" : log.substr(at > 300 ? at - 300 : 0, 3000);
  }

  std::int64_t transactions_ = 0;

 private:
  const int seconds_;
};

}  // namespace teal::test
