// What lies on disk has the form of this process: no other one ever reads it. SpillFile's checksums tell whether it is
// what was written, so nothing here looks at it with suspicion.
//
// Written are the values, not the frames that they came in: frames would have to be decoded again, with the relations
// of then, cut into the same slices, and counted and shown to nobody.
#include "engine/slice_spill.h"

#include <algorithm>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace teal {
namespace {

struct SliceHeader {
  std::uint64_t final_lsn;
  std::uint64_t end_lsn;
  std::uint64_t seen;
  std::uint64_t origin_lsn;
  std::int64_t commit_time;
  std::int64_t effective_time;
  ReceivedCounts counts;
  std::uint64_t charged;
  std::uint64_t value_bytes;
  std::uint32_t xid;
  std::uint32_t relations;
  std::uint32_t changes;
  bool first;
  bool last;
  bool own;
  bool has_origin;
};

struct ChangeHeader {
  std::uint64_t lsn;
  std::uint32_t relation;  ///< its place in the slice; of a TRUNCATE, the first table's
  std::uint32_t old_columns;
  std::uint32_t new_columns;
  std::uint32_t truncated;
  ChangeOp op;
  OldTupleKind old_kind;
  std::uint8_t truncate_flags;
  std::uint8_t unused;
};

template <typename T>
void put(SpillBuffer& buffer, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  buffer.write(std::as_bytes(std::span(&value, 1)));
}

void put(SpillBuffer& buffer, const std::string& text) {
  put(buffer, text.size());
  buffer.write(std::as_bytes(std::span(text)));
}

void put(SpillBuffer& buffer, TupleView row) {
  for (const ColumnValue& value : row) {
    put(buffer, value.kind);
    if (!value.has_value()) continue;
    put(buffer, value.size);
    buffer.write({value.data, value.size});
  }
}

template <typename T>
T get(SpillBuffer& buffer) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value{};
  buffer.read(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::string get_text(SpillBuffer& buffer) {
  std::string text(get<std::size_t>(buffer), '\0');
  buffer.read(std::as_writable_bytes(std::span(text)));
  return text;
}

template <typename T>
std::span<T> make_array(std::pmr::memory_resource& arena, std::size_t size) {
  if (size == 0) return {};
  T* const first = std::pmr::polymorphic_allocator<T>(&arena).allocate(size);
  std::uninitialized_value_construct_n(first, size);
  return {first, size};
}

/// `values`: where the next value goes.
TupleView get_row(SpillBuffer& buffer, std::pmr::memory_resource& arena, std::size_t columns, std::byte*& values) {
  const std::span<ColumnValue> row = make_array<ColumnValue>(arena, columns);
  for (ColumnValue& value : row) {
    value.kind = get<ColumnKind>(buffer);
    if (!value.has_value()) continue;
    value.size = get<std::uint32_t>(buffer);
    value.data = values;
    buffer.read({values, value.size});
    values += value.size;
  }
  return row;
}

std::uint64_t value_bytes(const TransactionSlice& slice) {
  std::uint64_t sum = 0;
  for (const Change& change : slice.changes) {
    for (const ColumnValue& value : change.old_tuple) sum += value.has_value() ? value.size : 0;
    for (const ColumnValue& value : change.new_tuple) sum += value.has_value() ? value.size : 0;
  }
  return sum;
}

SliceHeader header_of(const TransactionSlice& slice) {
  // Names them all, so that a fact that is added is not forgotten here.
  const auto& [xid, final_lsn, commit_time, origin, own, effective_time, seen] = slice.facts;
  return {.final_lsn = final_lsn.value,
          .end_lsn = slice.end_lsn.value,
          .seen = seen.value,
          .origin_lsn = origin ? origin->lsn.value : 0,
          .commit_time = commit_time.us,
          .effective_time = effective_time.us,
          .counts = slice.counts,
          .charged = slice.bytes,
          .value_bytes = value_bytes(slice),
          .xid = xid.value,
          .relations = static_cast<std::uint32_t>(slice.relations.size()),
          .changes = static_cast<std::uint32_t>(slice.changes.size()),
          .first = slice.first,
          .last = slice.last,
          .own = own,
          .has_origin = origin.has_value()};
}

TransactionSlice slice_of(const SliceHeader& header) {
  TransactionSlice slice;
  slice.facts.xid = Xid{header.xid};
  slice.facts.final_lsn = Lsn{header.final_lsn};
  slice.facts.commit_time = Timestamp{header.commit_time};
  slice.facts.own = header.own;
  slice.facts.effective_time = Timestamp{header.effective_time};
  slice.facts.seen = Lsn{header.seen};
  slice.first = header.first;
  slice.last = header.last;
  slice.end_lsn = Lsn{header.end_lsn};
  slice.counts = header.counts;
  slice.bytes = header.charged;  // what it took with a frame for each change: not less than it takes now
  return slice;
}

void put(SpillBuffer& buffer, const Relation& relation) {
  const auto& [id, schema, name, replica_identity, columns] = relation;
  put(buffer, id);
  put(buffer, schema);
  put(buffer, name);
  put(buffer, replica_identity);
  put(buffer, columns.size());
  for (const auto& [column, type, type_modifier, identity, type_schema, type_name] : columns) {
    put(buffer, column);
    put(buffer, type);
    put(buffer, type_modifier);
    put(buffer, identity);
    put(buffer, type_schema);
    put(buffer, type_name);
  }
}

Relation get_relation(SpillBuffer& buffer) {
  Relation relation;
  relation.id = get<RelationId>(buffer);
  relation.schema = get_text(buffer);
  relation.name = get_text(buffer);
  relation.replica_identity = get<ReplicaIdentity>(buffer);
  relation.columns.resize(get<std::size_t>(buffer));
  for (Column& column : relation.columns) {
    column.name = get_text(buffer);
    column.type = get<TypeId>(buffer);
    column.type_modifier = get<std::int32_t>(buffer);
    column.identity = get<bool>(buffer);
    column.type_schema = get_text(buffer);
    column.type_name = get_text(buffer);
  }
  return relation;
}

}  // namespace

SliceSpill::SliceSpill(const SpoolOptions& options) : buffer_(options.directory, options.bytes_max) {}

void SliceSpill::push(const TransactionSlice& slice) {
  put(buffer_, header_of(slice));
  if (slice.facts.origin) put(buffer_, slice.facts.origin->name);
  places_.clear();
  for (std::uint32_t place = 0; place < slice.relations.size(); ++place) {
    places_.emplace(slice.relations[place].get(), place);
    write_relation(slice.relations[place]);
  }
  for (const Change& change : slice.changes) write_change(change);
  ++slices_;
}

void SliceSpill::write_relation(const std::shared_ptr<const Relation>& relation) {
  std::shared_ptr<const Relation>& last = written_[relation->id.value];
  const bool known = last == relation || (last != nullptr && *last == *relation);
  last = relation;
  put(buffer_, known);
  if (known) {
    put(buffer_, relation->id);
  } else {
    put(buffer_, *relation);
  }
}

void SliceSpill::write_change(const Change& change) {
  const auto& [op, old_kind, truncate_flags, relation, old_tuple, new_tuple, truncated, lsn] = change;
  put(buffer_, ChangeHeader{.lsn = lsn.value,
                            .relation = places_.at(relation),
                            .old_columns = static_cast<std::uint32_t>(old_tuple.size()),
                            .new_columns = static_cast<std::uint32_t>(new_tuple.size()),
                            .truncated = static_cast<std::uint32_t>(truncated.size()),
                            .op = op,
                            .old_kind = old_kind,
                            .truncate_flags = truncate_flags,
                            .unused = 0});
  put(buffer_, old_tuple);
  put(buffer_, new_tuple);
  for (const Relation* table : truncated) put(buffer_, places_.at(table));
}

TransactionSlice SliceSpill::pop() {
  --slices_;
  const auto header = get<SliceHeader>(buffer_);
  TransactionSlice slice = slice_of(header);
  if (header.has_origin) slice.facts.origin = Origin{get_text(buffer_), Lsn{header.origin_lsn}};
  slice.relations.reserve(header.relations);
  for (std::uint32_t i = 0; i < header.relations; ++i) slice.relations.push_back(read_relation());
  slice.frames.push_back(Frame::of_size(header.value_bytes));
  std::byte* values = slice.frames.back().writable_bytes().data();
  slice.changes.reserve(header.changes);
  for (std::uint32_t i = 0; i < header.changes; ++i) slice.changes.push_back(read_change(slice, values));
  return slice;
}

std::shared_ptr<const Relation> SliceSpill::read_relation() {
  if (get<bool>(buffer_)) return read_.at(get<RelationId>(buffer_).value);
  auto relation = std::make_shared<const Relation>(get_relation(buffer_));
  read_[relation->id.value] = relation;
  return relation;
}

Change SliceSpill::read_change(TransactionSlice& slice, std::byte*& values) {
  const auto header = get<ChangeHeader>(buffer_);
  Change change;
  change.op = header.op;
  change.old_kind = header.old_kind;
  change.truncate_flags = header.truncate_flags;
  change.lsn = Lsn{header.lsn};
  change.relation = slice.relations[header.relation].get();
  change.old_tuple = get_row(buffer_, *slice.arena, header.old_columns, values);
  change.new_tuple = get_row(buffer_, *slice.arena, header.new_columns, values);
  const auto truncated = make_array<const Relation*>(*slice.arena, header.truncated);
  for (const Relation*& table : truncated) table = slice.relations[get<std::uint32_t>(buffer_)].get();
  change.truncated = truncated;
  return change;
}

void SliceSpill::clear() {
  buffer_.clear();
  slices_ = 0;
  written_.clear();
  read_.clear();
}

}  // namespace teal
