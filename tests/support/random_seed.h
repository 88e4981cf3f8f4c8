#pragma once
#include <cstdint>

namespace teal::test {

/// A new seed each run, printed; the environment variable TEAL_TEST_SEED replays one.
[[nodiscard]] std::uint64_t random_seed();

}  // namespace teal::test
