#include "tests/fuzz/fuzz_support.h"

#include <sanitizer/allocator_interface.h>

#include <cstdio>
#include <cstdlib>
#include <memory_resource>
#include <string>
#include <variant>

#include "decoder/pgoutput.h"
#include "decoder/two_phase_message.h"
#include "tests/decoder/message_cases.h"

namespace teal::fuzz {
namespace {

using test::Bytes;

// The widest: a column of one byte becomes a ColumnValue, and the text that it is compared as.
constexpr std::size_t kMessageMemoryPerByte = 256;

bool counting = false;
std::size_t allocated_bytes = 0;

void note_allocation(const volatile void*, std::size_t size) {
  if (counting) allocated_bytes += size;
}
void note_free(const volatile void*) {}

/// The one name that has two spellings on the wire: "" and, though no server sends it, "pg_catalog".
bool spells_catalog_out(const Message& message) {
  const auto* const relation = std::get_if<RelationMessage>(&message);
  const auto* const type = std::get_if<TypeMessage>(&message);
  return (relation != nullptr && relation->relation.schema == "pg_catalog") ||
         (type != nullptr && type->schema == "pg_catalog");
}

}  // namespace

void require(bool claim, const char* what) {
  if (claim) return;
  std::fprintf(stderr, "this does not hold: %s\n", what);
  std::abort();
}

BoundedMemory::BoundedMemory(std::size_t input_bytes, std::size_t per_byte, std::size_t constant)
    : bytes_max_(constant + input_bytes * per_byte) {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(note_allocation, note_free);
  require(installed != 0, "the sanitizer counts allocations");
  allocated_bytes = 0;
  counting = true;
}

BoundedMemory::~BoundedMemory() {
  counting = false;
  require(allocated_bytes <= bytes_max_, "memory is bounded by the input");
}

Bytes message_of(const std::uint8_t* data, std::size_t size, std::string_view tags) {
  const auto bytes = std::as_bytes(std::span(data, size));
  Bytes message(bytes.begin(), bytes.end());
  if (message.empty() || tags.find(static_cast<char>(data[0])) != std::string_view::npos) return message;
  message[0] = static_cast<std::byte>(tags[data[0] % tags.size()]);
  return message;
}

void require_error_fits(const DecodeError& error, std::size_t message_bytes) {
  require(error.offset <= message_bytes, "an error's place is inside the message");
  require(!to_string(error).empty(), "an error can be told");
}

void check_ordinary_message(const Bytes& message) {
  const BoundedMemory bounded(message.size(), kMessageMemoryPerByte);
  std::pmr::monotonic_buffer_resource arena;
  const auto parsed = parse_message(message, arena);
  if (parsed.has_error()) return require_error_fits(parsed.error(), message.size());
  require(spells_catalog_out(*parsed) || test::rebuild(*parsed) == message, "a message is understood byte for byte");
}

void check_two_phase_message(const Bytes& message) {
  const BoundedMemory bounded(message.size(), kMessageMemoryPerByte);
  const auto parsed = parse_two_phase_message(message);
  if (parsed.has_error()) return require_error_fits(parsed.error(), message.size());
  require(test::PgoutputBuilder::two_phase(*parsed) == message, "a message is understood byte for byte");
}

}  // namespace teal::fuzz
