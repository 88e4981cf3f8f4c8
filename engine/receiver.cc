// One io_context, two coroutines: one reads, one acknowledges. They share the stream, which never blocks.
#include "engine/receiver.h"

#include <boost/asio.hpp>

#include <exception>
#include <utility>

#include "engine/failpoint.h"
#include "engine/log.h"
#include "engine/pg_error.h"
#include "engine/read_pacer.h"
#include "engine/stream_decoder.h"
#include "engine/time_text.h"

namespace teal {
namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using Clock = std::chrono::steady_clock;

class Receiver::Impl {
 public:
  Impl(ReceiverOptions options, ReplicationStream stream, TransactionQueue& queue, Progress& progress)
      : options_(std::move(options)),
        stream_(std::move(stream)),
        queue_(queue),
        progress_(progress),
        decoder_({options_.link, {options_.own_origin_prefix, options_.slice_bytes_max}, options_.spool}),
        descriptor_(io_, stream_.socket()),
        pause_(io_),
        status_timer_(io_) {
    if (stream_.sender_timeout().count() > 0) {
      options_.status_interval = std::min(options_.status_interval, stream_.sender_timeout() / 3);
    }
    queue_.on_space([this] { asio::post(io_, [this] { pause_.cancel(); }); });
  }

  ~Impl() {  // the socket is libpq's
    if (descriptor_.is_open()) descriptor_.release();
  }

  void run() noexcept {
    asio::co_spawn(io_, receive_loop(), [this](const std::exception_ptr& error) { reading_ended(error); });
    asio::co_spawn(io_, feedback_loop(), [this](const std::exception_ptr& error) {
      if (error) reading_ended(error);
    });
    try {
      io_.run();
    } catch (...) {  // a handler of ours threw: the reader of the queue has to hear of it
      queue_.close(std::current_exception());
    }
    // The applier may be held up for minutes before it hears of the end: the source must not wait for that.
    descriptor_.release();
    stream_.close();
  }

  void stop_reading() {
    asio::post(io_, [this] {
      stopping_ = true;
      pause_.cancel();
      descriptor_.cancel();
    });
  }

  void finish() {
    asio::post(io_, [this] {
      stopping_ = finishing_ = true;
      pause_.cancel();
      descriptor_.cancel();
      status_timer_.cancel();
    });
  }

 private:
  // The end of reading: by request (no error; acknowledging goes on), or by a failure, which ends everything.
  void reading_ended(const std::exception_ptr& error) {
    const bool failed = error != nullptr;
    queue_.close(error);
    if (!failed) return;
    stopping_ = finishing_ = true;
    pause_.cancel();
    descriptor_.cancel();
    status_timer_.cancel();
  }

  awaitable<void> receive_loop() {
    heard_ = Clock::now();
    while (!stopping_) {
      while (std::optional<Frame> frame = stream_.next_frame()) {
        burst_bytes_ += frame->bytes().size();
        std::optional<SourceItem> item = decode(std::move(*frame));
        if (item && !queue_.try_push(*item)) co_await push_later(std::move(*item));
        if (decoder_.replaying()) co_await replay();
        if (stopping_) co_return;
      }
      if (!co_await wait_readable()) continue;
      heard_ = Clock::now();
      if (!stream_.read_socket()) {
        stream_.next_frame();  // says what happened
        throw PgError("read the stream", "the source closed the connection", "");
      }
    }
  }

  std::optional<SourceItem> decode(Frame frame) {
    const auto envelope = parse_copy_data(frame.bytes());
    if (!envelope) decoder_.stop_for(envelope.error(), Lsn{});
    if (const auto* keepalive = std::get_if<PrimaryKeepalive>(&*envelope)) {
      progress_.set_received(keepalive->wal_end);
      if (keepalive->reply_requested) send_status(false);
      // Inside a transaction the end of WAL says nothing about that transaction.
      if (decoder_.in_transaction()) return std::nullopt;
      return WalEnd{keepalive->wal_end, keepalive->send_time};
    }
    const auto& data = std::get<XLogData>(*envelope);
    progress_.set_received(data.start);
    std::optional<TransactionSlice> slice = decoder_.add(data.start, data.payload, std::move(frame));
    if (!slice) return std::nullopt;
    return std::move(*slice);
  }

