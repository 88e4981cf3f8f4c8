// One io_context, two coroutines: one reads, one acknowledges. They share the stream, which never blocks.
#include "engine/receiver.h"

#include <boost/asio.hpp>

#include <exception>
#include <utility>

#include "engine/failpoint.h"
#include "engine/pause.h"
#include "engine/pg_error.h"
#include "engine/time_text.h"

namespace teal {
namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using Clock = std::chrono::steady_clock;

class Receiver::Impl {
 public:
  Impl(StreamReaderOptions options, ReplicationStream stream, TransactionQueue& queue, Progress& progress)
      : stream_(std::move(stream)),
        queue_(queue),
        reader_(expecting(std::move(options), stream_), stream_.sender_timeout(), queue, progress, Clock::now()),
        descriptor_(io_, stream_.socket()),
        pause_(io_),
        status_timer_(io_) {
    queue_.on_space([this] { asio::post(io_, [this] { take_room(); }); });
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
    reader_.end();
    // The applier may be held up for minutes before it hears of the end: the source must not wait for that.
    descriptor_.release();
    stream_.close();
  }

  void stop_reading() {
    asio::post(io_, [this] {
      if (!reader_.observe_only()) return end_reading();
      queue_.close(nullptr);
      pause_.cancel();
    });
  }

  void finish() {
    asio::post(io_, [this] { end(); });
  }

 private:
  static StreamReaderOptions expecting(StreamReaderOptions options, const ReplicationStream& stream) {
    options.expected = stream.sends_again();
    return options;
  }

  void end_reading() {
    reader_.stop();
    pause_.cancel();
    descriptor_.cancel();
  }

  void end() {
    finishing_ = true;
    end_reading();
    status_timer_.cancel();
  }

  void take_room() {
    const bool held_up = reader_.held_up();
    if (reader_.refill(Clock::now())) asio::post(io_, [this] { take_room(); });
    if (held_up) pause_.cancel();  // no other pause: they are there to be slept through
  }

  // The end of reading: by request (no error; acknowledging goes on), or by a failure, which ends everything.
  void reading_ended(const std::exception_ptr& error) {
    queue_.close(error);
    if (error) end();
  }

  awaitable<void> receive_loop() {
    while (!reader_.stopped()) {
      while (std::optional<Frame> frame = stream_.next_frame()) {
        if (reader_.add(std::move(*frame))) send(reader_.status(false));
        if (!reader_.ready()) co_await make_ready();
        if (reader_.stopped()) co_return;
      }
      if (!co_await wait_readable()) continue;
      reader_.heard(Clock::now());
      if (!stream_.read_socket()) {
        stream_.next_frame();  // says what happened
        throw PgError("read the stream", "the source closed the connection", "");
      }
    }
  }

  // Nothing is read meanwhile; the other coroutine goes on acknowledging.
  awaitable<void> make_ready() {
    while (!reader_.ready() && !reader_.stopped()) {
      if (reader_.held_up()) {
        co_await pause(reader_.hold_up_pause());  // ended early when there is space
      } else {
        co_await asio::post(io_, use_awaitable);
      }
      if (!reader_.stopped()) reader_.go_on(Clock::now());
    }
  }

  awaitable<bool> wait_readable() {
    if (const auto rest = reader_.pace(Clock::now())) {
      // Not by a timer: the reactor would wake up for each segment that comes meanwhile.
      pause_for(*rest, {});
    }
    if (stream_.readable()) {
      // A socket that always has something must not starve the timers and the stop.
      co_await asio::post(io_, use_awaitable);
      co_return !reader_.stopped();
    }
    if (reader_.stopped()) co_return false;
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
    bool unsent = false;
    while (!finishing_) {
      boost::system::error_code ignored;
      status_timer_.expires_after(reader_.status_pause());
      co_await status_timer_.async_wait(asio::redirect_error(use_awaitable, ignored));
      const auto now = Clock::now();
      if (unsent) unsent = !stream_.flush();  // a source that takes nothing is silent as well: the check below ends it
      if (!unsent) {
        if (const auto update = reader_.status_due(now, finishing_)) unsent = !send(*update);
      }
      reader_.check_source(now);
    }
  }

  bool send(StandbyStatusUpdate update) {
    update.send_time = now_timestamp();
    TEAL_FAILPOINT("before_feedback");
    const bool sent = stream_.send(update);
    TEAL_FAILPOINT("feedback_sent");
    return sent;
  }

  ReplicationStream stream_;
  TransactionQueue& queue_;
  StreamReader reader_;
  bool finishing_ = false;

  asio::io_context io_{1};
  asio::posix::stream_descriptor descriptor_;
  asio::steady_timer pause_;
  asio::steady_timer status_timer_;
};

Receiver::Receiver(StreamReaderOptions options, ReplicationStream stream, TransactionQueue& queue, Progress& progress)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(stream), queue, progress)) {}

Receiver::~Receiver() = default;

void Receiver::run() noexcept { impl_->run(); }
void Receiver::stop_reading() { impl_->stop_reading(); }
void Receiver::finish() { impl_->finish(); }

}  // namespace teal
