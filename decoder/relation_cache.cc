#include "decoder/relation_cache.h"

#include <utility>

namespace teal {

void RelationCache::put(std::shared_ptr<const Relation> relation) {
  CachedRelation& entry = relations_[relation->id.value];
  entry.relation = std::move(relation);
  entry.held_by_slice = 0;
  latest_ = &entry;
}

void RelationCache::put_all(const RelationCache& other) {
  for (const auto& [id, entry] : other.relations_) put(entry.relation);
}

CachedRelation* RelationCache::find(RelationId id) {
  if (latest_ != nullptr && latest_->relation->id == id) return latest_;
  const auto found = relations_.find(id.value);
  if (found == relations_.end()) return nullptr;
  latest_ = &found->second;
  return latest_;
}

void RelationCache::clear() {
  relations_.clear();
  latest_ = nullptr;
}

}  // namespace teal