  // A transaction that came in blocks. Nothing is read meanwhile; the other coroutine goes on acknowledging.
  awaitable<void> replay() {
    while (decoder_.replaying() && !stopping_) {
      if (std::optional<TransactionSlice> slice = decoder_.replay()) {
        SourceItem item = std::move(*slice);
        if (!queue_.try_push(item)) co_await push_later(std::move(item));
      }
      co_await asio::post(io_, use_awaitable);
    }
    heard_ = Clock::now();
  }

  awaitable<void> push_later(SourceItem item) {
    progress_.set_behind(true);
    progress_.set_stalled(true);
    do {
      co_await pause(options_.status_interval);  // ended early when there is space
      heard_ = Clock::now();                     // we did not listen: silence proves nothing
    } while (!stopping_ && !queue_.try_push(item));
    progress_.set_stalled(false);
  }

  awaitable<bool> wait_readable() {
    pacer_.read(std::exchange(burst_bytes_, 0), Clock::now());
    progress_.set_behind(pacer_.dense());
    if (stream_.readable()) {
      // A socket that always has something must not starve the timers and the stop.
      co_await asio::post(io_, use_awaitable);
      co_return !stopping_;
    }
    if (pacer_.dense()) {
      co_await pause(ReadPacer::kNap);
      if (stream_.readable()) co_return true;
    }
    if (stopping_) co_return false;
    boost::system::error_code error;
    co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                                    asio::redirect_error(use_awaitable, error));
    co_return !error;
  }

  awaitable<void> pause(std::chrono::milliseconds time) {
    boost::system::error_code ignored;  // cancelled is as good as elapsed: the caller looks again
    pause_.expires_after(time);
    co_await pause_.async_wait(asio::redirect_error(use_awaitable, ignored));
  }

  awaitable<void> feedback_loop() {
    auto sent = Clock::now();
    Lsn acknowledged;
    bool unsent = false;
    while (!finishing_) {
      boost::system::error_code ignored;
      status_timer_.expires_after(std::min(options_.status_interval, kAcknowledgeInterval));
      co_await status_timer_.async_wait(asio::redirect_error(use_awaitable, ignored));
      const auto now = Clock::now();
      const bool due = now - sent >= options_.status_interval;
      if (unsent) unsent = !stream_.flush();  // a source that takes nothing is silent as well: the check below ends it
      if (!unsent && (due || finishing_ || progress_.durable() != acknowledged)) {
        acknowledged = progress_.durable();
        sent = now;
        unsent = !send_status(due);
      }
      if (progress_.source_leaves()) throw PgError("read the stream", "the source is shutting down", "57P01");
      if (!stopping_ && now - heard_ > options_.silence_max) {
        throw PgError("read the stream",
                      "nothing was heard from the source for " + std::to_string(options_.silence_max.count()) + " ms",
                      "");
      }
    }
  }

  // Asking for a reply keeps the end of WAL known while the source is idle, and proves that somebody is there.
  bool send_status(bool ask) {
    const Lsn durable = progress_.durable();
    TEAL_FAILPOINT("before_feedback");
    const bool sent = stream_.send(StandbyStatusUpdate{progress_.received(), durable, durable, now_timestamp(), ask});
    TEAL_FAILPOINT("feedback_sent");
    return sent;
  }

  static constexpr std::chrono::milliseconds kAcknowledgeInterval{200};

  ReceiverOptions options_;
  ReplicationStream stream_;
  TransactionQueue& queue_;
  Progress& progress_;
  StreamDecoder decoder_;
  ReadPacer pacer_;
  std::size_t burst_bytes_ = 0;
  Clock::time_point heard_;
  bool stopping_ = false;
  bool finishing_ = false;

  asio::io_context io_{1};
  asio::posix::stream_descriptor descriptor_;
  asio::steady_timer pause_;
  asio::steady_timer status_timer_;
};

Receiver::Receiver(ReceiverOptions options, ReplicationStream stream, TransactionQueue& queue, Progress& progress)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(stream), queue, progress)) {}

Receiver::~Receiver() = default;

void Receiver::run() noexcept { impl_->run(); }
void Receiver::stop_reading() { impl_->stop_reading(); }
void Receiver::finish() { impl_->finish(); }

}  // namespace teal
