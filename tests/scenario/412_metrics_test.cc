#include <nlohmann/json.hpp>
#include <regex>

#include "tests/scenario/two_way_fixture.h"
#include "tests/support/http_client.h"

// `http: { listen: ... }`: what `teal run` answers.
namespace teal::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class HttpStatus : public TwoWayFixture {
 protected:
  static constexpr const char* kItems = "CREATE TABLE item (id int PRIMARY KEY, n int);";
  static constexpr const char* kListen = "http: { listen: \"127.0.0.1:0\" }\n";

  /// Once `run` has logged its port.
  HttpReply get(const std::string& path) {
    if (port_ == 0) {
      teal_->wait_for_log("answering by http host=127.0.0.1 port=[0-9]+");
      std::smatch found;
      const std::string log = teal_->err();
      if (!std::regex_search(log, found, std::regex("answering by http host=127.0.0.1 port=([0-9]+)"))) return {};
      port_ = static_cast<std::uint16_t>(std::stoul(found[1]));
    }
    return http_get(port_, path);
  }
  /// The value of a line of /metrics; -1: there is none.
  double metric(const std::string& name_and_labels) {
    const std::string text = "\n" + get("/metrics").body;
    const std::size_t at = text.find("\n" + name_and_labels + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name_and_labels.size() + 2));
  }

  std::uint16_t port_ = 0;
};

TEST_F(HttpStatus, BothLinksAndTheComparisonAreInIt) {
  start_both(kItems, {"item"}, std::string(kListen) + "verify: { continuous: true, range_rows: 100 }\n");
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").body, "ready\n");
  blue_owner().exec("INSERT INTO item SELECT k, 0 FROM generate_series(1, 1000) k; ANALYZE item");
  wait_both_caught_up();
  wait_until("the changes are counted", seconds(30),
             [&] { return metric("teal_received_changes_total{link=\"blue_to_green\"}") >= 1000; });
  EXPECT_GE(metric("teal_transactions_total{link=\"green_to_blue\"}"), 0);
  EXPECT_EQ(metric("teal_table_state{link=\"blue_to_green\",table=\"public.item\",state=\"copied\"}"), 1);
  wait_until("ranges are compared", seconds(60), [&] { return metric("teal_verify_ranges{state=\"equal\"}") >= 10; });
  EXPECT_EQ(metric("teal_verify_ranges{state=\"differs\"}"), 0);
  EXPECT_GE(metric("teal_verify_rows_total"), 1000);

  green().exec(
      "SELECT pg_replication_origin_create('teal_shop_blue_to_green_planted'); SELECT "
      "pg_replication_origin_session_setup('teal_shop_blue_to_green_planted')");
  green().exec("UPDATE public.item SET n = 1 WHERE id = 450");
  wait_until("a range differs", seconds(60), [&] { return metric("teal_verify_ranges{state=\"differs\"}") == 1; });

  const nlohmann::json status = nlohmann::json::parse(get("/status.json").body);
  EXPECT_EQ(status.at("links").size(), 2U);
  EXPECT_EQ(status.at("verifying").at("last_ranges").at("differs"), 1);
  wait_until("the range shows which it is", seconds(60), [&] {
    const auto now = nlohmann::json::parse(get("/status.json").body);
    return now.at("verifying").at("range_states").get<std::string>().find('!') != std::string::npos;
  });
}

TEST_F(HttpStatus, ServerThatIsAwayIsNotReadyAndTheProcessIsAlive) {
  create_tables_both(kItems);
  create_publication({"item"});
  configure(std::string("copy: { schema: false }\n") + kListen);
  run_streaming({"--no-copy"});
  EXPECT_EQ(get("/readyz").status, 200);
  blue_server().stop();
  wait_until("not ready", seconds(30), [&] { return get("/readyz").status == 503; });
  EXPECT_EQ(get("/metrics").status, 503) << "up falls to 0";
  wait_until("the error says which server", seconds(30), [&] {
    const nlohmann::json status = nlohmann::json::parse(get("/status.json").body);
    return status.at("error").get<std::string>().find("port " + std::to_string(blue_server().port())) !=
           std::string::npos;
  });
  EXPECT_THAT(get("/status.json").body, Not(HasSubstr("password")));
  EXPECT_EQ(get("/healthz").status, 200);
  blue_server().start();
  wait_until("ready again", seconds(60), [&] { return get("/readyz").status == 200; });
  EXPECT_EQ(teal_->terminate(), 0);
}

TEST_F(HttpStatus, S21PortThatIsTakenEndsItBeforeAnythingIsSetUp) {
  create_tables_both(kItems);
  create_publication({"item"});
  configure("copy: { schema: false }\nhttp: { listen: \"127.0.0.1:" + std::to_string(blue_server().port()) + "\" }\n");
  const TealResult result = command({"run", "--no-copy"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("http.listen: nobody can listen on 127.0.0.1:"));
  EXPECT_EQ(blue().number("SELECT count(*) FROM pg_replication_slots"), 0);
  EXPECT_EQ(green().number("SELECT count(*) FROM pg_namespace WHERE nspname = 'teal'"), 0);
}

}  // namespace
}  // namespace teal::test
