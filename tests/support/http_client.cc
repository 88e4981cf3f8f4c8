#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace teal::test {

HttpClient::HttpClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval patience{20, 0};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ < 0 || setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      connect(socket_, std::bit_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const std::string reason = std::strerror(errno);
    if (socket_ >= 0) close(socket_);
    throw std::runtime_error("connect to port " + std::to_string(port) + ": " + reason);
  }
}

HttpClient::~HttpClient() { close(socket_); }

void HttpClient::send(const std::string& text) const {
  if (::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error(std::string("send: ") + std::strerror(errno));
  }
}

std::string HttpClient::read_to_end() const {
  std::string all;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t size = recv(socket_, part.data(), part.size(), 0);
    if (size < 0 && errno == ECONNRESET) return all;
    if (size < 0) throw std::runtime_error(std::string("receive: ") + std::strerror(errno));
    if (size == 0) return all;
    all.append(part.data(), static_cast<std::size_t>(size));
  }
}

HttpReply http_ask(std::uint16_t port, const std::string& request) {
  const HttpClient client(port);
  client.send(request);
  const std::string all = client.read_to_end();
  const std::size_t end = all.find("\r\n\r\n");
  if (end == std::string::npos || !all.starts_with("HTTP/1.")) throw std::runtime_error("no answer: " + all);
  return {std::atoi(all.c_str() + std::string("HTTP/1.1 ").size()), all.substr(0, end), all.substr(end + 4)};
}

HttpReply http_get(std::uint16_t port, const std::string& path, const std::string& host) {
  return http_ask(port, "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
}

}  // namespace teal::test
