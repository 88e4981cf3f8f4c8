#include "decoder/stream_message.h"

#include <string_view>

#include "decoder/byte_reader.h"

namespace teal {
namespace {

// By what may stand where; together these are all kinds that protocol 4 has.
constexpr std::string_view kWithXidInBlocks = "RYIUDTM";
constexpr char kOrigin = 'O';
constexpr std::string_view kNeverInBlocks = "BCbPKrp";

StreamStartMessage read_start(ByteReader& reader) {
  StreamStartMessage message;
  message.xid = reader.xid();
  message.first_segment = reader.flags(1) != 0;
  return message;
}

StreamCommitMessage read_commit(ByteReader& reader) {
  StreamCommitMessage message;
  message.xid = reader.xid();
  reader.flags(0);
  message.commit_lsn = reader.lsn();
  message.end_lsn = reader.lsn();
  message.commit_time = reader.timestamp();
  return message;
}

StreamAbortMessage read_abort(ByteReader& reader) {
  StreamAbortMessage message;
  message.xid = reader.xid();
  message.subxid = reader.xid();
  if (reader.remaining() == 0) return message;
  StreamAbortMessage::Record record;
  record.lsn = reader.lsn();
  record.time = reader.timestamp();
  message.record = record;
  return message;
}

StreamedMessage read_streamed(ByteReader& reader, char tag) {
  StreamedMessage message;
  message.tag = tag;
  if (tag != kOrigin) message.subxid = reader.xid();
  message.body = reader.bytes(reader.remaining());
  return message;
}

template <class M>
Result<StreamMessage> finished(const ByteReader& reader, const M& message) {
  if (const auto error = reader.finish()) return *error;
  return StreamMessage(message);
}

Result<StreamMessage> refused(ByteReader& reader, DecodeErrc code) {
  reader.fail(code, 0);
  return *reader.finish();
}

bool is_streamed(char tag) { return tag == kOrigin || kWithXidInBlocks.find(tag) != std::string_view::npos; }

Result<StreamMessage> parse_in_block(ByteReader& reader, char tag) {
  if (tag == StreamStopMessage::kTag) return finished(reader, StreamStopMessage{});
  if (is_streamed(tag)) return finished(reader, read_streamed(reader, tag));
  const bool known = is_stream_tag(tag) || kNeverInBlocks.find(tag) != std::string_view::npos;
  return refused(reader, known ? DecodeErrc::kUnexpectedMessage : DecodeErrc::kUnknownTag);
}

}  // namespace

Result<StreamMessage> parse_stream_message(std::span<const std::byte> bytes, StreamPlace place) {
  ByteReader reader(bytes);
  const char tag = reader.tag();
  if (!reader.ok()) return *reader.finish();
  if (place == StreamPlace::kInBlock) return parse_in_block(reader, tag);
  const bool between = place == StreamPlace::kBetween;
  if (between && tag == StreamStartMessage::kTag) return finished(reader, read_start(reader));
  if (between && tag == StreamCommitMessage::kTag) return finished(reader, read_commit(reader));
  if (between && tag == StreamAbortMessage::kTag) return finished(reader, read_abort(reader));
  const bool known = is_stream_tag(tag) || is_streamed(tag) || kNeverInBlocks.find(tag) != std::string_view::npos;
  return refused(reader, known ? DecodeErrc::kUnexpectedMessage : DecodeErrc::kUnknownTag);
}

}  // namespace teal
