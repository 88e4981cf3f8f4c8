#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/link_marker.h"
#include "tests/support/two_node_fixture.h"
#include "tests/support/wait_until.h"

namespace teal::test {

/// True when this run may take its time: `tests/run.sh --ci` or `--long`.
[[nodiscard]] inline bool long_tier() {
  const char* tier = std::getenv("TEAL_TEST_TIER");
  return tier != nullptr && (std::string_view(tier) == "ci" || std::string_view(tier) == "long");
}

/// True when this run may take hours: `tests/run.sh --long`.
[[nodiscard]] inline bool by_hand_tier() {
  const char* tier = std::getenv("TEAL_TEST_TIER");
  return tier != nullptr && std::string_view(tier) == "long";
}

/// Two servers and one `teal run` between them.
class SidecarFixture : public TwoNodeFixture {
 protected:
  static constexpr const char* kSlot = "teal_shop_blue_to_green";
  inline static const std::string kCopyAgain =
      "DELETE FROM teal.table_state WHERE migration = 'shop' AND link = 'blue_to_green' AND ";

  /// What follows `direction: forward` in teal.yml.
  void configure(const std::string& more) { config_ = write_config({.more = "direction: forward\n" + more}).string(); }

  /// `teal --config ... ARGUMENTS`.
  [[nodiscard]] std::vector<std::string> with_config(const std::vector<std::string>& arguments) const {
    std::vector<std::string> all{"--config", config_};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

  /// Starts `teal run`, in place of one that ran before.
  TealProcess& run(const std::vector<std::string>& more = {}, const TealOptions& options = {}) {
    std::vector<std::string> arguments = with_config({"run"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    teal_.reset();
    teal_ = std::make_unique<TealProcess>(arguments, options);
    return *teal_;
  }

  TealProcess& run_streaming(const std::vector<std::string>& more = {}) {
    TealProcess& teal = run(more);
    teal.wait_for_log("link streaming", std::chrono::seconds(60));
    return teal;
  }

  TealResult run_until_synced() { return run_teal(with_config({"run", "--until-synced"})); }
  TealResult command(const std::vector<std::string>& arguments) { return run_teal(with_config(arguments)); }

  /// Makes the tables, as their owner, and streams them, without `copy.schema`.
  void start(const std::string& blue_sql, const std::string& green_sql, const std::vector<std::string>& published,
             const std::string& more = "") {
    blue_owner().exec("SET search_path = public; " + blue_sql);
    green_owner().exec("SET search_path = public; " + green_sql);
    create_publication(published);
    configure("copy: { schema: false }\n" + more);
    run_streaming();
    wait_caught_up();
  }
  void start(const std::string& sql, const std::vector<std::string>& published, const std::string& more = "") {
    start(sql, sql, published, more);
  }

  /// Writes a row of the test's own into blue's stream and waits until it is applied on green. Returns how long that
  /// took: the lag.
  std::chrono::milliseconds wait_caught_up() {
    const auto start = std::chrono::steady_clock::now();
    LinkMarker marker("shop");
    wait_until("the marker has arrived", std::chrono::seconds(120), [&] {
      if (teal_ && !teal_->running()) throw std::runtime_error("teal ended before the marker arrived");
      return marker.arrived(blue(), green());
    });
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  }

  /// Waits until a table that came later is copied and level with the link.
  void wait_joined(const std::string& table) {
    wait_until(table + " has joined", std::chrono::seconds(60), [&] {
      return green().truth("SELECT count(*) > 0 FROM teal.table_state WHERE state = 'copied' AND table_name = " +
                           sql_text(table));
    });
  }

  void wait_for_count(const std::string& table, std::int64_t count) {
    wait_until(table + " on green has " + std::to_string(count) + " rows", std::chrono::seconds(30),
               [&] { return green().number("SELECT count(*) FROM " + table) == count; });
  }

  /// How many lines of the log have `text`.
  std::size_t times_logged(const std::string& text) {
    const std::string log = teal_->err();
    std::size_t count = 0;
    for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + text.size())) ++count;
    return count;
  }

  /// The statement in teal's log that begins like this, with its semicolon.
  std::string advised(const std::string& begin) {
    const std::string said = teal_->err();
    const std::size_t at = said.rfind(begin);
    if (at == std::string::npos) throw std::runtime_error("teal did not say " + begin + ", but: " + said);
    return said.substr(at, said.find(';', at) + 1 - at);
  }
  /// What it said to run to have tables copied again: these, or all that is written to these tables of green.
  std::string advised_for_tables() { return advised(kCopyAgain + "(schema_name, table_name)"); }
  std::string advised_for_targets() { return advised(kCopyAgain + "(target_schema, target_table)"); }

  /// Nothing of teal's is on this server: slots, origins, publications, sessions, schema teal.
  /// `publications`: those that an administrator made.
  static void expect_no_trace(const PgServer& server, int publications = 0) {
    Sql sql = server.connect("postgres", kShopDatabase);
    EXPECT_EQ(sql.number("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'teal%'"), 0) << "slots";
    EXPECT_EQ(sql.number("SELECT count(*) FROM pg_replication_origin WHERE roname LIKE 'teal%'"), 0) << "origins";
    EXPECT_EQ(sql.number("SELECT count(*) FROM pg_publication WHERE pubname LIKE 'teal%'"), publications)
        << "publications";
    EXPECT_EQ(sql.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'teal'"), 0) << "schema teal";
    EXPECT_EQ(sql.number("SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE "
                         "t.tgname LIKE 'teal%'"),
              0)
        << "triggers";
  }
  void expect_no_trace(int blue_publications = 0) {
    expect_no_trace(blue_server(), blue_publications);
    expect_no_trace(green_server());
  }

  /// Whether a session has the slot; its pid, "" when none has.
  std::string slot_reader() {
    const SqlRows rows =
        blue().rows("SELECT active_pid FROM pg_replication_slots WHERE slot_name = " + sql_text(kSlot) +
                    " AND active_pid IS NOT NULL");
    return rows.empty() ? "" : *rows[0][0];
  }

  void TearDown() override {
    if (HasFailure() && teal_) std::fprintf(stderr, "teal said:\n%s", teal_->err().c_str());
    TwoNodeFixture::TearDown();
  }

  std::string config_;
  std::unique_ptr<TealProcess> teal_;
};

}  // namespace teal::test
