// Begin, Commit and Origin, and the two-phase messages.
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const teal::test::Bytes message = teal::fuzz::message_of(data, size, "BCObPpKr");
  teal::fuzz::check_ordinary_message(message);
  teal::fuzz::check_two_phase_message(message);
  return 0;
}
