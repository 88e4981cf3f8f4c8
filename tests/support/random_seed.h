#pragma once
#include <cstdint>

namespace teal::test {

/// A new seed each run, printed; the environment variable TEAL_TEST_SEED replays one.
[[nodiscard]] std::uint64_t random_seed();

/// How many seeds a test tries that tries `count`: a tenth under sanitizers, which look at the code and not at the luck
/// of the seeds.
[[nodiscard]] constexpr std::uint64_t seeds_to_try(std::uint64_t count) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  return count / 10;
#else
  return count;
#endif
}

}  // namespace teal::test
