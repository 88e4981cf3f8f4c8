#pragma once
// The one place that touches raw bytes. Errors are sticky: the first failed read is remembered, the cursor jumps to the
// end, and every later read gives zero, so parsers read field after field and ask once, in `finish`. Rejected: a
// Result per field (a branch and a copy for each of a row's columns) and exceptions (bad bytes are expected input).
#include <boost/endian/conversion.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "decoder/decode_error.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"

namespace teal {

/// A bounds-checked cursor over one message's big-endian fields.
/// Units: offsets and sizes are bytes, counted from the message's tag.
/// Lifetime: views that it returns point into the bytes it was made from.
/// Errors: sticky, first one wins; after it every read returns zero or an empty view.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) noexcept
      : begin_(bytes.data()), next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  /// Reads the message's kind; errors name it from here on.
  char tag() noexcept { return tag_ = static_cast<char>(u8()); }

  std::uint8_t u8() noexcept { return load<std::uint8_t>(); }
  std::int16_t i16() noexcept { return load<std::int16_t>(); }
  std::int32_t i32() noexcept { return load<std::int32_t>(); }
  std::uint32_t u32() noexcept { return load<std::uint32_t>(); }
  std::int64_t i64() noexcept { return load<std::int64_t>(); }
  Lsn lsn() noexcept { return Lsn{load<std::uint64_t>()}; }
  Timestamp timestamp() noexcept { return Timestamp{i64()}; }

  /// A transaction id where there has to be one. Errors: kBadValue for 0.
  Xid xid() noexcept {
    const std::size_t offset = position();
    const Xid value{u32()};
    if (value.value == 0) [[unlikely]]
      fail(DecodeErrc::kBadValue, offset);
    return value;
  }

  /// A byte of flags. Errors: kBadValue for bits outside of `allowed`: they would change a meaning that we don't know.
  std::uint8_t flags(unsigned allowed) noexcept {
    const std::size_t offset = position();
    const std::uint8_t value = u8();
    if ((value & ~allowed) != 0) [[unlikely]]
      fail(DecodeErrc::kBadValue, offset);
    return value;
  }

  /// A string up to its zero byte, which is consumed and not part of the result. Errors: kUnterminatedString.
  std::string_view cstring() noexcept {
    const std::size_t available = remaining();
    const void* zero = available == 0 ? nullptr : std::memchr(next_, 0, available);
    if (zero == nullptr) [[unlikely]] {
      fail(DecodeErrc::kUnterminatedString, position());
      return {};
    }
    const auto size = static_cast<std::size_t>(static_cast<const std::byte*>(zero) - next_);
    const std::string_view text(reinterpret_cast<const char*>(next_), size);
    next_ += size + 1;
    return text;
  }

  /// The next `count` bytes. Errors: kTruncated.
  std::span<const std::byte> bytes(std::size_t count) noexcept {
    if (count > remaining()) [[unlikely]] {
      fail(DecodeErrc::kTruncated, position());
      return {};
    }
    const std::span<const std::byte> view(next_, count);
    next_ += count;
    return view;
  }

  /// An Int32 length and that many bytes. Errors: kBadValue for a negative length, kTruncated.
  std::span<const std::byte> sized_bytes() noexcept {
    const std::size_t offset = position();
    const std::int32_t size = i32();
    if (size < 0) [[unlikely]] {
      fail(DecodeErrc::kBadValue, offset);
      return {};
    }
    return bytes(static_cast<std::size_t>(size));
  }

  /// Notes that the field at `offset` cannot be what the protocol says; ignored after an earlier error.
  void fail(DecodeErrc code, std::size_t offset) noexcept {
    if (failed_) return;
    failed_ = true;
    code_ = code;
    error_offset_ = offset;
    next_ = end_;
  }

  [[nodiscard]] bool ok() const noexcept { return !failed_; }
  [[nodiscard]] std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - next_); }
  /// Offset of the next field; meaningless after an error.
  [[nodiscard]] std::size_t position() const noexcept { return static_cast<std::size_t>(next_ - begin_); }

  /// The verdict on the whole message: nullopt when every read succeeded and nothing is left.
  /// Errors: the first failed read's, or kTrailingBytes.
  [[nodiscard]] std::optional<DecodeError> finish() const noexcept {
    if (failed_) return DecodeError{code_, tag_, error_offset_};
    if (next_ != end_) return DecodeError{DecodeErrc::kTrailingBytes, tag_, position()};
    return std::nullopt;
  }

 private:
  template <class T>
  T load() noexcept {
    if (remaining() < sizeof(T)) [[unlikely]] {
      fail(DecodeErrc::kTruncated, position());
      return 0;
    }
    const auto* field = reinterpret_cast<const unsigned char*>(next_);
    next_ += sizeof(T);
    return boost::endian::endian_load<T, sizeof(T), boost::endian::order::big>(field);
  }

  const std::byte* begin_;
  const std::byte* next_;
  const std::byte* end_;
  std::size_t error_offset_ = 0;
  DecodeErrc code_ = DecodeErrc::kTruncated;
  bool failed_ = false;
  char tag_ = 0;
};

}  // namespace teal
