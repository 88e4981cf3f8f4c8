#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "engine/pause.h"
#include "tests/support/sql.h"

namespace teal::test {

/// A session on each of two servers that crash and come back.
/// Threads: one.
class ServerSessions {
 public:
  /// Both are conninfos.
  ServerSessions(std::string blue, std::string green) : blue_at_(std::move(blue)), green_at_(std::move(green)) {}

  /// Calls `use(blue, green)`, again with new sessions when one of them was lost on the way: then what was seen before
  /// may not be so any more, and what was sent may have been done.
  /// Errors: SqlError, that of a lost session too after a minute of trying; what `use` throws.
  template <class Use>
  auto use(Use use) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (;;) {
      try {
        if (!blue_) blue_ = std::make_unique<Sql>(blue_at_);
        if (!green_) green_ = std::make_unique<Sql>(green_at_);
        return use(*blue_, *green_);
      } catch (const SqlError& error) {
        blue_.reset();
        green_.reset();
        if (!error.session_lost() || std::chrono::steady_clock::now() > end) throw;
      }
      pause_for(std::chrono::milliseconds(30), {});
    }
  }

 private:
  std::string blue_at_;
  std::string green_at_;
  std::unique_ptr<Sql> blue_;
  std::unique_ptr<Sql> green_;
};

}  // namespace teal::test
