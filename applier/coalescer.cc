#include "applier/coalescer.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

bool same_value(const ColumnValue& a, const ColumnValue& b) {
  return a.kind == b.kind && a.size == b.size && (a.size == 0 || std::memcmp(a.data, b.data, a.size) == 0);
}

std::uint64_t hash_of(TupleView columns) {
  std::uint64_t hash = columns.size();
  for (const ColumnValue& column : columns) hash = XXH3_64bits_withSeed(column.data, column.size, hash + column.size);
  return hash;
}

bool has_unchanged(TupleView values) {
  return std::any_of(values.begin(), values.end(),
                     [](const ColumnValue& value) { return value.kind == ColumnKind::kUnchangedToast; });
}

RowKey image_of(TupleView columns) { return {columns, hash_of(columns)}; }

NetRow new_row(RowKey key, TupleView values, NetOp op, ChangePlace place) {
  NetRow row{.key = key, .values = values, .op = op, .place = place};
  if (place.facts != nullptr) row.first_seen = place.facts->seen;
  return row;
}

void note_made(Segment& segment, const RowKey& image, std::uint32_t row) {
  const auto [entry, first] = segment.index.try_emplace(image, row);
  segment.rows[row].same_before = first ? kNoRow : std::exchange(entry->second, row);
}

// `last` is the row that the index has for the image.
void forget_made(Segment& segment, const RowKey& image, const NetRow& last) {
  const auto entry = segment.index.find(image);
  if (last.same_before == kNoRow) {
    segment.index.erase(entry);
  } else {
    entry->second = last.same_before;
  }
}

}  // namespace

bool RowKey::operator==(const RowKey& other) const {
  return hash == other.hash &&
         std::equal(columns.begin(), columns.end(), other.columns.begin(), other.columns.end(), same_value);
}

Coalescer::Coalescer(std::function<bool(const TargetTable&)> in_order, bool writes_keys)
    : in_order_(std::move(in_order)), writes_keys_(writes_keys) {}

void Coalescer::clear() {
  epochs_.clear();
  slots_.clear();
  epoch_open_ = false;
  counts_ = {};
  arena_.release();
}

std::span<ColumnValue> Coalescer::allocate(std::size_t count) {
  ColumnValue* values = std::pmr::polymorphic_allocator<ColumnValue>(&arena_).allocate(count);
  std::uninitialized_value_construct_n(values, count);
  return {values, count};
}

// A toasted key column that did not change is 'u' in the new image; its value is in the old one (TRAPS C2).
RowKey Coalescer::key_of(const TargetTable& table, TupleView tuple, TupleView fallback) {
  const auto pick = [&](std::uint16_t ordinal) -> const ColumnValue& {
    const ColumnValue& value = tuple[ordinal];
    return value.kind == ColumnKind::kUnchangedToast && !fallback.empty() ? fallback[ordinal] : value;
  };
  RowKey key;
  if (table.key.size() == 1) {
    key.columns = TupleView(&pick(table.key[0]), 1);
  } else {
    const std::span<ColumnValue> columns = allocate(table.key.size());
    for (std::size_t i = 0; i < columns.size(); ++i) columns[i] = pick(table.key[i]);
    key.columns = columns;
  }
  key.hash = hash_of(key.columns);
  return key;
}

// What the new image leaves out was large and did not change, so an old image that has a value has that one. Absent
// means "not sent" in a key image (TRAPS C3), and in a full one it cannot be.
TupleView Coalescer::backfilled(const Change& change) {
  if (change.old_kind == OldTupleKind::kNone || !has_unchanged(change.new_tuple)) return change.new_tuple;
  const std::span<ColumnValue> values = allocate(change.new_tuple.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const ColumnValue& old_value = change.old_tuple[i];
    const bool filled = change.new_tuple[i].kind == ColumnKind::kUnchangedToast && old_value.has_value();
    values[i] = filled ? old_value : change.new_tuple[i];
  }
  return values;
}

