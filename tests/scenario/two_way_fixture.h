#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {

/// Two servers and one `teal run` with a link in each direction.
class TwoWayFixture : public SidecarFixture {
 protected:
  /// Makes the tables, as their owner, and streams them both ways.
  void start_both(const std::string& sql, const std::vector<std::string>& published, const std::string& more = "") {
    create_tables_both(sql);
    publish_both(published);
    config_ = write_config({.more = "direction: both\ncopy: { schema: false }\n" + more}).string();
    run_both();
  }

  void publish_both(const std::vector<std::string>& tables) {
    create_publication(tables);
    std::string list;
    for (const std::string& table : tables) list += (list.empty() ? "" : ", ") + table;
    green_owner().exec("CREATE PUBLICATION teal_shop_green_to_blue FOR TABLE " + list);
  }

  /// Starts `teal run`, in place of one that ran before, and waits until both links stream.
  void run_both(const TealOptions& options = {}) {
    run({}, options).wait_for_log("link streaming link=green_to_blue", std::chrono::seconds(60));
  }

  /// Waits until what both sides have committed by now is on the other one.
  void wait_both_caught_up() {
    const std::string to_green = mark(blue(), "blue_to_green");
    const std::string to_blue = mark(green(), "green_to_blue");
    wait_for_mark(green(), to_green);
    wait_for_mark(blue(), to_blue);
    // What was on its way from one side while the other's mark was written.
    const std::string again = mark(blue(), "blue_to_green");
    wait_for_mark(green(), again);
  }

  /// Of a link's row in teal.progress.
  std::int64_t counter(const std::string& link, const std::string& name) {
    Sql& target = link == "blue_to_green" ? green() : blue();
    return target.number("SELECT (counters->>" + sql_text(name) +
                         ")::bigint FROM teal.progress WHERE link = " + sql_text(link));
  }
  /// From here on `local_changes` counts.
  static void count_local_changes(Sql& side) {
    side.exec("SELECT pg_create_logical_replication_slot('judge', 'test_decoding')");
  }
  /// What applications have changed on this side since: the server's own decoding of what has no origin.
  static std::int64_t local_changes(Sql& side) {
    const std::int64_t count = side.number(
        "SELECT count(*) FROM pg_logical_slot_get_changes('judge', NULL, NULL, 'only-local', '1') WHERE data LIKE "
        "'table public.%'");
    side.exec("SELECT pg_drop_replication_slot('judge')");
    return count;
  }

  /// Received is what became of the changes, and nothing was made of teal's own.
  void expect_ledgers_close() {
    for (const std::string link : {"blue_to_green", "green_to_blue"}) {
      // In one look: what teal itself has written may still be on its way back.
      Sql& target = link == "blue_to_green" ? green() : blue();
      EXPECT_EQ(target.number("SELECT (counters->>'received')::bigint - (SELECT sum((counters->>part)::bigint) FROM "
                              "unnest(ARRAY['applied', 'own', 'conflict_lost', 'below_watermark', 'already_applied', "
                              "'quarantined', 'filtered']) AS part) FROM teal.progress WHERE link = " +
                              sql_text(link)),
                0)
          << link;
    }
  }

 private:
  static std::string mark(Sql& source, const std::string& link) {
    return source.value("INSERT INTO teal.marker (migration, link) VALUES ('shop', " + sql_text(link) +
                        ") RETURNING id");
  }
  void wait_for_mark(Sql& target, const std::string& id) {
    wait_until("marker " + id + " has arrived", std::chrono::seconds(120), [&] {
      if (!teal_->running()) throw std::runtime_error("teal ended before the marker arrived");
      if (times_logged("link stopped") > 0) throw std::runtime_error("a link stopped before the marker arrived");
      return target.truth("SELECT count(*) > 0 FROM teal.marker_applied WHERE id = " + id);
    });
  }
};

}  // namespace teal::test
