#include "engine/receive_window.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace teal {
namespace {

constexpr std::uint32_t kNearMicroseconds = 1'000;  // 96 KiB a round trip are then 96 MiB a second and more
constexpr int kWindowBytes = 96 << 10;

bool is_near(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;  // a Unix socket
  return size >= offsetof(tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt && info.tcpi_min_rtt < kNearMicroseconds;
}

}  // namespace

bool limit_receive_window(int socket) noexcept {
  if (!is_near(socket)) return false;
  if (setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &kWindowBytes, sizeof kWindowBytes) != 0) return false;
  int bytes = 0;
  socklen_t size = sizeof bytes;
  // The kernel doubles it for its own needs.
  return getsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, &size) == 0 && bytes <= 2 * kWindowBytes;
}

}  // namespace teal
