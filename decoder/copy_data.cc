#include "decoder/copy_data.h"

#include <boost/endian/conversion.hpp>
#include <cstdint>

#include "decoder/byte_reader.h"

namespace teal {
namespace {

XLogData read_xlog_data(ByteReader& reader) {
  XLogData data;
  data.start = reader.lsn();
  data.wal_end = reader.lsn();
  data.send_time = reader.timestamp();
  data.payload = reader.bytes(reader.remaining());
  return data;
}

PrimaryKeepalive read_keepalive(ByteReader& reader) {
  PrimaryKeepalive keepalive;
  keepalive.wal_end = reader.lsn();
  keepalive.send_time = reader.timestamp();
  const std::size_t offset = reader.position();
  const std::uint8_t reply = reader.u8();
  if (reply > 1) reader.fail(DecodeErrc::kBadValue, offset);
  keepalive.reply_requested = reply == 1;
  return keepalive;
}

template <class M>
Result<CopyData> finished(const ByteReader& reader, const M& message) {
  if (const auto error = reader.finish()) return *error;
  return CopyData(message);
}

}  // namespace

Result<CopyData> parse_copy_data(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  switch (reader.tag()) {
    case XLogData::kTag:
      return finished(reader, read_xlog_data(reader));
    case PrimaryKeepalive::kTag:
      return finished(reader, read_keepalive(reader));
    default:
      reader.fail(DecodeErrc::kUnknownTag, 0);
      return *reader.finish();
  }
}

std::array<std::byte, StandbyStatusUpdate::kBytes> encode(const StandbyStatusUpdate& update) {
  std::array<std::byte, StandbyStatusUpdate::kBytes> out{};
  std::size_t position = 0;
  const auto put = [&](std::uint64_t value) {
    boost::endian::store_big_u64(reinterpret_cast<unsigned char*>(&out[position]), value);
    position += sizeof(value);
  };
  out[position++] = std::byte{StandbyStatusUpdate::kTag};
  put(update.written.value);
  put(update.flushed.value);
  put(update.applied.value);
  put(static_cast<std::uint64_t>(update.send_time.us));
  out[position] = std::byte{update.reply_requested};
  return out;
}

}  // namespace teal
