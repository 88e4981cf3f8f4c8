#include "engine/wait_log.h"

#include <chrono>
#include <utility>

#include "engine/log.h"

namespace teal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTellInterval{10'000};

}  // namespace

PgConnection::WaitListener log_long_waits(const PgConnection& connection, std::string session) {
  return [session = std::move(session), server = connection.label(), pid = connection.backend_pid(),
          told = milliseconds(0)](milliseconds waited) mutable {
    if (waited < told) told = milliseconds(0);  // another statement
    if (waited - told < kTellInterval) return;
    told = waited;
    log_event(LogLevel::kWarn, "no answer yet, held up by a lock?",
              {{"server", server}, {"session", session}, {"pid", pid}, {"waited_s", waited.count() / 1000}});
  };
}

}  // namespace teal
