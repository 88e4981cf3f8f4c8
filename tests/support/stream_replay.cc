#include "tests/support/stream_replay.h"

#include <stdexcept>
#include <string_view>
#include <utility>
#include <variant>

namespace teal::test {
namespace {

[[noreturn]] void refuse(const std::string& what, Lsn lsn = {}) {
  throw std::runtime_error((lsn.valid() ? "at " + to_string(lsn) + ": " : "") + what);
}

std::string name_of(Xid xid) { return "transaction " + std::to_string(xid.value); }

/// Takes the value of `key` out of `map`. Errors: std::runtime_error when it is not there.
template <class Map>
typename Map::mapped_type taken(Map& map, const typename Map::key_type& key, const std::string& what) {
  auto node = map.extract(key);
  if (node.empty()) refuse(what + " was not announced");
  return std::move(node.mapped());
}

}  // namespace

void StreamReplay::add(Lsn lsn, const Bytes& bytes) {
  const char tag = bytes.empty() ? '\0' : static_cast<char>(bytes[0]);
  if (protocol_ == 1) {
    add_to_assembler(lsn, bytes);
  } else if (block_ || is_stream_tag(tag)) {
    const auto parsed = parse_stream_message(bytes, place());
    if (parsed.has_error()) refuse(to_string(parsed.error()), lsn);
    std::visit([&](const auto& message) { take(lsn, message); }, *parsed);
  } else if (std::string_view("bPpKr").find(tag) != std::string_view::npos) {
    const auto parsed = parse_two_phase_message(bytes);
    if (parsed.has_error()) refuse(to_string(parsed.error()), lsn);
    const bool ends_open_one = preparing_ && tag == PrepareMessage::kTag;
    if ((preparing_ && !ends_open_one) || assembler_.in_transaction()) refuse("not inside a transaction", lsn);
    std::visit([&](const auto& message) { take(message); }, *parsed);
  } else if (preparing_ && (tag == BeginMessage::kTag || tag == CommitMessage::kTag)) {
    refuse("not inside a transaction", lsn);
  } else if (preparing_ && tag == RelationMessage::kTag) {
    announced_.push_back(bytes);
  } else if (preparing_) {
    prepared_.at(*preparing_).push_back({Xid{}, lsn, bytes});
  } else {
    add_to_assembler(lsn, bytes);
    if (tag == BeginMessage::kTag) announce();
  }
}

bool StreamReplay::at_rest() const {
  return !block_ && !preparing_ && !assembler_.in_transaction() && streamed_.empty() && prepared_.empty();
}

StreamPlace StreamReplay::place() const {
  if (block_) return StreamPlace::kInBlock;
  return assembler_.in_transaction() || preparing_ ? StreamPlace::kInTransaction : StreamPlace::kBetween;
}

void StreamReplay::add_to_assembler(Lsn lsn, const Bytes& bytes) {
  Frame frame = frame_of(bytes);
  const auto message = frame.bytes();
  auto added = assembler_.add(lsn, message, std::move(frame));
  if (added.has_error()) refuse(to_string(added.error()), lsn);
  if (added->has_value()) take_(*std::move(*added));
}

void StreamReplay::announce() {
  for (const Bytes& relation : std::exchange(announced_, {})) add_to_assembler(Lsn{}, relation);
}

void StreamReplay::replay(const StreamCommitMessage& facts, const Messages& messages) {
  if (const auto error = assembler_.begin(facts)) refuse(to_string(*error), facts.commit_lsn);
  announce();
  for (const Kept& kept : messages) add_to_assembler(kept.lsn, kept.message);
  auto last = assembler_.commit(facts);
  if (last.has_error()) refuse(to_string(last.error()), facts.commit_lsn);
  take_(std::move(*last));
}

void StreamReplay::take(Lsn lsn, const StreamStartMessage& start) {
  const bool known = streamed_.contains(start.xid);
  if (known == start.first_segment) refuse("first or later block of " + name_of(start.xid) + "?", lsn);
  streamed_[start.xid];
  block_ = start.xid;
  ++counts_.blocks;
}

void StreamReplay::take(Lsn, const StreamStopMessage&) { block_.reset(); }

void StreamReplay::take(Lsn, const StreamCommitMessage& commit) {
  replay(commit, taken(streamed_, commit.xid, name_of(commit.xid)));
  ++counts_.streamed_commits;
}

void StreamReplay::take(Lsn, const StreamAbortMessage& abort) {
  counts_.abort_records += abort.record ? 1U : 0U;
  if (abort.whole_transaction()) {
    counts_.discarded += taken(streamed_, abort.xid, name_of(abort.xid)).size();
    ++counts_.aborted_transactions;
    return;
  }
  const auto found = streamed_.find(abort.xid);
  if (found == streamed_.end()) {
    ++counts_.stray_aborts;
    return;
  }
  counts_.discarded += std::erase_if(found->second, [&](const Kept& kept) { return kept.subxid == abort.subxid; });
  ++counts_.aborted_subtransactions;
}

void StreamReplay::take(Lsn lsn, const StreamedMessage& message) {
  streamed_.at(*block_).push_back({message.subxid, lsn, without_xid(message)});
}

void StreamReplay::take(const BeginPrepareMessage& begin) {
  preparing_ = std::string(begin.gid);
  if (!prepared_.try_emplace(*preparing_).second) refuse("prepared twice: " + *preparing_);
}

void StreamReplay::take(const PrepareMessage& prepare) {
  if (preparing_ != prepare.gid) refuse("the end of another PREPARE: " + std::string(prepare.gid));
  preparing_.reset();
  ++counts_.prepared;
}

void StreamReplay::take(const StreamPrepareMessage& prepare) {
  Messages messages = taken(streamed_, prepare.xid, name_of(prepare.xid));
  if (!prepared_.try_emplace(std::string(prepare.gid), std::move(messages)).second) refuse("prepared twice");
  ++counts_.prepared;
}

void StreamReplay::take(const CommitPreparedMessage& commit) {
  const std::string gid(commit.gid);
  replay({commit.xid, commit.commit_lsn, commit.end_lsn, commit.commit_time}, taken(prepared_, gid, gid));
  ++counts_.prepared_commits;
}

void StreamReplay::take(const RollbackPreparedMessage& rollback) {
  const std::string gid(rollback.gid);
  counts_.discarded += taken(prepared_, gid, gid).size();
  ++counts_.prepared_rollbacks;
}

}  // namespace teal::test
