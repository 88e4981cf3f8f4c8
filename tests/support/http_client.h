#pragma once
#include <cstdint>
#include <string>

namespace teal::test {

struct HttpReply {
  int status = 0;
  std::string head;  ///< the status line and all fields
  std::string body;
};

/// A connection to a port of this machine, over which requests go as they are written.
/// Errors: std::runtime_error, also when there is no answer within 20 s.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  void send(const std::string& text) const;
  /// All that comes until the server hangs up.
  [[nodiscard]] std::string read_to_end() const;

 private:
  int socket_;
};

/// Sends a request of these lines and reads the answer to its end.
[[nodiscard]] HttpReply http_ask(std::uint16_t port, const std::string& request);
/// GET of a path.
[[nodiscard]] HttpReply http_get(std::uint16_t port, const std::string& path, const std::string& host = "localhost");

}  // namespace teal::test