Segment& Coalescer::new_segment(const TargetTable& table) {
  if (!epoch_open_) {
    epochs_.emplace_back();
    slots_.clear();
    epoch_open_ = true;
  }
  Epoch& epoch = epochs_.back();
  const auto [slot, inserted] = slots_.try_emplace(table.target_id, epoch.tables.size());
  if (inserted) epoch.tables.emplace_back();
  std::vector<Segment>& segments = epoch.tables[slot->second];
  segments.emplace_back();
  segments.back().table = &table;
  return segments.back();
}

Segment& Coalescer::open_segment(const TargetTable& table) {
  if (epoch_open_ && !in_order_(table)) {
    const auto slot = slots_.find(table.target_id);
    if (slot != slots_.end()) {
      Segment& last = epochs_.back().tables[slot->second].back();
      if (!last.move_from && last.table == &table) return last;
    }
  }
  return new_segment(table);
}

// Rows without a key are a multiset: which of two equal rows an operation takes makes no difference. So the operations
// of a segment may be written in any order as long as none takes what another one makes; one that would is merged into
// that other one, which saves a look through the whole table for each link of a chain.
void Coalescer::add_whole_row(const TargetTable& table, const Change& change, ChangePlace place) {
  const bool takes = change.op != ChangeOp::kInsert;
  if (takes && change.old_kind != OldTupleKind::kFull) {
    throw Stopped(StopCode::kData, "table " + table.display_name + ": the source did not send the old row at LSN " +
                                       to_string(change.lsn) + ", and there is no key to find it by; ALTER TABLE ... " +
                                       "REPLICA IDENTITY FULL on the source and its partitions");
  }
  Segment& segment = open_segment(table);
  const RowKey taken = takes ? image_of(change.old_tuple) : RowKey{};
  if (const auto maker = takes ? segment.index.find(taken) : segment.index.end(); maker != segment.index.end()) {
    merge_whole_row(segment, maker->second, change, place);
    return;
  }
  if (change.op == ChangeOp::kDelete) {
    segment.rows.push_back(new_row(taken, {}, NetOp::kDelete, place));
    return;
  }
  const TupleView values = backfilled(change);
  const RowKey made = image_of(values);
  segment.rows.push_back(new_row(takes ? taken : made, values, takes ? NetOp::kUpdate : NetOp::kInsert, place));
  note_made(segment, made, static_cast<std::uint32_t>(segment.rows.size() - 1));
}

// `made_by` is the last row of the segment that makes what the change takes.
void Coalescer::merge_whole_row(Segment& segment, std::uint32_t made_by, const Change& change, ChangePlace place) {
  NetRow& row = segment.rows[made_by];
  forget_made(segment, image_of(change.old_tuple), row);
  row.place = place;
  counts_.merged += 1;
  if (change.op == ChangeOp::kDelete) {
    if (row.op == NetOp::kInsert) counts_.merged += 1;
    row.op = row.op == NetOp::kInsert ? NetOp::kNone : NetOp::kDelete;
    row.values = {};
    row.own_values = nullptr;
    return;
  }
  overlay(row, backfilled(change));
  const RowKey made = image_of(row.values);
  if (row.op == NetOp::kInsert) row.key = made;
  note_made(segment, made, made_by);
}

void Coalescer::add(const TargetTable& table, const Change& change, ChangePlace place) {
  if (table.whole_rows) {
    add_whole_row(table, change, place);
    return;
  }
  if (change.op == ChangeOp::kInsert) {
    put(table, key_of(table, change.new_tuple, {}), NetOp::kInsert, change.new_tuple, place);
    return;
  }
  if (change.op == ChangeOp::kDelete) {
    put(table, key_of(table, change.old_tuple, {}), NetOp::kDelete, {}, place);
    return;
  }
  const TupleView values = backfilled(change);
  const RowKey to = key_of(table, values, change.old_tuple);
  if (change.old_kind != OldTupleKind::kNone) {
    const RowKey from = key_of(table, change.old_tuple, {});
    if (!(from == to)) {
      update_key(table, place, from, to, values);
      return;
    }
  }
  put(table, to, NetOp::kUpdate, values, place);
}

