#pragma once
#include <map>
#include <string>

#include "decoder/lsn.h"

namespace teal {

/// Which tables have shown that merging their changes breaks a rule that the source's own order does not break
/// (TRAPS F1). They are applied change by change for a while.
/// Lifetime: outlives the sinks of a link, so that a restart remembers. Threads: one.
class CarefulTables {
 public:
  /// Units: target transactions until a table is tried merged again.
  static constexpr int kBatches = 100;

  void remember(const std::string& table) { remaining_[table] = kBatches; }
  [[nodiscard]] bool contains(const std::string& table) const { return remaining_.contains(table); }

  /// Every transaction whose commit lies at or below `lsn` is applied change by change.
  void force_until(Lsn lsn) { forced_until_ = lsn; }
  [[nodiscard]] bool forced(Lsn final_lsn) const { return final_lsn <= forced_until_; }

  /// The stream's binary values could not be taken: from now on it sends text.
  void need_text() { text_needed_ = true; }
  [[nodiscard]] bool text_needed() const { return text_needed_; }

  /// To be called once per target transaction that has brought the link on. A large transaction that is read again
  /// comes after many that had been applied before it was refused.
  void count_batch() {
    for (auto entry = remaining_.begin(); entry != remaining_.end();) {
      entry = --entry->second <= 0 ? remaining_.erase(entry) : std::next(entry);
    }
  }

 private:
  std::map<std::string, int> remaining_;
  Lsn forced_until_;
  bool text_needed_ = false;
};

}  // namespace teal
