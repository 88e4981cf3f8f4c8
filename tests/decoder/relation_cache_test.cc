#include "decoder/relation_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace teal {
namespace {

std::shared_ptr<const Relation> shape(std::uint32_t id, std::string name) {
  Relation relation;
  relation.id = RelationId{id};
  relation.schema = "public";
  relation.name = std::move(name);
  return std::make_shared<const Relation>(std::move(relation));
}

TEST(RelationCache, FindsNothingAtFirst) {
  RelationCache cache;
  EXPECT_EQ(cache.find(RelationId{0}), nullptr);
  EXPECT_EQ(cache.find(RelationId{1}), nullptr);
}

TEST(RelationCache, FindsEachOfSeveralTablesInAnyOrder) {
  RelationCache cache;
  for (std::uint32_t id = 1; id <= 100; ++id) cache.put(shape(id, "t" + std::to_string(id)));
  for (std::uint32_t id = 100; id >= 1; --id) {
    ASSERT_NE(cache.find(RelationId{id}), nullptr);
    EXPECT_EQ(cache.find(RelationId{id})->relation->name, "t" + std::to_string(id));
    EXPECT_EQ(cache.find(RelationId{1})->relation->name, "t1");
  }
  EXPECT_EQ(cache.find(RelationId{101}), nullptr);
}

// C4
TEST(RelationCache, LatestShapeReplacesTheOneBeforeWhichLivesOnWithItsHolders) {
  RelationCache cache;
  cache.put(shape(1, "old"));
  CachedRelation* const before = cache.find(RelationId{1});
  before->held_by_slice = 7;
  const std::shared_ptr<const Relation> held = before->relation;
  cache.put(shape(1, "new"));
  EXPECT_EQ(cache.find(RelationId{1})->relation->name, "new");
  EXPECT_EQ(cache.find(RelationId{1})->held_by_slice, 0U) << "no slice holds the new shape yet";
  EXPECT_EQ(held->name, "old");
  EXPECT_EQ(cache.size(), 1U);
}

// C4: the whole cache is dropped on reconnect.
TEST(RelationCache, ForgetsEverythingWhenCleared) {
  RelationCache cache;
  cache.put(shape(1, "a"));
  cache.clear();
  EXPECT_EQ(cache.find(RelationId{1}), nullptr);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(RelationCache, MovesWithWhatItKnows) {
  RelationCache cache;
  cache.put(shape(1, "a"));
  cache.put(shape(2, "b"));
  RelationCache moved = std::move(cache);
  EXPECT_EQ(moved.find(RelationId{2})->relation->name, "b");
  EXPECT_EQ(moved.find(RelationId{1})->relation->name, "a");
}

}  // namespace
}  // namespace teal
