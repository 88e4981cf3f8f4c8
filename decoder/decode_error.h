#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include <boost/system/result.hpp>

namespace teal {

enum class DecodeErrc : std::uint8_t {
  kTruncated,           ///< the message ends inside a field
  kTrailingBytes,       ///< bytes are left after the last field
  kUnknownTag,          ///< a message kind that this protocol version does not have
  kBadValue,            ///< a field holds what the protocol does not allow (length, flag, kind, count)
  kUnterminatedString,  ///< a name without its zero byte
  kUnexpectedMessage,   ///< a known message where the order of messages does not allow it
  kUnknownRelation,     ///< a row of a relation that was not announced on this connection
  kColumnCount,         ///< a row has another number of columns than its relation
};

/// Why bytes could not be decoded. A bad message ends the link: bytes are never skipped.
struct DecodeError {
  DecodeErrc code = DecodeErrc::kTruncated;
  char tag = 0;            ///< the message kind, 0 when there was none
  std::size_t offset = 0;  ///< bytes from the message's tag

  bool operator==(const DecodeError&) const = default;
};

/// One sentence without values: "Insert ('I') is cut off at byte 12".
[[nodiscard]] std::string to_string(const DecodeError& error);

/// Boost.System's hook: `Result::value()` on an error is our bug, never a way to handle bad bytes.
[[noreturn]] void throw_exception_from_error(const DecodeError& error, const boost::source_location& location);

template <class T>
using Result = boost::system::result<T, DecodeError>;

}  // namespace teal
