#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "verifier/compared_table.h"
#include "verifier/key_range.h"

namespace teal {

/// What has to be the same for a comparison to go on: its ranges mean nothing elsewhere.
struct JournalScope {
  std::string migration;
  std::string blue;    ///< which server and database: system identifier and OID
  std::string green;   ///< the same
  std::string hashed;  ///< in words, where rows are hashed

  bool operator==(const JournalScope&) const = default;
};

/// A range, and how many rows it had when it was found equal; nullopt: it was not.
struct JournalRange {
  KeyRange range;
  std::optional<std::uint64_t> equal_rows = {};
};

/// Tells the table, as both sides have it now, from every other and from itself when it was made anew or has other
/// columns or another key. `blue` and `green`: what tells each side's table from one that was made or written anew.
[[nodiscard]] std::string journal_signature(const ComparedTable& table, const std::string& blue,
                                            const std::string& green);

/// A file that says which ranges of which tables were found equal, so that a comparison that was stopped, however, goes
/// on with the others. Lines are only ever added, each with its hash: one that was cut short by the end is left out. It
/// holds keys, so only its owner may read it. Threads: one at a time.
class VerifyJournal {
 public:
  /// Takes what is in `file`, or makes it. `now` is when this comparison begins, in words.
  /// Errors: Stopped(kUsage) when it is in use, or was not begun in this scope, or is no such file; what to do is in
  /// it.
  VerifyJournal(std::string file, const JournalScope& scope, const std::string& now);
  ~VerifyJournal();
  VerifyJournal(const VerifyJournal&) = delete;
  VerifyJournal& operator=(const VerifyJournal&) = delete;

  /// A run is to compare the table: the file is of use until all such tables are equal. What was to be compared under
  /// its name before, counts no more.
  void want(const std::string& name, const std::string& signature);
  /// All that was ever to be compared was found equal.
  [[nodiscard]] bool complete() const;

  /// The ranges of a table, known by its signature; nullptr: it has not come to it. Who asks takes its equal ones over.
  [[nodiscard]] const std::vector<JournalRange>* ranges(const std::string& signature) const;
  /// How many rows were taken over so far. Threads: any.
  [[nodiscard]] std::uint64_t rows_taken_over() const { return rows_taken_over_.load(); }
  /// The table is cut into these.
  void cut(const std::string& signature, const std::vector<KeyRange>& ranges);
  void found_equal(const std::string& signature, std::size_t range, std::uint64_t rows);

  /// When the comparison was begun, by an earlier run or this one.
  [[nodiscard]] const std::string& begun() const { return begun_; }
  /// An earlier run has begun it.
  [[nodiscard]] bool goes_on() const { return goes_on_; }
  /// Why it could not be written at some point, after which nothing was; "": it could.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  /// Nothing is left to go on with.
  void remove();

 private:
  void load(const JournalScope& scope);
  void take_line(const std::string& line, const JournalScope& scope);
  void add_line(const std::string& text);
  [[noreturn]] void refuse(const std::string& why) const;

  std::string file_;
  int descriptor_ = -1;
  std::string begun_;
  bool goes_on_ = false;
  std::string failure_;
  std::map<std::string, std::vector<JournalRange>> tables_;
  std::map<std::string, std::string> wanted_;  // signatures by names
  mutable std::atomic<std::uint64_t> rows_taken_over_{0};
};

}  // namespace teal
