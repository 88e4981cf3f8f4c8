// One io_context on one thread; each connection has two coroutines, one for each way. Settings are changed on that
// thread only, so that nothing is locked; a coroutine that waits for a change sleeps on `changed_`.
#include "tests/support/fault_proxy.h"

#include <boost/asio.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/commit_scanner.h"

namespace teal::test {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr std::size_t kPieceBytes = 64U << 10U;
constexpr milliseconds kAnswerWithin{2'000};  // to a COMMIT whose answer is swallowed

constexpr std::size_t at(Toward toward) { return toward == Toward::kServer ? 0 : 1; }

struct Way {
  milliseconds delay{0};
  milliseconds jitter{0};
  std::size_t trickle = 0;
  bool held = false;
  std::optional<std::uint64_t> cut_after;
};

struct Connection {
  Connection(tcp::socket accepted, int count)
      : client(std::move(accepted)), server(client.get_executor()), number(count) {}

  tcp::socket client;
  tcp::socket server;
  int number;
  CommitScanner scanner;
  bool answer_swallowed = false;
  std::string swallowed;
  int ways_ended = 0;
};
using ConnectionPtr = std::shared_ptr<Connection>;

}  // namespace

class FaultProxy::Impl {
 public:
  Impl(int server_port, std::uint64_t seed)
      : server_(asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(server_port)),
        acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        changed_(io_, asio::steady_timer::time_point::max()),
        random_(seed),
        port_(acceptor_.local_endpoint().port()) {
    asio::co_spawn(io_, accept_loop(), asio::detached);
    thread_ = std::jthread([this] { io_.run(); });
  }

  ~Impl() {
    io_.stop();
    thread_.join();
  }

  /// Runs `change` on the proxy's thread and returns when it is done.
  template <class Change>
  void apply(Change change) {
    std::promise<void> done;
    asio::post(io_, [this, &change, &done] {
      change();
      changed_.cancel();
      done.set_value();
    });
    done.get_future().wait();
  }

  void end_all(bool reset) {
    const std::set<ConnectionPtr> all = connections_;
    for (const ConnectionPtr& connection : all) end(connection, reset);
  }

  [[nodiscard]] Way& way(Toward toward) { return ways[at(toward)]; }
  [[nodiscard]] int port() const { return port_; }

  Listener listener;
  std::array<Way, 2> ways;
  int commits_left = 0;
  CommitCut commit_cut = CommitCut::kBefore;

  std::atomic<bool> armed{false};
  std::atomic<int> cuts_done{0};
  std::atomic<int> open{0};
  std::atomic<int> accepted{0};
  std::atomic<int> commits{0};
  std::array<std::atomic<std::uint64_t>, 2> passed{};

  void note_armed() { armed = commits_left > 0 || ways[0].cut_after || ways[1].cut_after; }

 private:
  awaitable<void> accept_loop() {
    for (;;) {
      error_code error;
      tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(use_awaitable, error));
      if (error) continue;
      const auto connection = std::make_shared<Connection>(std::move(socket), ++accepted);
      connections_.insert(connection);
      open = static_cast<int>(connections_.size());
      asio::co_spawn(io_, serve(connection), asio::detached);
    }
  }

  awaitable<void> serve(ConnectionPtr connection) {
    co_await while_held(connection, Toward::kServer);
    error_code error;
    co_await connection->server.async_connect(server_, asio::redirect_error(use_awaitable, error));
    if (error || !connection->client.is_open()) {
      end(connection, false);
      co_return;
    }
    connection->client.set_option(tcp::no_delay(true), error);
    connection->server.set_option(tcp::no_delay(true), error);
    asio::co_spawn(io_, pump(connection, Toward::kServer), asio::detached);
    asio::co_spawn(io_, pump(connection, Toward::kClient), asio::detached);
  }

  awaitable<void> pump(ConnectionPtr connection, Toward toward) {
    tcp::socket& from = toward == Toward::kServer ? connection->client : connection->server;
    tcp::socket& to = toward == Toward::kServer ? connection->server : connection->client;
    std::vector<char> buffer(kPieceBytes);
    error_code error;
    for (;;) {
      const std::size_t count =
          co_await from.async_read_some(asio::buffer(buffer), asio::redirect_error(use_awaitable, error));
      if (error) break;
      if (listener) listener(connection->number, toward, std::string_view(buffer.data(), count));
      co_await pause(toward);
      const bool alive = co_await pass(connection, toward, std::string_view(buffer.data(), count));
      if (!alive) break;
    }
    co_await while_held(connection, toward);
    error_code ignored;  // it may be closed already
    to.shutdown(tcp::socket::shutdown_send, ignored);
    if (error != asio::error::eof || ++connection->ways_ended == 2 || connection->answer_swallowed)
      end(connection, false);
  }

  // What arrived in one piece; returns false when the connection is over.
  awaitable<bool> pass(ConnectionPtr connection, Toward toward, std::string_view bytes) {
    if (toward == Toward::kClient) {
      if (!connection->answer_swallowed) co_return co_await send(connection, toward, bytes);
      connection->swallowed += bytes;
      co_return connection->swallowed.find("COMMIT") == std::string::npos;
    }
    while (!bytes.empty()) {
      bool commit = false;
      std::size_t count = connection->scanner.take(bytes, commit);
      const bool cut = commit && this_commit();
      const bool never_whole = cut && commit_cut == CommitCut::kBefore;
      if (cut && !never_whole) swallow_answer(connection);
      if (never_whole) --count;
      const bool sent = co_await send(connection, toward, bytes.substr(0, count));
      if (!sent || never_whole) co_return false;
      bytes.remove_prefix(count);
    }
    co_return true;
  }

