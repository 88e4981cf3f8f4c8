#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "decoder/transaction.h"
#include "engine/table_pattern.h"
#include "tools/tail_format.h"

namespace teal {

/// Turns the slices of a stream into the lines of `teal tail`: those of selected tables, between a begin and a commit.
/// A transaction without a selected change gives no line, whether the server sends it empty (up to 14) or not.
/// Threads: one.
class TailPrinter {
 public:
  /// The names of a relation's types, one per column.
  using TypesOf = std::function<std::span<const std::string>(const Relation&)>;

  TailPrinter(TailFormat format, TableSelection selection, TypesOf types_of)
      : format_(format), selection_(std::move(selection)), types_of_(std::move(types_of)) {}

  /// Shape: whole lines, or "". Slices come in the order of the stream.
  [[nodiscard]] std::string lines_of(const TransactionSlice& slice);

  /// Transactions whose commit line was made.
  [[nodiscard]] std::uint64_t transactions() const { return transactions_; }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

 private:
  [[nodiscard]] std::string line_of(Xid xid, const Change& change) const;
  [[nodiscard]] bool selects(const Relation& relation) const {
    return selection_.selects({relation.schema, relation.name});
  }

  TailFormat format_;
  TableSelection selection_;
  TypesOf types_of_;
  std::uint64_t open_changes_ = 0;  // of the open transaction; 0: it has no begin line yet
  std::uint64_t transactions_ = 0;
  std::uint64_t changes_ = 0;
};

}  // namespace teal
