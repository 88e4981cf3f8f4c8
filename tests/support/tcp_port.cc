// A port is reserved by holding an abstract Unix socket that is named after it: such a name goes away with the
// process that holds it, however that ends, so nothing has to be cleaned up.
#include "tests/support/tcp_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

namespace teal::test {
namespace {

constexpr int kLowestPort = 12000;
constexpr int kHighestPort = 31999;

/// Returns the holding socket, or -1 when another process holds this port.
int hold(int port) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error("no Unix socket for a port reservation");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "teal-test-port-" + std::to_string(port);
  std::memcpy(&address.sun_path[1], name.data(), name.size());  // the zero byte in front makes it abstract
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  ::close(fd);
  return -1;
}

bool can_listen(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error("no TCP socket");
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return free;
}

}  // namespace

TcpPort TcpPort::reserve() {
  std::random_device random;
  std::uniform_int_distribution<int> any_port(kLowestPort, kHighestPort);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int port = any_port(random);
    const int reservation = hold(port);
    if (reservation < 0) continue;
    if (can_listen(port)) return {port, reservation};
    ::close(reservation);
  }
  throw std::runtime_error("no free TCP port");
}

TcpPort::~TcpPort() {
  if (reservation_ >= 0) ::close(reservation_);
}

}  // namespace teal::test
