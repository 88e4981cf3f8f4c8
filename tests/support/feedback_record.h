#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decoder/lsn.h"
#include "tests/support/fault_proxy.h"

namespace teal::test {

/// Reads along between a consumer and its source: which positions the source sent, and which were acknowledged to it.
/// An acknowledgement may not be lower than one before (0 is none), nor name what the source never sent (TRAPS A9).
/// Bytes have to be readable: no TLS, and not asked for either.
/// Threads: any. Source: PostgreSQL manual, "Streaming Replication Protocol".
class FeedbackRecord {
 public:
  /// `known` was acknowledged before.
  explicit FeedbackRecord(Lsn known) : acknowledged_(known), sent_(known) {}

  /// For FaultProxy::listen.
  void take(int connection, Toward toward, std::string_view bytes);

  [[nodiscard]] std::vector<std::string> problems() const;
  [[nodiscard]] Lsn acknowledged() const;
  /// Status updates that acknowledged something.
  [[nodiscard]] int updates() const;
  [[nodiscard]] int keepalives() const;
  /// Connections that streamed.
  [[nodiscard]] int streams() const;

 private:
  struct Connection {
    bool started = false;    ///< the client's packet without a type byte is over
    bool streaming = false;  ///< both sides send CopyData
    Lsn written;
    std::string from_client;
    std::string from_server;
  };

  void end_message(int number, Connection& connection, Toward toward, char type, std::string_view body);
  void sent(std::string_view body);
  void updated(int number, Connection& connection, std::string_view body);

  mutable std::mutex mutex_;
  std::map<int, Connection> connections_;  // guarded by mutex_, like all below
  Lsn acknowledged_;
  Lsn sent_;
  int updates_ = 0;
  int keepalives_ = 0;
  int streams_ = 0;
  std::vector<std::string> problems_;
};

}  // namespace teal::test
