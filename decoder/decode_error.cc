#include "decoder/decode_error.h"

#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace teal {
namespace {

/// The manual's names, by tag. Envelope and message kinds share no letter.
constexpr std::array<std::pair<char, std::string_view>, 21> kMessageNames{{{'A', "Stream Abort"},
                                                                           {'B', "Begin"},
                                                                           {'C', "Commit"},
                                                                           {'D', "Delete"},
                                                                           {'E', "Stream Stop"},
                                                                           {'I', "Insert"},
                                                                           {'K', "Commit Prepared"},
                                                                           {'M', "Message"},
                                                                           {'O', "Origin"},
                                                                           {'P', "Prepare"},
                                                                           {'R', "Relation"},
                                                                           {'S', "Stream Start"},
                                                                           {'T', "Truncate"},
                                                                           {'U', "Update"},
                                                                           {'Y', "Type"},
                                                                           {'b', "Begin Prepare"},
                                                                           {'c', "Stream Commit"},
                                                                           {'k', "Primary keepalive"},
                                                                           {'p', "Stream Prepare"},
                                                                           {'r', "Rollback Prepared"},
                                                                           {'w', "XLogData"}}};

/// 'I', or 0x07 for what a log line could not show.
std::string quoted_tag(char tag) {
  constexpr std::string_view kHex = "0123456789abcdef";
  if (tag > ' ' && tag <= '~') return std::string{'\'', tag, '\''};
  const auto code = static_cast<unsigned char>(tag);
  return std::string{'0', 'x', kHex[code >> 4U], kHex[code & 15U]};
}

std::string subject(char tag) {
  for (const auto& [known, name] : kMessageNames) {
    if (known == tag) return std::string(name) + " (" + quoted_tag(tag) + ")";
  }
  return tag == 0 ? "message" : "message " + quoted_tag(tag);
}

}  // namespace

std::string to_string(const DecodeError& error) {
  const std::string at = " at byte " + std::to_string(error.offset);
  switch (error.code) {
    case DecodeErrc::kTruncated:
      return subject(error.tag) + " is cut off" + at;
    case DecodeErrc::kTrailingBytes:
      return subject(error.tag) + " has bytes left over" + at;
    case DecodeErrc::kUnknownTag:
      return "message kind " + quoted_tag(error.tag) + " is not part of this protocol version";
    case DecodeErrc::kBadValue:
      return subject(error.tag) + " holds a value that the protocol does not allow" + at;
    case DecodeErrc::kUnterminatedString:
      return subject(error.tag) + " has a string without its end" + at;
    case DecodeErrc::kUnexpectedMessage:
      return subject(error.tag) + " is not allowed at this point of the stream";
    case DecodeErrc::kUnknownRelation:
      return subject(error.tag) + " names a relation that was not announced on this connection";
    case DecodeErrc::kColumnCount:
      return subject(error.tag) + " has another number of columns than its relation";
  }
  return subject(error.tag) + " could not be decoded" + at;
}

void throw_exception_from_error(const DecodeError& error, const boost::source_location& location) {
  throw std::logic_error("unchecked decode error (" + to_string(error) + ") at " + location.to_string());
}

}  // namespace teal
