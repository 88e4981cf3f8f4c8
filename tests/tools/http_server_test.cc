#include "tools/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/pg_error.h"
#include "tests/support/http_client.h"

namespace teal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class HttpServers : public testing::Test {
 protected:
  // Else the server would wait for it.
  void TearDown() override {
    if (!released_) held_.set_value();
  }
  std::variant<HttpAnswer, HttpServer::Work> find(const std::string& path) {
    if (path == "/here") return HttpAnswer{.body = "here\n"};
    if (path == "/slow")
      return [this] {
        held_.get_future().wait();
        return HttpAnswer{.body = "slow\n"};
      };
    if (path == "/broken") return []() -> HttpAnswer { throw std::runtime_error("secret"); };
    return HttpAnswer{.status = 404, .body = "no\n"};
  }

  std::promise<void> held_;
  bool released_ = false;
  HttpServer server_{{"127.0.0.1", 0}, [this](const std::string& path) { return find(path); }};
  std::uint16_t port_ = server_.port();
};

TEST_F(HttpServers, AnswersWhatIsThereAndWhatIsNot) {
  const HttpReply here = http_get(port_, "/here?x=1");
  EXPECT_EQ(here.status, 200);
  EXPECT_EQ(here.body, "here\n");
  EXPECT_THAT(here.head, HasSubstr("Cache-Control: no-store"));
  EXPECT_EQ(http_get(port_, "/").status, 404);
  const HttpReply head = http_ask(port_, "HEAD /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(head.body, "");
  EXPECT_THAT(head.head, HasSubstr("Content-Length: 5"));
  const HttpReply broken = http_get(port_, "/broken");
  EXPECT_EQ(broken.status, 500);
  EXPECT_THAT(broken.body, Not(HasSubstr("secret")));
}

TEST_F(HttpServers, AConnectionBearsSeveralRequests) {
  const HttpClient client(port_);
  client.send(
      "GET /here HTTP/1.1\r\nHost: localhost\r\n\r\nGET /no HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_to_end();
  EXPECT_THAT(all, HasSubstr("here\n"));
  EXPECT_THAT(all, HasSubstr("404"));
}

TEST_F(HttpServers, S21OtherNamesAndOtherMethodsAreRefused) {
  for (const char* host : {"example.org", "example.org:80", "10.0.0.1", "", "localhost.example.org", "[::2]:80", "[",
                           "[::1].example.org", "127.0.0.1.example.org"}) {
    EXPECT_EQ(http_get(port_, "/here", host).status, 421) << host;
  }
  for (const char* host : {"localhost:1", "127.0.0.1", "127.0.0.1:8080", "[::1]:80", "[::1]"}) {
    EXPECT_EQ(http_get(port_, "/here", host).status, 200) << host;
  }
  EXPECT_EQ(http_ask(port_, "DELETE /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").status, 405);
}

TEST_F(HttpServers, S21RequestsOfAnySizeAndShapeAreBounded) {
  for (const std::string& request :
       {"GET /here HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n",
        std::string("GET /here HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde"),
        std::string("nonsense\r\n\r\n"), "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\n\r\n"}) {
    EXPECT_EQ(http_ask(port_, request).status, 400) << request.substr(0, 60);
  }
  EXPECT_EQ(http_get(port_, "/here").status, 200) << "it goes on";
}

TEST_F(HttpServers, I8ClientsThatSayNothingAndWorkThatTakesTimeHoldUpNobody) {
  std::vector<std::unique_ptr<HttpClient>> silent;
  silent.reserve(100);
  for (int i = 0; i < 100; ++i) silent.push_back(std::make_unique<HttpClient>(port_));
  const HttpClient slow(port_);
  slow.send("GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(http_get(port_, "/here").status, 200);
  held_.set_value();
  released_ = true;
  EXPECT_THAT(slow.read_to_end(), HasSubstr("slow\n"));
}

TEST_F(HttpServers, PortThatIsTakenIsNamed) {
  try {
    const HttpServer second({"127.0.0.1", port_}, [](const std::string&) { return HttpAnswer{}; });
    FAIL() << "two on one port";
  } catch (const Stopped& stopped) {
    EXPECT_EQ(stopped.code(), StopCode::kUsage);
    EXPECT_THAT(stopped.what(), HasSubstr("127.0.0.1:" + std::to_string(port_)));
  }
}

TEST(HttpServerEnd, DoesNotWaitForClients) {
  auto server =
      std::make_unique<HttpServer>(ListenAddress{"127.0.0.1", 0}, [](const std::string&) { return HttpAnswer{}; });
  const HttpClient silent(server->port());
  server.reset();
  EXPECT_EQ(silent.read_to_end(), "");
}

}  // namespace
}  // namespace teal::test
