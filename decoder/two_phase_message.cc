#include "decoder/two_phase_message.h"

#include "decoder/byte_reader.h"

namespace teal {
namespace {

Lsn read_position(ByteReader& reader) {
  const std::size_t offset = reader.position();
  const Lsn lsn = reader.lsn();
  if (!lsn.valid()) reader.fail(DecodeErrc::kBadValue, offset);
  return lsn;
}

/// The fields from the times on, which all kinds end with.
template <class M>
void read_end(ByteReader& reader, M& message) {
  message.xid = reader.xid();
  message.gid = reader.cstring();
}

/// BeginPrepare, and after their flags Prepare and StreamPrepare.
template <class M>
M read_prepare(ByteReader& reader) {
  M message;
  message.prepare_lsn = read_position(reader);
  message.end_lsn = read_position(reader);
  message.prepare_time = reader.timestamp();
  read_end(reader, message);
  return message;
}

CommitPreparedMessage read_commit_prepared(ByteReader& reader) {
  CommitPreparedMessage message;
  message.commit_lsn = read_position(reader);
  message.end_lsn = read_position(reader);
  message.commit_time = reader.timestamp();
  read_end(reader, message);
  return message;
}

RollbackPreparedMessage read_rollback_prepared(ByteReader& reader) {
  RollbackPreparedMessage message;
  message.prepare_end_lsn = read_position(reader);
  message.rollback_end_lsn = read_position(reader);
  message.prepare_time = reader.timestamp();
  message.rollback_time = reader.timestamp();
  read_end(reader, message);
  return message;
}

template <class M>
Result<TwoPhaseMessage> finished(const ByteReader& reader, const M& message) {
  if (const auto error = reader.finish()) return *error;
  return TwoPhaseMessage(message);
}

}  // namespace

Result<TwoPhaseMessage> parse_two_phase_message(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const char tag = reader.tag();
  if (tag == BeginPrepareMessage::kTag) return finished(reader, read_prepare<BeginPrepareMessage>(reader));
  switch (tag) {
    case PrepareMessage::kTag:
      reader.flags(0);
      return finished(reader, read_prepare<PrepareMessage>(reader));
    case StreamPrepareMessage::kTag:
      reader.flags(0);
      return finished(reader, read_prepare<StreamPrepareMessage>(reader));
    case CommitPreparedMessage::kTag:
      reader.flags(0);
      return finished(reader, read_commit_prepared(reader));
    case RollbackPreparedMessage::kTag:
      reader.flags(0);
      return finished(reader, read_rollback_prepared(reader));
    default:
      reader.fail(DecodeErrc::kUnknownTag, 0);
      return *reader.finish();
  }
}

}  // namespace teal
