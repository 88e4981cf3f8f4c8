#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace teal::test {

/// One of the two ways through a proxy.
enum class Toward { kServer, kClient };

/// On which side of a COMMIT a connection is cut.
enum class CommitCut {
  kBefore,  ///< the server never has the whole COMMIT
  kAfter,   ///< the server has committed, and its answer is kept from the client
};

/// A TCP proxy in front of a server on 127.0.0.1, whose network can be made bad while connections live. It has a thread
/// of its own. Bytes have to be readable (no TLS) for the faults that look for a COMMIT.
/// Faults stay until they are changed or cleared, and hold for connections that come later as well; what cuts or resets
/// ends the connections of the moment. A server that is away looks like one that hangs up at once.
/// Threads: any; a call returns when the fault is in place. Errors: boost::system::system_error when no port is free.
class FaultProxy {
 public:
  explicit FaultProxy(int server_port, std::uint64_t seed = 1);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  [[nodiscard]] int port() const;

  /// Hears what arrives from either end, before it is passed on; connections count from 1.
  /// Threads: it is called on the proxy's.
  using Listener = std::function<void(int connection, Toward toward, std::string_view bytes)>;
  /// Once, before the first connection.
  void listen(Listener listener);

  /// Lets everything pass again and disarms what is armed. What was held goes on its way.
  void clear();

  /// Each piece that arrives waits between `least` and `least + jitter`; zero: none does.
  void delay(Toward toward, std::chrono::milliseconds least, std::chrono::milliseconds jitter);
  /// Passes on at most so many bytes in one write; 0: as they come.
  void trickle(Toward toward, std::size_t bytes);
  /// Passes nothing on, while connections stay open and new ones are accepted: a black hole.
  void hold(Toward toward, bool on);
  void hold_both(bool on);

  /// Closes both ends of all connections.
  void cut();
  /// The same with RST in place of FIN.
  void reset();
  /// Passes so many more bytes that way, then cuts the connection that has the next one. Once.
  void cut_after(Toward toward, std::uint64_t bytes);
  /// Cuts the connection with the `count`-th COMMIT from now on. Once.
  void cut_at_commit(int count, CommitCut when);

  /// Whether a cut_after or a cut_at_commit waits for its byte or its COMMIT.
  [[nodiscard]] bool armed() const;
  /// How often one of the two has cut.
  [[nodiscard]] int cuts_done() const;
  [[nodiscard]] int open_connections() const;
  [[nodiscard]] int accepted() const;
  [[nodiscard]] int commits() const;                        ///< that clients sent
  [[nodiscard]] std::uint64_t passed(Toward toward) const;  ///< bytes

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace teal::test
