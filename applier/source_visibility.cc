#include "applier/source_visibility.h"

#include <chrono>

#include "engine/pause.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kOperation = "wait until a transaction can be seen on the source";
constexpr milliseconds kLook{20};
constexpr milliseconds kMost{2'000};

}  // namespace

// A transaction holds the lock on its number for as long as others take it to be in progress.
void wait_until_visible(PgConnection& source, std::span<const Xid> transactions) {
  std::string numbers;
  for (const Xid& xid : transactions) numbers += (numbers.empty() ? "{" : ",") + std::to_string(xid.value);
  if (numbers.empty()) return;
  numbers += "}";
  const auto until = steady_clock::now() + kMost;
  while (source
             .exec_often(kOperation,
                         "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND granted AND "
                         "transactionid = ANY ($1::xid[]))",
                         {numbers})
             .boolean(0, 0)) {
    if (steady_clock::now() >= until) {
      throw PgError(kOperation,
                    "what it has committed is not visible on " + source.label() +
                        " yet: it may wait for a synchronous standby there",
                    "57P03");
    }
    if (!pause_for(kLook, source.stop_token())) throw PgError(kOperation, "it is time to stop", "57014");
  }
}

}  // namespace teal
