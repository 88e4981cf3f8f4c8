#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "decoder/relation.h"
#include "decoder/transaction.h"
#include "engine/spill_buffer.h"
#include "engine/transaction_spool.h"

namespace teal {

/// Slices that wait on disk, first in, first out: they come back as they were given, with what an observer has written
/// to their facts, their counts, and each change with the relation of its moment. Nothing is decoded twice.
///
/// A relation is written when it differs from the last one with its id; those who write and read each keep the last of
/// each id, so a backlog of any length costs no memory.
/// Units: memory is two blocks of 256 KiB and twice the announced relations.
/// Threads: one. Errors: SpillFailed. What was pushed before a `push` that failed can still be popped; nothing more can
/// be pushed until `clear`. After a failed `pop` nothing can be popped.
class SliceSpill {
 public:
  explicit SliceSpill(const SpoolOptions& options);

  void push(const TransactionSlice& slice);
  /// Not while `empty`.
  [[nodiscard]] TransactionSlice pop();
  [[nodiscard]] bool empty() const { return slices_ == 0; }
  /// Lets go of everything.
  void clear();

  /// See SpillBuffer.
  void set_bytes_max(std::uint64_t bytes_max) { buffer_.set_bytes_max(bytes_max); }
  [[nodiscard]] std::uint64_t bytes() const { return buffer_.bytes(); }

 private:
  using Relations = std::unordered_map<std::uint32_t, std::shared_ptr<const Relation>>;  // by RelationId

  void write_relation(const std::shared_ptr<const Relation>& relation);
  void write_change(const Change& change);
  [[nodiscard]] std::shared_ptr<const Relation> read_relation();
  [[nodiscard]] Change read_change(TransactionSlice& slice, std::byte*& values);

  SpillBuffer buffer_;
  std::uint64_t slices_ = 0;
  Relations written_;
  Relations read_;
  std::unordered_map<const Relation*, std::uint32_t> places_;  // in the slice that is being written
};

}  // namespace teal
