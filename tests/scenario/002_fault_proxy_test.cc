// The proxy that breaks networks for other tests, between libpq and a real server: each fault does what it says.
#include <boost/asio.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "tests/support/fault_proxy.h"
#include "tests/support/pg_server.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

using boost::asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

class FaultProxyOfServer : public testing::Test {
 protected:
  void SetUp() override { direct_.exec("CREATE TABLE t (n int)"); }

  [[nodiscard]] Sql connect() const {
    Sql sql("host=127.0.0.1 port=" + std::to_string(proxy_.port()) + " user=postgres dbname=postgres");
    sql.set_deadline(seconds(10));
    return sql;
  }
  tcp::socket connect_socket() {
    tcp::socket socket(io_);
    socket.connect({boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(proxy_.port())});
    return socket;
  }
  std::int64_t rows() { return direct_.number("SELECT count(*) FROM t"); }
  /// Whether the statements fail by a lost connection, which has no SQLSTATE.
  static bool loses_connection(Sql& sql, const std::string& statements) {
    try {
      sql.exec(statements);
    } catch (const SqlError& error) {
      return error.sqlstate().empty() && std::string_view(error.what()).find("no answer") == std::string_view::npos;
    }
    return false;
  }
  static milliseconds time_of(Sql& sql, const std::string& statements) {
    const auto start = Clock::now();
    sql.exec(statements);
    return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
  }
  std::int64_t sessions() {
    return direct_.number("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
  }

  boost::asio::io_context io_;
  PgServer server_;
  Sql direct_ = server_.connect();
  FaultProxy proxy_{server_.port()};
};

TEST_F(FaultProxyOfServer, PassesEverythingWhenNothingIsWrong) {
  Sql sql = connect();
  const std::string big(5U << 20U, 'x');
  EXPECT_EQ(sql.value("SELECT " + sql_text(big)), big);
  EXPECT_GE(proxy_.passed(Toward::kServer), big.size());
  EXPECT_GE(proxy_.passed(Toward::kClient), big.size());
  EXPECT_EQ(proxy_.open_connections(), 1);
}

TEST_F(FaultProxyOfServer, CutAndResetEndBothEnds) {
  for (const bool reset : {false, true}) {
    SCOPED_TRACE(reset ? "reset" : "cut");
    Sql sql = connect();
    sql.exec("BEGIN; INSERT INTO t VALUES (1)");
    EXPECT_EQ(sessions(), 2);
    reset ? proxy_.reset() : proxy_.cut();
    EXPECT_TRUE(loses_connection(sql, "COMMIT"));
    wait_until("the server has noticed", seconds(10), [&] { return sessions() == 1; });
    EXPECT_EQ(proxy_.open_connections(), 0);
  }
  EXPECT_EQ(rows(), 0);
  EXPECT_EQ(connect().number("SELECT 1"), 1) << "a new connection is not affected";
}

TEST_F(FaultProxyOfServer, CutSendsFinAndResetSendsRst) {
  for (const bool reset : {false, true}) {
    tcp::socket socket = connect_socket();
    wait_until("the proxy has it", seconds(10), [&] { return proxy_.open_connections() == 1; });
    reset ? proxy_.reset() : proxy_.cut();
    char byte = 0;
    boost::system::error_code error;
    socket.read_some(boost::asio::buffer(&byte, 1), error);
    EXPECT_EQ(error, reset ? boost::system::error_code(boost::asio::error::connection_reset)
                           : boost::system::error_code(boost::asio::error::eof));
  }
}

TEST_F(FaultProxyOfServer, CutAfterBytesLetsExactlyThoseThrough) {
  Sql sql = connect();
  for (const Toward toward : {Toward::kServer, Toward::kClient}) {
    Sql victim = connect();
    const std::uint64_t before = proxy_.passed(toward);
    proxy_.cut_after(toward, 1000);
    EXPECT_EQ(victim.number("SELECT 1"), 1) << "the thousand are not used up yet";
    EXPECT_TRUE(loses_connection(victim, "SELECT repeat('x', 2000) || '" + std::string(2000, 'y') + "'"));
    EXPECT_EQ(proxy_.passed(toward), before + 1000);
    EXPECT_FALSE(proxy_.armed());
  }
  EXPECT_EQ(sql.number("SELECT 1"), 1) << "the other connection lives";
}

TEST_F(FaultProxyOfServer, CutBeforeTheCommitTheServerRollsBack) {
  Sql sql = connect();
  proxy_.cut_at_commit(2, CommitCut::kBefore);
  sql.exec("BEGIN; INSERT INTO t VALUES (1)");
  sql.exec("COMMIT");
  sql.exec("BEGIN; INSERT INTO t VALUES (2)");
  EXPECT_TRUE(loses_connection(sql, "COMMIT"));
  wait_until("the server has noticed", seconds(10), [&] { return sessions() == 1; });
  EXPECT_EQ(rows(), 1);
  EXPECT_EQ(proxy_.commits(), 2);
}

TEST_F(FaultProxyOfServer, CutAfterTheCommitTheServerHasCommittedAndTheClientCannotKnow) {
  Sql sql = connect();
  proxy_.cut_at_commit(1, CommitCut::kAfter);
  sql.exec("BEGIN; INSERT INTO t VALUES (1), (2); SELECT 'COMMIT'");
  EXPECT_TRUE(loses_connection(sql, "COMMIT"));
  EXPECT_EQ(rows(), 2);
  Sql next = connect();
  next.exec("BEGIN; INSERT INTO t VALUES (3); COMMIT");
  EXPECT_EQ(rows(), 3) << "it was for one COMMIT only";
}

TEST_F(FaultProxyOfServer, HoldIsSilenceUntilItIsReleased) {
  Sql sql = connect();
  proxy_.hold_both(true);
  sql.send("INSERT INTO t VALUES (1)");
  EXPECT_FALSE(holds_within(milliseconds(300), [&] { return !sql.busy() || rows() > 0; }));
  EXPECT_TRUE(sql.alive()) << "it is half open";
  const int accepted = proxy_.accepted();
  tcp::socket socket = connect_socket();
  wait_until("a new connection is taken", seconds(10), [&] { return proxy_.accepted() == accepted + 1; });
  EXPECT_EQ(sessions(), 2) << "the server hears nothing of it";
  proxy_.hold(Toward::kServer, false);
  wait_until("the server has the statement", seconds(10), [&] { return rows() == 1; });
  EXPECT_TRUE(sql.busy()) << "its answer is still held";
  proxy_.clear();
  sql.finish();
}

TEST_F(FaultProxyOfServer, DelayIsAddedEachWay) {
  Sql sql = connect();
  proxy_.delay(Toward::kServer, milliseconds(100), milliseconds(20));
  EXPECT_GE(time_of(sql, "SELECT 1"), milliseconds(100));
  proxy_.delay(Toward::kClient, milliseconds(100), milliseconds(0));
  EXPECT_GE(time_of(sql, "SELECT 1"), milliseconds(200));
  proxy_.clear();
  EXPECT_LT(time_of(sql, "SELECT 1"), milliseconds(100));
}

TEST_F(FaultProxyOfServer, TrickleCutsNothingOff) {
  Sql sql = connect();
  proxy_.trickle(Toward::kServer, 1);
  proxy_.trickle(Toward::kClient, 3);
  const std::string text(20'000, 'z');
  EXPECT_EQ(sql.value("SELECT " + sql_text(text)), text);
  proxy_.cut_at_commit(1, CommitCut::kBefore);
  EXPECT_TRUE(loses_connection(sql, "BEGIN; INSERT INTO t VALUES (1); COMMIT")) << "it is found in single bytes too";
  EXPECT_EQ(rows(), 0);
}

TEST_F(FaultProxyOfServer, ServerThatIsAwayHangsUpAndComesBack) {
  server_.stop(StopMode::kImmediate);
  EXPECT_THROW(static_cast<void>(connect()), SqlError);
  server_.start();
  EXPECT_EQ(connect().number("SELECT 1"), 1);
}

}  // namespace
}  // namespace teal::test
