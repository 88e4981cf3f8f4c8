#pragma once
#include <cstdint>

namespace teal::test {

/// A new seed each run, printed; the environment variable TEAL_TEST_SEED replays one.
[[nodiscard]] std::uint64_t random_seed();

#if defined(TEAL_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// How many seeds a test tries that tries `count`: a fiftieth under sanitizers, which look at the code and not at the
/// luck of the seeds.
[[nodiscard]] constexpr std::uint64_t seeds_to_try(std::uint64_t count) { return kSanitized ? count / 50 : count; }

}  // namespace teal::test