// A key change is delete + insert when the whole new row is known and nothing of the target's own would be lost,
// or when the target's key is GENERATED ALWAYS and refuses to be updated (TRAPS E9).
void Coalescer::update_key(const TargetTable& table, ChangePlace place, RowKey from, RowKey to, TupleView values) {
  const bool key_settable = std::all_of(table.key.begin(), table.key.end(),
                                        [&](std::uint16_t ordinal) { return table.columns[ordinal].settable; });
  const bool mergeable = !table.keeps_more_than_source && !in_order_(table);
  if (!has_unchanged(values) && (mergeable || !key_settable)) {
    counts_.split += 1;
    put(table, from, NetOp::kDelete, {}, place).moved_away = true;
    put(table, to, NetOp::kInsert, values, place);
    return;
  }
  if (!key_settable) {
    throw Stopped(StopCode::kData, "table " + table.display_name + ": the key of a row was changed at LSN " +
                                       to_string(place.lsn) +
                                       ", the target's key is GENERATED ALWAYS and a large value was not sent; make it "
                                       "GENERATED BY DEFAULT on the target, then run teal again");
  }
  Segment& segment = new_segment(table);
  segment.move_from = from;
  segment.rows.push_back(new_row(to, values, NetOp::kUpdate, place));
}

// The source has applied something of the target's between the two changes: if the first lost against that, the second
// leaves alone what is there now, and not what the first one had brought.
bool Coalescer::bridges_echo(const NetRow& row, TupleView values, ChangePlace place) {
  return has_unchanged(values) && row.place.facts->seen != place.facts->seen;
}

NetRow& Coalescer::put(const TargetTable& table, RowKey key, NetOp op, TupleView values, ChangePlace place) {
  Segment* segment = &open_segment(table);
  const auto found = segment->index.find(key);
  if (found != segment->index.end()) {
    NetRow& row = segment->rows[found->second];
    if (!bridges_echo(row, values, place) && merge(table, row, op, values)) {
      row.place = place;
      row.moved_away = false;
      return row;
    }
    segment = &new_segment(table);
  }
  segment->index.emplace(key, static_cast<std::uint32_t>(segment->rows.size()));
  return segment->rows.emplace_back(new_row(key, values, op, place));
}

// Returns false when the pair is outside the algebra: the second change then waits for the first to be written.
bool Coalescer::merge(const TargetTable& table, NetRow& row, NetOp op, TupleView values) {
  const bool row_is_there = row.op == NetOp::kInsert || row.op == NetOp::kUpdate || row.op == NetOp::kReplace;
  if (op == NetOp::kUpdate && row_is_there) {
    overlay(row, values);
    counts_.merged += 1;
    return true;
  }
  if (op == NetOp::kDelete && row_is_there) {
    if (writes_keys_ && row.op == NetOp::kInsert) return false;
    counts_.merged += row.op == NetOp::kInsert ? 2 : 1;
    row.op = row.op == NetOp::kInsert ? NetOp::kNone : NetOp::kDelete;
    row.values = {};
    row.own_values = nullptr;
    return true;
  }
  if (op == NetOp::kInsert && row.op == NetOp::kDelete && !table.keeps_more_than_source) {
    counts_.merged += 1;
    row.op = NetOp::kReplace;
    row.values = values;
    return true;
  }
  if (op == NetOp::kInsert && row.op == NetOp::kNone) {
    row.op = NetOp::kInsert;
    row.values = values;
    return true;
  }
  return false;
}

void Coalescer::overlay(NetRow& row, TupleView values) {
  if (!has_unchanged(values)) {  // nothing of the earlier image survives
    row.values = values;
    row.own_values = nullptr;
    return;
  }
  if (row.own_values == nullptr) {
    const std::span<ColumnValue> copy = allocate(row.values.size());
    std::copy(row.values.begin(), row.values.end(), copy.begin());
    row.values = copy;
    row.own_values = copy.data();
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind != ColumnKind::kUnchangedToast) row.own_values[i] = values[i];
  }
}

void Coalescer::truncate(std::vector<const TargetTable*> tables, bool in_part, ChangePlace place) {
  if (!epoch_open_) epochs_.emplace_back();
  Epoch& epoch = epochs_.back();
  epoch.truncated = std::move(tables);
  epoch.truncated_in_part = in_part;
  epoch.truncate_place = place;
  epoch_open_ = false;
}

}  // namespace teal
