// `teal verify --repair` that does not come to its end, or may not write a row, says so with what it wrote (TRAPS K).
#include <gmock/gmock.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/scenario/verify_fixture.h"

namespace teal::test {
namespace {

class VerifyRepairEnds : public VerifyRepair {};

// On green, for the row 2500 of `number`: what is done there.
void spoil_repair(Sql& green, const std::string& body) {
  green.exec("CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body +
             "; RETURN NEW; END $$; CREATE TRIGGER spoil BEFORE UPDATE ON number FOR EACH ROW WHEN (NEW.id = 2500) "
             "EXECUTE FUNCTION spoil(); ALTER TABLE number ENABLE ALWAYS TRIGGER spoil");
}

TEST_F(VerifyRepairEnds, A13SessionThatIsLostIsToldWithWhatWasWrittenAndOtherTablesAreRepaired) {
  fill("apply: { two_way_batch_rows: 100 }\n");
  green_owner().exec("UPDATE number SET n = -1; UPDATE word SET v = 'x' WHERE v = 'v5'");
  spoil_repair(green_owner(), "PERFORM pg_terminate_backend(pg_backend_pid())");
  const nlohmann::json report = repair(3, "blue");
  const nlohmann::json number = repaired(report, "number");
  EXPECT_GE(number["written"]["update"], 100) << number;
  EXPECT_LT(number["written"]["update"], 3000);
  EXPECT_NE(number["stopped_because"], "");
  EXPECT_EQ(repaired(report, "word")["written"], counts(0, 1, 0));
  EXPECT_EQ(of_table(report, "word")["result"], "equal");
  EXPECT_EQ(of_table(report, "number")["result"], "differs");
  green_owner().exec("DROP TRIGGER spoil ON number");
  repair(0, "blue");
  expect_all_equal();
}

TEST_F(VerifyRepairEnds, A13RepairThatIsInterruptedTellsWhatWasWritten) {
  fill("apply: { two_way_batch_rows: 100 }\n");
  green_owner().exec("UPDATE number SET n = -1");
  spoil_repair(green_owner(), "PERFORM pg_sleep(100)");
  TealProcess teal(with_config({"--json", "verify", "--repair", "blue"}));
  wait_until("the repair is at the row", std::chrono::seconds(60), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'teal/shop/repair' AND wait_event = "
        "'PgSleep'");
  });
  ::kill(teal.pid(), SIGINT);
  EXPECT_EQ(teal.wait_exit(std::chrono::seconds(60)), 3) << teal.err();
  const nlohmann::json number = repaired(nlohmann::json::parse(teal.out()), "number");
  EXPECT_GE(number["written"]["update"], 100) << number;
  EXPECT_NE(number["stopped_because"], "");
  EXPECT_EQ(green().number("SELECT count(*) FROM number WHERE n <> -1"), number["written"]["update"]);
}

// On the right side nothing keeps a key from being there twice.
TEST_F(VerifyRepairEnds, K5KeyThatSeveralRowsHaveIsRefusedAndTheRestIsWritten) {
  fill_from(
      "CREATE TABLE item (id int PRIMARY KEY, v text); INSERT INTO item SELECT k, 'v' || k FROM generate_series(1, 50) "
      "k");
  green_owner().exec(
      "ALTER TABLE item DROP CONSTRAINT item_pkey; INSERT INTO item VALUES (5, 'again'), (60, 'a'), (60, 'b'), (61, "
      "'c'); UPDATE item SET v = 'x' WHERE id = 9");
  const nlohmann::json planned = repaired(repair(1, "green", {"--dry-run"}), "item");
  EXPECT_EQ(planned["planned"], counts(1, 1, 0)) << planned;
  EXPECT_EQ(planned["refused"], 2);
  const nlohmann::json item = repaired(repair(1, "green"), "item");
  EXPECT_EQ(item["written"], counts(1, 1, 0)) << item;
  EXPECT_EQ(item["refused"], 2);
  EXPECT_EQ(item["refused_because"], (nlohmann::json{"several rows have this key on green: (id)=(5)",
                                                     "several rows have this key on green: (id)=(60)"}));
  EXPECT_EQ(blue().value("SELECT string_agg(v, ' ' ORDER BY id) FROM item WHERE id IN (5, 9, 60, 61)"), "v5 x c");
}

// The index of the right side's TOAST table tells how often its values were read.
TEST_F(VerifyRepairEnds, K6WideRowsAreMeasuredOnce) {
  fill_from(
      "CREATE TABLE item (id int PRIMARY KEY, v text); ALTER TABLE item ALTER v SET STORAGE EXTERNAL; INSERT INTO item "
      "SELECT k, repeat('v', 100000) FROM generate_series(1, 200) k",
      "apply: { batch_bytes_max: 64KiB }\n");
  green_owner().exec("UPDATE item SET v = repeat('w', 100000)");
  const std::string scans =
      "SELECT idx_scan FROM pg_stat_all_tables WHERE relid = (SELECT reltoastrelid FROM pg_class WHERE oid = "
      "'public.item'::regclass)";
  const auto read_so_far = [&] {
    wait_until("its sessions are gone", std::chrono::seconds(30), [&] {
      return blue().number("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'teal/%'") == 0;
    });
    return blue().number(scans);
  };
  const auto before = read_so_far();
  const nlohmann::json report = repair(0, "blue");
  EXPECT_EQ(repaired(report, "item")["written"], counts(0, 200, 0));
  EXPECT_LT(read_so_far() - before, 8000) << "of 200 rows, of which each transaction takes one";
}

}  // namespace
}  // namespace teal::test
