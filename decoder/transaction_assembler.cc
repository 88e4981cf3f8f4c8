#include "decoder/transaction_assembler.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "decoder/pgoutput.h"

namespace teal {
namespace {

// What a frame costs beyond its bytes: the allocator's header and rounding, and its place in `frames`.
constexpr std::size_t kFrameOverheadBytes = 48;
// An empty slice: itself and the first buffer of its arena.
constexpr std::size_t kSliceOverheadBytes = sizeof(TransactionSlice) + 1024;
// Rows that a slice has room for at first: most transactions are this small, and need no second allocation.
constexpr std::size_t kRowsExpected = 8;

bool is_control(const Relation& relation) { return relation.schema == kControlSchema; }

/// The same columns in memory of `arena`.
TupleView copy_tuple(TupleView tuple, std::pmr::memory_resource& arena) {
  if (tuple.empty()) return {};
  auto* columns = static_cast<ColumnValue*>(arena.allocate(tuple.size_bytes(), alignof(ColumnValue)));
  std::uninitialized_copy(tuple.begin(), tuple.end(), columns);
  return {columns, tuple.size()};
}

}  // namespace

TransactionAssembler::TransactionAssembler(AssemblerOptions options) : options_(std::move(options)) {}

Result<std::optional<TransactionSlice>> TransactionAssembler::add(Lsn lsn, std::span<const std::byte> message,
                                                                  Frame frame) {
  if (!message.empty() && static_cast<char>(message[0]) == StreamAbortMessage::kTag) {
    if (const auto error = refusal_of_abort(message)) return *error;
    return std::optional<TransactionSlice>();
  }
  // Column lists go where the change will: most rows of an own transaction go nowhere.
  const bool keeps_rows = open_ && !slice_.facts.own;
  if (!keeps_rows) scratch_->arena.release();
  Result<Message> parsed = parse_message(message, keeps_rows ? *slice_.arena : scratch_->arena);
  if (parsed.has_error()) return parsed.error();

  const auto take_any = [&](auto& m) { return take(m, Arrival{lsn, frame}); };
  if (const Refusal refusal = std::visit(take_any, *parsed)) {
    return DecodeError{*refusal, static_cast<char>(message[0]), 0};
  }
  if (!open_) return std::optional<TransactionSlice>();
  if (slice_.last) {
    open_ = false;
    return std::optional<TransactionSlice>(std::move(slice_));
  }
  if (slice_.bytes < options_.slice_bytes_max || slice_.changes.empty()) return std::optional<TransactionSlice>();
  TransactionFacts facts = slice_.facts;
  const std::size_t rows_expected = slice_.changes.size();
  std::optional<TransactionSlice> full(std::move(slice_));
  start_slice(std::move(facts), false, rows_expected);
  return full;
}

// Of what no block has brought, only a subtransaction may be aborted: the server marks those of a transaction that it
// finds aborted as streamed, and the transaction itself not.
std::optional<DecodeError> TransactionAssembler::refusal_of_abort(std::span<const std::byte> message) const {
  const auto parsed = parse_stream_message(message, open_ ? StreamPlace::kInTransaction : StreamPlace::kBetween);
  if (parsed.has_error()) return parsed.error();
  const auto* const abort = std::get_if<StreamAbortMessage>(&*parsed);
  if (abort != nullptr && !abort->whole_transaction()) return std::nullopt;
  return DecodeError{DecodeErrc::kUnexpectedMessage, StreamAbortMessage::kTag, 0};
}

std::optional<DecodeError> TransactionAssembler::begin(const StreamCommitMessage& streamed) {
  const Refusal refusal = open_transaction({streamed.commit_lsn, streamed.commit_time, streamed.xid});
  return refusal ? std::optional(DecodeError{*refusal, StreamCommitMessage::kTag, 0}) : std::nullopt;
}

std::optional<DecodeError> TransactionAssembler::begin_ahead(Xid xid, Lsn from) {
  const Refusal refusal = open_transaction({from, Timestamp{}, xid});
  if (refusal) return DecodeError{*refusal, StreamStartMessage::kTag, 0};
  ahead_ = true;
  return std::nullopt;
}

void TransactionAssembler::learn(const TransactionAssembler& other) {
  relations_.put_all(other.relations_);
  for (const auto& [id, type] : other.types_) types_[id] = type;
}

Result<TransactionSlice> TransactionAssembler::commit(const StreamCommitMessage& streamed) {
  if (open_ && streamed.xid != slice_.facts.xid) {
    return DecodeError{DecodeErrc::kBadValue, StreamCommitMessage::kTag, 0};
  }
  if (open_ && std::exchange(ahead_, false)) {
    slice_.facts.final_lsn = streamed.commit_lsn;
    slice_.facts.commit_time = streamed.commit_time;
  }
  const Refusal refusal = close_transaction({streamed.commit_lsn, streamed.end_lsn, streamed.commit_time});
  if (refusal) return DecodeError{*refusal, StreamCommitMessage::kTag, 0};
  open_ = false;
  return std::move(slice_);
}

TransactionAssembler::Refusal TransactionAssembler::take(const BeginMessage& begin, Arrival) {
  return open_transaction(begin);
}

TransactionAssembler::Refusal TransactionAssembler::open_transaction(const BeginMessage& begin) {
  if (open_) return DecodeErrc::kUnexpectedMessage;
  TransactionFacts facts;
  facts.xid = begin.xid;
  facts.final_lsn = begin.final_lsn;
  facts.commit_time = begin.commit_time;
  start_slice(std::move(facts), true, kRowsExpected);
  open_ = true;
  rows_seen_ = false;
  return std::nullopt;
}

TransactionAssembler::Refusal TransactionAssembler::take(const OriginMessage& origin, Arrival) {
  // The manual allows several in one transaction, though no server sends them. Two authors would leave open whether
  // its rows are ours: skipping could lose rows and keeping could send them round in a loop, so it is refused.
  if (!open_ || rows_seen_ || slice_.facts.origin) return DecodeErrc::kUnexpectedMessage;
  slice_.facts.origin = Origin{std::string(origin.name), origin.commit_lsn};
  slice_.facts.own = !options_.own_origin_prefix.empty() && origin.name.starts_with(options_.own_origin_prefix);
  return std::nullopt;
}

TransactionAssembler::Refusal TransactionAssembler::take(RelationMessage& relation, Arrival) {
  if (!open_) return DecodeErrc::kUnexpectedMessage;
  for (Column& column : relation.relation.columns) {
    const auto type = types_.find(column.type.value);
    if (type == types_.end()) continue;
    column.type_schema = type->second.schema;
    column.type_name = type->second.name;
  }
  relations_.put(std::make_shared<const Relation>(std::move(relation.relation)));
  return std::nullopt;
}

TransactionAssembler::Refusal TransactionAssembler::take(const TypeMessage& type, Arrival) {
  if (!open_) return DecodeErrc::kUnexpectedMessage;
  types_[type.id.value] = {std::string(type.schema), std::string(type.name)};
  return std::nullopt;
}

TransactionAssembler::Refusal TransactionAssembler::take(const InsertMessage& insert, Arrival arrival) {
  Change change;
  change.op = ChangeOp::kInsert;
  change.new_tuple = insert.new_tuple;
  return take_row(insert.relation, change, arrival);
}

TransactionAssembler::Refusal TransactionAssembler::take(const UpdateMessage& update, Arrival arrival) {
  Change change;
  change.op = ChangeOp::kUpdate;
  change.old_kind = update.old_kind;
  change.old_tuple = update.old_tuple;
  change.new_tuple = update.new_tuple;
  return take_row(update.relation, change, arrival);
}

TransactionAssembler::Refusal TransactionAssembler::take(const DeleteMessage& deletion, Arrival arrival) {
  Change change;
  change.op = ChangeOp::kDelete;
  change.old_kind = deletion.old_kind;
  change.old_tuple = deletion.old_tuple;
  return take_row(deletion.relation, change, arrival);
}

TransactionAssembler::Refusal TransactionAssembler::take_row(RelationId id, Change change, Arrival arrival) {
  if (!open_) return DecodeErrc::kUnexpectedMessage;
  rows_seen_ = true;
  CachedRelation* const cached = relations_.find(id);
  if (cached == nullptr) return DecodeErrc::kUnknownRelation;
  const Relation& relation = *cached->relation;
  const std::size_t columns = relation.columns.size();
  const bool has_old = change.old_kind != OldTupleKind::kNone;
  const bool has_new = change.op != ChangeOp::kDelete;
  if (has_old && change.old_tuple.size() != columns) return DecodeErrc::kColumnCount;
  if (has_new && change.new_tuple.size() != columns) return DecodeErrc::kColumnCount;

  const bool control = is_control(relation);
  if (!control) count(1);
  if (slice_.facts.own) {
    if (!control) return std::nullopt;
    change.old_tuple = copy_tuple(change.old_tuple, *slice_.arena);
    change.new_tuple = copy_tuple(change.new_tuple, *slice_.arena);
  }
  change.relation = hold(*cached);
  change.lsn = arrival.lsn;
  slice_.changes.push_back(change);
  slice_.bytes += arrival.frame.bytes().size() + kFrameOverheadBytes + sizeof(Change) +
                  (change.old_tuple.size() + change.new_tuple.size()) * sizeof(ColumnValue);
  slice_.frames.push_back(std::move(arrival.frame));
  return std::nullopt;
}

TransactionAssembler::Refusal TransactionAssembler::take(const TruncateMessage& truncate, Arrival arrival) {
  if (!open_) return DecodeErrc::kUnexpectedMessage;
  rows_seen_ = true;
  std::vector<const Relation*> ordinary;
  std::vector<const Relation*> control;
  ordinary.reserve(truncate.relations.size());
  for (const RelationId id : truncate.relations) {
    const CachedRelation* const cached = relations_.find(id);
    if (cached == nullptr) return DecodeErrc::kUnknownRelation;
    (is_control(*cached->relation) ? control : ordinary).push_back(cached->relation.get());
  }
  count(ordinary.size());
  if (!slice_.facts.own) keep_truncate(ordinary, truncate.flags, arrival.lsn);
  keep_truncate(control, truncate.flags, arrival.lsn);
  return std::nullopt;
}

/// The frame is not kept: nothing points into it.
void TransactionAssembler::keep_truncate(std::span<const Relation* const> tables, std::uint8_t flags, Lsn lsn) {
  if (tables.empty()) return;
  auto* const kept = static_cast<const Relation**>(slice_.arena->allocate(tables.size_bytes(), alignof(Relation*)));
  std::uninitialized_copy(tables.begin(), tables.end(), kept);
  for (const Relation* table : tables) hold(*relations_.find(table->id));

  Change change;
  change.op = ChangeOp::kTruncate;
  change.truncate_flags = flags;
  change.relation = tables.front();
  change.truncated = {kept, tables.size()};
  change.lsn = lsn;
  slice_.changes.push_back(change);
  slice_.bytes += sizeof(Change) + tables.size_bytes();
}

TransactionAssembler::Refusal TransactionAssembler::take(const LogicalMessage&, Arrival) { return std::nullopt; }

TransactionAssembler::Refusal TransactionAssembler::take(const CommitMessage& commit, Arrival) {
  return close_transaction(commit);
}

TransactionAssembler::Refusal TransactionAssembler::close_transaction(const CommitMessage& commit) {
  if (!open_) return DecodeErrc::kUnexpectedMessage;
  // Progress and dedupe stand on `end_lsn`, watermarks on `final_lsn`: the two must be of one commit record.
  if (commit.commit_lsn != slice_.facts.final_lsn || commit.end_lsn <= commit.commit_lsn) return DecodeErrc::kBadValue;
  slice_.last = true;
  slice_.end_lsn = commit.end_lsn;
  return std::nullopt;
}

/// Gives the open slice its share of a relation, once.
const Relation* TransactionAssembler::hold(CachedRelation& cached) {
  if (cached.held_by_slice != slice_number_) {
    cached.held_by_slice = slice_number_;
    slice_.relations.push_back(cached.relation);
  }
  return cached.relation.get();
}

void TransactionAssembler::count(std::uint64_t changes) {
  slice_.counts.received += changes;
  if (slice_.facts.own) slice_.counts.own += changes;
}

void TransactionAssembler::start_slice(TransactionFacts facts, bool first, std::size_t rows_expected) {
  ++slice_number_;
  slice_ = TransactionSlice();
  slice_.facts = std::move(facts);
  slice_.first = first;
  slice_.bytes = kSliceOverheadBytes;
  slice_.changes.reserve(rows_expected);
  slice_.frames.reserve(rows_expected);
}

}  // namespace teal
