#include "tests/support/feedback_record.h"

#include <algorithm>

namespace teal::test {
namespace {

std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (const char byte : bytes.substr(at, size)) value = value << 8U | static_cast<unsigned char>(byte);
  return value;
}

Lsn lsn_at(std::string_view bytes, std::size_t at) { return Lsn{big_endian(bytes, at, 8)}; }

}  // namespace

void FeedbackRecord::take(int connection, Toward toward, std::string_view bytes) {
  const std::scoped_lock lock(mutex_);
  Connection& on = connections_[connection];
  std::string& kept = toward == Toward::kServer ? on.from_client : on.from_server;
  kept += bytes;
  std::size_t at = 0;
  for (;;) {
    const std::size_t type_bytes = toward == Toward::kServer && !on.started ? 0 : 1;
    if (kept.size() < at + type_bytes + 4) break;
    const std::size_t size = type_bytes + big_endian(kept, at + type_bytes, 4);
    if (kept.size() < at + size) break;
    if (type_bytes == 0) {
      on.started = true;
    } else {
      end_message(connection, on, toward, kept[at], std::string_view(kept).substr(at + 5, size - 5));
    }
    at += size;
  }
  kept.erase(0, at);
}

void FeedbackRecord::end_message(int number, Connection& connection, Toward toward, char type, std::string_view body) {
  if (toward == Toward::kClient && type == 'W') {
    connection.streaming = true;
    ++streams_;
  }
  if (!connection.streaming || type != 'd') return;
  if (toward == Toward::kClient) {
    sent(body);
  } else if (body[0] == 'r') {
    updated(number, connection, body);
  }
}

void FeedbackRecord::sent(std::string_view body) {
  constexpr std::size_t kEnvelope = 25;  // of XLogData: its tag, two positions and a time
  if (body[0] == 'k') {
    ++keepalives_;
    sent_ = std::max(sent_, lsn_at(body, 1));
    return;
  }
  sent_ = std::max(sent_, lsn_at(body, 1));
  const std::string_view message = body.substr(kEnvelope);
  // A commit tells where its transaction ends, past its own position: a flag, its position, the end.
  if (message.starts_with('C')) sent_ = std::max(sent_, lsn_at(message, 10));
  if (message.starts_with('c')) sent_ = std::max(sent_, lsn_at(message, 14));
}

void FeedbackRecord::updated(int number, Connection& connection, std::string_view body) {
  const Lsn written = lsn_at(body, 1);
  const std::string on = " on connection " + std::to_string(number);
  if (written < connection.written) problems_.push_back("written went back to " + to_string(written) + on);
  connection.written = written;
  if (written > sent_) problems_.push_back("written is " + to_string(written) + ", sent " + to_string(sent_) + on);
  for (const std::size_t at : {std::size_t{9}, std::size_t{17}}) {  // flushed, applied
    const Lsn done = lsn_at(body, at);
    if (done == Lsn{}) continue;
    if (done < acknowledged_) {
      problems_.push_back("went back from " + to_string(acknowledged_) + " to " + to_string(done) + on);
    }
    if (done > sent_) problems_.push_back(to_string(done) + " was never sent, only " + to_string(sent_) + on);
    acknowledged_ = std::max(acknowledged_, done);
    ++updates_;
  }
}

std::vector<std::string> FeedbackRecord::problems() const {
  const std::scoped_lock lock(mutex_);
  return problems_;
}

Lsn FeedbackRecord::acknowledged() const {
  const std::scoped_lock lock(mutex_);
  return acknowledged_;
}

int FeedbackRecord::updates() const {
  const std::scoped_lock lock(mutex_);
  return updates_;
}

int FeedbackRecord::keepalives() const {
  const std::scoped_lock lock(mutex_);
  return keepalives_;
}

int FeedbackRecord::streams() const {
  const std::scoped_lock lock(mutex_);
  return streams_;
}

}  // namespace teal::test
