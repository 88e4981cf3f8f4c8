#include "applier/durability.h"

#include <gtest/gtest.h>

namespace teal {
namespace {

TEST(Durability, CommitIsNoneBeforeItsOwnPositionIsFlushed) {
  Durability durability;
  durability.committed(Lsn{10});
  durability.read({.inserted = Lsn{500}, .flushed = Lsn{400}});
  EXPECT_EQ(durability.durable(), Lsn{});
  durability.committed(Lsn{20});
  durability.read({.inserted = Lsn{900}, .flushed = Lsn{500}});
  EXPECT_EQ(durability.durable(), Lsn{10});
  durability.read({.inserted = Lsn{950}, .flushed = Lsn{899}});
  EXPECT_EQ(durability.durable(), Lsn{10});
  durability.read({.inserted = Lsn{950}, .flushed = Lsn{900}});
  EXPECT_EQ(durability.durable(), Lsn{20});
}

// What was flushed when a position was read says nothing about a commit that came after.
TEST(Durability, CommitWaitsForAPositionThatWasReadAfterIt) {
  Durability durability;
  durability.read({.inserted = Lsn{500}, .flushed = Lsn{500}});
  durability.committed(Lsn{10});
  EXPECT_EQ(durability.durable(), Lsn{});
  durability.read({.inserted = Lsn{500}, .flushed = Lsn{500}});
  EXPECT_EQ(durability.durable(), Lsn{10});
}

TEST(Durability, SeveralCommitsShareOnePosition) {
  Durability durability;
  for (const std::uint64_t held : {10U, 20U, 30U}) durability.committed(Lsn{held});
  durability.read({.inserted = Lsn{500}, .flushed = Lsn{100}});
  EXPECT_EQ(durability.durable(), Lsn{});
  durability.read({.inserted = Lsn{500}, .flushed = Lsn{500}});
  EXPECT_EQ(durability.durable(), Lsn{30});
}

}  // namespace
}  // namespace teal
