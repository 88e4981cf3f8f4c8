#include "tests/support/random_seed.h"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace teal::test {

std::uint64_t random_seed() {
  const char* const given = std::getenv("TEAL_TEST_SEED");
  const std::uint64_t seed = given == nullptr ? std::random_device{}() : std::stoull(given);
  std::printf("TEAL_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace teal::test
