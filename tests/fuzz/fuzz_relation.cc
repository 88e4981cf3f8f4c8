// Relation and Type.
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  teal::fuzz::check_ordinary_message(teal::fuzz::message_of(data, size, "RY"));
  return 0;
}
