#include "tools/signals.h"

#include <pthread.h>

#include <csignal>
#include <ctime>

namespace teal {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

SignalStop::SignalStop() {
  const sigset_t blocked = stop_signals();
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  waiter_ = std::jthread([this](const std::stop_token& ended) {
    const sigset_t awaited = stop_signals();
    constexpr timespec kWait{.tv_sec = 0, .tv_nsec = 100'000'000};
    while (!ended.stop_requested()) {
      if (sigtimedwait(&awaited, nullptr, &kWait) > 0) stop_.request_stop();
    }
  });
}

SignalStop::~SignalStop() {
  waiter_.request_stop();
  waiter_.join();
  const sigset_t unblocked = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &unblocked, nullptr);
}

}  // namespace teal
