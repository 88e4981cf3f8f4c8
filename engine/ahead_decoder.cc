#include "engine/ahead_decoder.h"

#include <cstddef>
#include <utility>

namespace teal {

void AheadDecoder::begin(Xid xid, Lsn from) {
  give_up();
  xid_ = xid;
  assembler_.emplace(options_);
  if (assembler_->begin_ahead(xid, from)) return assembler_.reset();
  trial_ = std::make_shared<AheadTrial>();
}

void AheadDecoder::give_up() {
  if (trial_ != nullptr) trial_->give_up();
  forget();
}

void AheadDecoder::forget() {
  trial_.reset();
  assembler_.reset();
}

// The xid stands between the tag and the body, but for Origin, which has none: the tag moves next to the body.
std::optional<AheadSlice> AheadDecoder::add(const StreamedMessage& message, Lsn lsn, Frame frame) {
  const auto at = static_cast<std::size_t>(message.body.data() - frame.bytes().data()) - 1;
  const std::size_t size = message.body.size() + 1;
  frame.writable_bytes()[at] = static_cast<std::byte>(message.tag);
  const auto bytes = frame.bytes().subspan(at, size);
  auto added = assembler_->add(lsn, bytes, std::move(frame));
  if (!added) {
    give_up();
    return std::nullopt;
  }
  if (!*added) return std::nullopt;
  return piece(std::move(**added));
}

std::optional<AheadSlice> AheadDecoder::commit(const StreamCommitMessage& commit) {
  auto last = assembler_->commit(commit);
  if (!last) {
    give_up();
    return std::nullopt;
  }
  return piece(std::move(*last));
}

}  // namespace teal
