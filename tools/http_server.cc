#include "tools/http_server.h"

#include <fcntl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr std::chrono::seconds kRequestWithin{5};
constexpr std::chrono::milliseconds kAcceptPause{200};
constexpr std::uint32_t kHeaderBytesMost = 8U << 10U;
constexpr std::size_t kConnectionsMost = 256;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

bool is_here(std::string_view host) {
  const bool bracketed = host.starts_with('[');
  const std::size_t end = bracketed ? host.find(']') : host.rfind(':');
  if (bracketed && end + 1 < host.size() && host[end + 1] != ':') return false;
  std::string name(bracketed ? host.substr(1, end == std::string_view::npos ? end : end - 1) : host.substr(0, end));
  if (name == "localhost") return true;
  boost::system::error_code error;
  const auto address = asio::ip::make_address(name, error);
  return !error && address.is_loopback();
}

// Programs that teal starts (pg_restore) may outlive it, and must not keep the port.
void keep_to_ourselves(int socket) {
  if (fcntl(socket, F_SETFD, FD_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "FD_CLOEXEC");
}

tcp::acceptor listen_on(asio::io_context& io, const ListenAddress& address) {
  try {
    tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::make_address(address.host), address.port));
    keep_to_ourselves(acceptor.native_handle());
    return acceptor;
  } catch (const boost::system::system_error& error) {
    throw Stopped(StopCode::kUsage, "http.listen: nobody can listen on " + address.host + ":" +
                                        std::to_string(address.port) + ": " + error.code().message() +
                                        "; name a port that is free");
  }
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const ListenAddress& address, Find find)
      : find_(std::move(find)), acceptor_(listen_on(io_, address)), port_(acceptor_.local_endpoint().port()) {
    asio::co_spawn(io_, accept(), [](const std::exception_ptr& error) {
      if (error) std::rethrow_exception(error);
    });
    thread_ = std::thread([this] { run(); });
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    io_.stop();
    thread_.join();
    worker_.stop();
    worker_.join();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  // Whatever becomes of it, replication goes on.
  void run() {
    try {
      io_.run();
    } catch (const std::exception& error) {
      log_event(LogLevel::kError, "not answering by http any more", {{"reason", error.what()}});
    }
  }

  asio::awaitable<void> accept() {
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kTuple);
      if (error || connections_ == kConnectionsMost) {
        // No descriptor is free, or too many clients are there: later.
        asio::steady_timer timer(io_, kAcceptPause);
        co_await timer.async_wait(kTuple);
        continue;
      }
      keep_to_ourselves(socket.native_handle());
      ++connections_;
      asio::co_spawn(io_, serve(beast::tcp_stream(std::move(socket))),
                     [this](const std::exception_ptr&) { --connections_; });
    }
  }

  asio::awaitable<void> serve(beast::tcp_stream stream) {
    beast::flat_buffer buffer(kHeaderBytesMost);
    for (bool more = true; more;) {
      http::request_parser<http::empty_body> parser;
      parser.header_limit(kHeaderBytesMost);
      stream.expires_after(kRequestWithin);
      const auto [failed, size] = co_await http::async_read(stream, buffer, parser, kTuple);
      if (failed && !tells(failed)) co_return;
      Response response;
      if (failed) {
        response = plain(parser.get(), http::status::bad_request, "not a request for anything here\n");
      } else {
        response = co_await respond(parser.get());
      }
      if (parser.get().method() == http::verb::head) {
        const std::size_t bytes = response.body().size();
        response.body().clear();
        response.content_length(bytes);
      }
      if (failed) response.keep_alive(false);
      more = response.keep_alive();
      stream.expires_after(kRequestWithin);
      const auto [unsent, sent] = co_await http::async_write(stream, response, kTuple);
      if (unsent) co_return;
    }
    beast::error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  // Of a client that has hung up, or says nothing, nobody waits for an answer.
  static bool tells(beast::error_code error) {
    return error.category() == make_error_code(http::error::bad_method).category() &&
           error != http::error::end_of_stream && error != http::error::partial_message;
  }

  asio::awaitable<Response> respond(const Request& request) {
    const std::string_view host = request[http::field::host];
    if (!is_here(host)) co_return plain(request, http::status::misdirected_request, "ask for localhost\n");
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      Response response = plain(request, http::status::method_not_allowed, "GET and HEAD\n");
      response.set(http::field::allow, "GET, HEAD");
      co_return response;
    }
    const std::string_view target = request.target();
    co_return co_await answer(request, std::string(target.substr(0, target.find('?'))));
  }

  asio::awaitable<Response> answer(const Request& request, std::string path) {
    try {
      std::variant<HttpAnswer, Work> found = find_(path);
      HttpAnswer answer;
      if (const Work* work = std::get_if<Work>(&found)) {
        answer = co_await asio::co_spawn(worker_, run(*work), asio::use_awaitable);
      } else {
        answer = std::get<HttpAnswer>(found);
      }
      Response response = plain(request, http::int_to_status(answer.status), std::move(answer.body));
      response.set(http::field::content_type, answer.type);
      co_return response;
    } catch (const std::exception& error) {
      log_event(LogLevel::kError, "request not answered", {{"path", path}, {"reason", error.what()}});
    }
    co_return plain(request, http::status::internal_server_error, "see teal's log\n");
  }

  static asio::awaitable<HttpAnswer> run(Work work) { co_return work(); }

  static Response plain(const Request& request, http::status status, std::string body) {
    Response response(status, request.version());
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.keep_alive(request.keep_alive());
    response.body() = std::move(body);
    response.prepare_payload();
    return response;
  }

  const Find find_;
  asio::io_context io_{1};
  asio::thread_pool worker_{1};
  tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::size_t connections_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer(const ListenAddress& address, Find find)
    : impl_(std::make_unique<Impl>(address, std::move(find))) {}

HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const { return impl_->port(); }

}  // namespace teal
