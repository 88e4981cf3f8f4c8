#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "engine/config_values.h"

namespace teal {

struct HttpAnswer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

/// Answers GET and HEAD on an address of this machine. It changes nothing, so it asks for no password; a request whose
/// Host is another one (a web page that had its own name lead here) is refused all the same.
/// However slow clients are, they hold up nobody: requests are bounded in size and time, connections in number.
/// Threads: two of its own, from construction to destruction: one talks to the clients, one does what takes time.
/// Source: RFC 9110, RFC 9112.
class HttpServer {
 public:
  /// How to come to an answer; one at a time. What it throws is answered with 500 and logged.
  using Work = std::function<HttpAnswer()>;
  /// What is under `path`, without its query: an answer at once, or work that takes time.
  using Find = std::function<std::variant<HttpAnswer, Work>(const std::string& path)>;

  /// Listens once it is constructed. Errors: Stopped(kUsage) when that address cannot be had.
  HttpServer(const ListenAddress& address, Find find);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  [[nodiscard]] std::uint16_t port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace teal