  bool this_commit() {
    ++commits;
    if (commits_left == 0) return false;
    --commits_left;
    if (commits_left > 0) return false;
    ++cuts_done;
    note_armed();
    return true;
  }

  // A server that does not answer COMMIT with COMMIT is waited for only so long.
  void swallow_answer(const ConnectionPtr& connection) {
    connection->answer_swallowed = true;
    const auto timer = std::make_shared<asio::steady_timer>(io_, kAnswerWithin);
    timer->async_wait([this, timer, connection](const error_code&) { end(connection, false); });
  }

  awaitable<bool> send(ConnectionPtr connection, Toward toward, std::string_view bytes) {
    tcp::socket& to = toward == Toward::kServer ? connection->server : connection->client;
    while (!bytes.empty()) {
      co_await while_held(connection, toward);
      Way& settings = way(toward);
      std::size_t count = settings.trickle == 0 ? bytes.size() : std::min(bytes.size(), settings.trickle);
      bool last = false;
      if (settings.cut_after) {
        last = *settings.cut_after < count;
        count = std::min<std::size_t>(count, *settings.cut_after);
        *settings.cut_after -= count;
        if (last) {
          settings.cut_after.reset();
          ++cuts_done;
        }
        note_armed();
      }
      passed[at(toward)] += count;
      error_code error;
      co_await asio::async_write(to, asio::buffer(bytes.data(), count), asio::redirect_error(use_awaitable, error));
      bytes.remove_prefix(count);
      if (error || last) co_return false;
    }
    co_return true;
  }

  awaitable<void> while_held(ConnectionPtr connection, Toward toward) {
    while (way(toward).held && connection->client.is_open()) {
      error_code cancelled;
      co_await changed_.async_wait(asio::redirect_error(use_awaitable, cancelled));
    }
  }

  awaitable<void> pause(Toward toward) {
    const Way& settings = way(toward);
    if (settings.delay.count() + settings.jitter.count() == 0) co_return;
    std::uniform_int_distribution<std::int64_t> jitter(0, settings.jitter.count());
    asio::steady_timer timer(io_, settings.delay + milliseconds(jitter(random_)));
    error_code ignored;
    co_await timer.async_wait(asio::redirect_error(use_awaitable, ignored));
  }

  void end(const ConnectionPtr& connection, bool reset) {
    if (connections_.erase(connection) == 0) return;
    open = static_cast<int>(connections_.size());
    for (tcp::socket* socket : {&connection->client, &connection->server}) {
      error_code ignored;  // one end may be gone already
      if (reset) {
        socket->set_option(asio::socket_base::linger(true, 0), ignored);
      } else {
        socket->shutdown(tcp::socket::shutdown_both, ignored);
      }
      socket->close(ignored);
    }
    changed_.cancel();
  }

  asio::io_context io_{1};
  tcp::endpoint server_;
  tcp::acceptor acceptor_;
  asio::steady_timer changed_;
  std::mt19937_64 random_;
  int port_;
  std::set<ConnectionPtr> connections_;
  std::jthread thread_;
};

FaultProxy::FaultProxy(int server_port, std::uint64_t seed) : impl_(std::make_unique<Impl>(server_port, seed)) {}
FaultProxy::~FaultProxy() = default;

int FaultProxy::port() const { return impl_->port(); }

void FaultProxy::listen(Listener listener) {
  impl_->apply([this, &listener] { impl_->listener = std::move(listener); });
}

void FaultProxy::clear() {
  impl_->apply([this] {
    impl_->ways = {};
    impl_->commits_left = 0;
    impl_->note_armed();
  });
}

void FaultProxy::delay(Toward toward, milliseconds least, milliseconds jitter) {
  impl_->apply([this, toward, least, jitter] {
    impl_->way(toward).delay = least;
    impl_->way(toward).jitter = jitter;
  });
}

void FaultProxy::trickle(Toward toward, std::size_t bytes) {
  impl_->apply([this, toward, bytes] { impl_->way(toward).trickle = bytes; });
}

void FaultProxy::hold(Toward toward, bool on) {
  impl_->apply([this, toward, on] { impl_->way(toward).held = on; });
}

void FaultProxy::hold_both(bool on) {
  hold(Toward::kServer, on);
  hold(Toward::kClient, on);
}

void FaultProxy::cut() {
  impl_->apply([this] { impl_->end_all(false); });
}

void FaultProxy::reset() {
  impl_->apply([this] { impl_->end_all(true); });
}

void FaultProxy::cut_after(Toward toward, std::uint64_t bytes) {
  impl_->apply([this, toward, bytes] {
    impl_->way(toward).cut_after = bytes;
    impl_->note_armed();
  });
}

void FaultProxy::cut_at_commit(int count, CommitCut when) {
  impl_->apply([this, count, when] {
    impl_->commits_left = count;
    impl_->commit_cut = when;
    impl_->note_armed();
  });
}

bool FaultProxy::armed() const { return impl_->armed; }
int FaultProxy::cuts_done() const { return impl_->cuts_done; }
int FaultProxy::open_connections() const { return impl_->open; }
int FaultProxy::accepted() const { return impl_->accepted; }
int FaultProxy::commits() const { return impl_->commits; }
std::uint64_t FaultProxy::passed(Toward toward) const { return impl_->passed[at(toward)]; }

}  // namespace teal::test
