#pragma once
#include <utility>

namespace teal::test {

/// A TCP port of 127.0.0.1 that nothing listens on and that no other test takes while the object lives.
/// It lies below the range from which the kernel gives ports to outgoing connections, so that a server can be
/// stopped and started again on it.
class TcpPort {
 public:
  /// Finds and reserves one. Errors: std::runtime_error when there is none.
  static TcpPort reserve();

  TcpPort(TcpPort&& other) noexcept
      : number_(std::exchange(other.number_, 0)), reservation_(std::exchange(other.reservation_, -1)) {}
  TcpPort& operator=(TcpPort&& other) noexcept {
    std::swap(number_, other.number_);
    std::swap(reservation_, other.reservation_);
    return *this;
  }
  TcpPort(const TcpPort&) = delete;
  TcpPort& operator=(const TcpPort&) = delete;
  ~TcpPort();

  [[nodiscard]] int number() const { return number_; }

 private:
  TcpPort(int number, int reservation) : number_(number), reservation_(reservation) {}

  int number_;
  int reservation_;
};

}  // namespace teal::test
