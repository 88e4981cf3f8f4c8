// TRAPS A1 and A2: a batch that fails after the origin's position was set. What the server then makes of the origin
// differs between versions; the progress row and the rows' own commit times must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "engine/pg_error.h"
#include "tests/scenario/applier_fixture.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using P = PgoutputBuilder;
using std::chrono::seconds;

const Relation kItem = make_relation(RelationId{1}, "public", "item", {key("id"), column("name")});

class OriginPosition : public ApplierFixture {
 protected:
  [[nodiscard]] PgServerOptions green_options() const override { return {.settings = {"track_commit_timestamp=on"}}; }

  void SetUp() override {
    ApplierFixture::SetUp();
    prepare("CREATE TABLE item (id int PRIMARY KEY, name text)", {"item"});
  }

  /// `body` runs in COMMIT itself, after the origin's position was set: the deferred rules that teal checks before that
  /// are asked to be late once more by a trigger on the progress row. `id` is that of the batch's newest item.
  void at_commit(const std::string& body) {
    green().exec(
        "CREATE TABLE tripwire (id int);"
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN " +
        body +
        " RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON tripwire DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE "
        "FUNCTION late(); ALTER TABLE tripwire ENABLE ALWAYS TRIGGER late;"
        "CREATE FUNCTION arm() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN SET CONSTRAINTS "
        "public.late "
        "DEFERRED; INSERT INTO public.tripwire SELECT max(id) FROM public.item; RETURN NEW; END$$;"
        "CREATE TRIGGER arm BEFORE UPDATE ON teal.progress FOR EACH ROW EXECUTE FUNCTION arm(); ALTER TABLE "
        "teal.progress ENABLE ALWAYS TRIGGER arm");
  }
  void disarm() { green().exec("DROP TRIGGER arm ON teal.progress; DROP TABLE tripwire"); }

  TransactionSlice item(std::uint64_t id) {
    const std::string text_id = std::to_string(id);
    return slice_of(at(id), {kItem}, {P::insert(kItem.id, {text(text_id), text("n")})});
  }
  std::string rows_with_times() {
    return green().value(
        "SELECT coalesce(string_agg(id || '@' || extract(epoch FROM pg_xact_commit_timestamp(xmin) - "
        "'2000-01-01 00:00:00+00')::int, ' ' ORDER BY id), '') FROM item");
  }
};

TEST_F(OriginPosition, A1BatchThatFailsInCommitIsDeliveredAndAppliedLater) {
  at_commit("IF NEW.id = 5 THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF;");
  {
    auto applier = open_applier();
    give(*applier, item(1));
    applier->flush();
    give(*applier, item(5));
    EXPECT_THROW(applier->flush(), Stopped);
  }
  EXPECT_EQ(applied(), "0/1100");
  EXPECT_EQ(rows_with_times(), "1@1");
  RecordProperty("origin_after", green().value("SELECT remote_lsn FROM pg_replication_origin_status"));
  disarm();
  auto applier = open_applier();
  EXPECT_EQ(to_string(applier->applied()), "0/1100") << "the position of the failed batch was believed";
  give(*applier, item(5));
  applier->flush();
  EXPECT_EQ(applied(), "0/5100");
  EXPECT_EQ(rows_with_times(), "1@1 5@5");
}

TEST_F(OriginPosition, A2LaterCommitsOfTheSessionCarryTheirOwnPositionAndTime) {
  at_commit("IF NEW.id = 5 THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF;");
  auto applier = open_applier();
  give(*applier, item(2));
  give(*applier, item(5));
  // Together they fail in COMMIT, at the second one's position; then each alone, in the same session, and the stop is
  // noted there too.
  EXPECT_THROW(applier->flush(), Stopped);
  applier.reset();
  EXPECT_EQ(applied(), "0/2100");
  EXPECT_EQ(rows_with_times(), "2@2");
  EXPECT_TRUE(green().truth("SELECT pg_xact_commit_timestamp(xmin) > '2020-01-01' FROM teal.quarantine"))
      << "the note carries the time of the batch that failed";
  EXPECT_EQ(green().value("SELECT operation || ' ' || commit_lsn FROM teal.quarantine"), "transaction 0/5000");
}

TEST_F(OriginPosition, A2HeartbeatAfterAFailedBatchDoesNotCarryItsPosition) {
  at_commit("IF NEW.id = 5 THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF;");
  {
    auto applier = open_applier();
    give(*applier, item(5));
    EXPECT_THROW(applier->flush(), Stopped);
  }
  disarm();
  ApplierOptions eager;
  eager.advance_interval = std::chrono::milliseconds(0);
  auto applier = open_applier(eager);
  applier->idle(Lsn{0x4000}, Timestamp{4'000'000});
  applier->flush();
  EXPECT_EQ(applied(), "0/4000");
  give(*applier, item(5));
  applier->flush();
  EXPECT_EQ(rows_with_times(), "5@5") << "the heartbeat made the failed batch count as applied";
}

TEST_F(OriginPosition, A1BackendThatIsEndedInsideCommitLeavesNothingBehind) {
  at_commit("IF NEW.id = 5 THEN PERFORM pg_sleep(60); END IF;");
  auto applier = open_applier();
  give(*applier, item(1));
  applier->flush();
  give(*applier, item(5));
  auto flushed = std::async(std::launch::async, [&] { applier->flush(); });
  wait_until("the batch is inside COMMIT", seconds(20), [&] {
    return green().truth(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green' AND wait_event "
        "= 'PgSleep' AND query LIKE 'COMMIT%'");
  });
  green().exec(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'teal/shop/blue_to_green'");
  EXPECT_THROW(flushed.get(), PgError);
  applier.reset();
  EXPECT_EQ(applied(), "0/1100");
  disarm();
  applier = open_applier();
  give(*applier, item(1));
  give(*applier, item(5));
  applier->flush();
  EXPECT_EQ(applied(), "0/5100");
  EXPECT_EQ(rows_with_times(), "1@1 5@5");
  EXPECT_EQ(counter("already_applied"), "1");
}

}  // namespace
}  // namespace teal::test
