#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "decoder/ids.h"
#include "decoder/relation.h"

namespace teal {

/// The latest announced shape of one table.
struct CachedRelation {
  std::shared_ptr<const Relation> relation;  ///< never null
  /// Number of the last slice that was given a share of `relation`, for its owner to note; 0 for a new shape.
  /// It spares a search through the slice's relations on every row, which matters with thousands of tables.
  std::uint64_t held_by_slice = 0;
};

/// What the source announced on this connection, by table.
/// Shape: at most one entry per RelationId, the latest; make a new cache, or `clear`, for each connection.
/// Lifetime: an older shape lives on as long as a slice holds it.
/// Threads: one.
class RelationCache {
 public:
  RelationCache() = default;
  // A copy's memo would point into the original's map. A move takes the elements along, so the memo stays right; what
  // was moved from may only be assigned or destroyed.
  RelationCache(const RelationCache&) = delete;
  RelationCache& operator=(const RelationCache&) = delete;
  RelationCache(RelationCache&&) noexcept = default;
  RelationCache& operator=(RelationCache&&) noexcept = default;
  ~RelationCache() = default;

  /// Replaces what was known of `relation->id`.
  void put(std::shared_ptr<const Relation> relation);

  /// The latest shape of `id`, or nullptr when none was announced.
  /// Lifetime: of the pointer, until the next `put` of the same id or `clear`.
  [[nodiscard]] CachedRelation* find(RelationId id);

  /// Puts everything that `other` knows.
  void put_all(const RelationCache& other);

  /// Forgets everything: a new connection announces every table again.
  void clear();

  [[nodiscard]] std::size_t size() const { return relations_.size(); }

 private:
  std::unordered_map<std::uint32_t, CachedRelation> relations_;
  // The last hit: rows of one table come in runs. Elements of the map do not move.
  CachedRelation* latest_ = nullptr;
};

}  // namespace teal
