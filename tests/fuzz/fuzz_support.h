#pragma once
// What the fuzz targets share: each is a file fuzz_<family>.cc with one function for libFuzzer (tests/fuzz/run.sh runs
// them; TRAPS C8, C10, S23). They all claim the same: whatever the bytes are, nothing crashes or reads outside of them,
// memory stays within a multiple of them, an error names a place inside of them, and what is accepted is understood:
// built again, it is the same bytes.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "decoder/decode_error.h"
#include "tests/support/pgoutput_builder.h"

namespace teal::fuzz {

/// Ends the process, which libFuzzer reports as a finding, unless `claim` is true.
void require(bool claim, const char* what);

/// Counts the memory that is asked for while it lives, freed or not, and requires at its end that it was at most
/// `per_byte` times the input and a constant: what the library takes for an error's text, or to begin with. One at a
/// time.
class BoundedMemory {
 public:
  BoundedMemory(std::size_t input_bytes, std::size_t per_byte, std::size_t constant = 4096);
  BoundedMemory(const BoundedMemory&) = delete;
  BoundedMemory& operator=(const BoundedMemory&) = delete;
  ~BoundedMemory();

 private:
  std::size_t bytes_max_;
};

/// The input as one message of a family: exactly its bytes, so that a read past them is seen, with its first byte made
/// one of `tags` when it is none.
[[nodiscard]] test::Bytes message_of(const std::uint8_t* data, std::size_t size, std::string_view tags);

void require_error_fits(const DecodeError& error, std::size_t message_bytes);

/// Runs `message` through parse_message and checks every claim.
void check_ordinary_message(const test::Bytes& message);

/// Runs `message` through parse_two_phase_message and checks every claim.
void check_two_phase_message(const test::Bytes& message);

}  // namespace teal::fuzz
