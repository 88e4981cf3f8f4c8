#include "applier/side_changes.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/pg_error.h"

namespace teal {
namespace {

// Empty when the relation has no such column, or it was not sent.
std::string_view text_of(const Relation& relation, TupleView row, std::string_view column) {
  for (std::size_t i = 0; i < relation.columns.size() && i < row.size(); ++i) {
    if (relation.columns[i].name == column && row[i].has_value()) return row[i].text();
  }
  return {};
}

// pg_lsn's text, or its binary form: eight bytes, the highest first.
std::optional<Lsn> lsn_of(std::string_view value, bool binary) {
  if (!binary) return parse_lsn(value);
  if (value.size() != sizeof(std::uint64_t)) return std::nullopt;
  Lsn lsn;
  for (const char byte : value) lsn.value = lsn.value << 8U | static_cast<unsigned char>(byte);
  return lsn;
}

bool is_binary(const Change& change) {
  return std::any_of(change.new_tuple.begin(), change.new_tuple.end(),
                     [](const ColumnValue& value) { return value.kind == ColumnKind::kBinary; });
}

std::int64_t version_of(const Relation& relation, const KeyShape& shape, TupleView row) {
  try {
    return row_version(shape, row);
  } catch (const std::invalid_argument& error) {
    throw Stopped(StopCode::kData, "table " + relation.schema + "." + relation.name + ": " + error.what() +
                                       "; take another policy for it (conflicts.tables)");
  }
}

}  // namespace

SideChanges::SideChanges(std::string echo_link, FindKeyShape find_shape, std::size_t bytes_max)
    : echo_link_(std::move(echo_link)), find_shape_(std::move(find_shape)), bytes_max_(bytes_max) {}

void SideChanges::begin_session(Lsn from, Timestamp time, Lsn seen) {
  clock_ = StreamClock(time, seen);
  from_ = from;
  shapes_.clear();
  const std::scoped_lock lock(mutex_);
  // A server that crashed writes new commits where others had stood that were not flushed, and were not sent either.
  passed_ = from;
  reading_ = true;
  seen_ = std::max(seen_, seen);
}

void SideChanges::slice(TransactionSlice& slice) {
  if (slice.facts.own) {
    note_echo(slice);
    slice.facts.effective_time = clock_.time();
  } else if (slice.facts.final_lsn >= from_) {
    const LocalCommit commit = clock_.stamp(slice.facts.final_lsn, slice.facts.commit_time);
    slice.facts.effective_time = commit.time;
    enter(slice, commit);
  }
  slice.facts.seen = clock_.seen();
  if (slice.last) passed(slice.end_lsn);
}

void SideChanges::passed(Lsn position) {
  {
    const std::scoped_lock lock(mutex_);
    passed_ = std::max(passed_, position);
    seen_ = std::max(seen_, clock_.seen());
  }
  passed_on_.notify_all();
}

void SideChanges::ended() {
  const std::scoped_lock lock(mutex_);
  reading_ = false;
}

bool SideChanges::reading() const {
  const std::scoped_lock lock(mutex_);
  return reading_;
}

void SideChanges::note_echo(const TransactionSlice& slice) {
  for (const Change& change : slice.changes) {
    const Relation& relation = *change.relation;
    if (change.op == ChangeOp::kDelete || change.op == ChangeOp::kTruncate) continue;
    if (relation.schema != kControlSchema || relation.name != "progress") continue;
    if (text_of(relation, change.new_tuple, "link") != echo_link_) continue;
    const auto applied = lsn_of(text_of(relation, change.new_tuple, "applied"), is_binary(change));
    if (!applied) {
      throw Stopped(StopCode::kBug, "link " + echo_link_ + ": the position in its progress row at LSN " +
                                        to_string(change.lsn) + " could not be read; please report this");
    }
    clock_.echo(*applied);
  }
}

const std::optional<KeyShape>& SideChanges::shape_of(const Relation& relation) {
  auto& [known, shape] = shapes_[relation.id.value];
  if (!(known == relation)) {
    shape = relation.schema == kControlSchema ? std::nullopt : find_shape_(relation);
    known = relation;
  }
  return shape;
}

void SideChanges::enter_change(const Change& change, std::vector<LocalChange>& changes) {
  if (change.op == ChangeOp::kTruncate) return enter_truncate(change, changes);
  const std::optional<KeyShape>& shape = shape_of(*change.relation);
  if (!shape) return;
  const TupleView old_row = change.old_kind == OldTupleKind::kNone ? TupleView{} : change.old_tuple;
  std::optional<KeyHash> old_key;
  if (!old_row.empty()) old_key = key_hash(*shape, old_row);
  if (change.op == ChangeOp::kDelete) {
    changes.push_back({*old_key, shape->table, true, version_of(*change.relation, *shape, old_row)});
    return;
  }
  const KeyHash key = key_hash(*shape, change.new_tuple, old_row);
  // A key that changes is a row that goes and one that comes.
  if (old_key && *old_key != key) {
    changes.push_back({*old_key, shape->table, true, version_of(*change.relation, *shape, old_row)});
  }
  changes.push_back({key, shape->table, false, version_of(*change.relation, *shape, change.new_tuple)});
}

// Of a partitioned table the partitions are named: all of them, or some.
void SideChanges::enter_truncate(const Change& change, std::vector<LocalChange>& changes) {
  struct Named {
    std::size_t parts = 0;  // that the table had at this moment
    std::vector<TableHash> named;
  };
  boost::unordered_flat_map<KeyHash, Named, KeyHashHash> tables;
  for (const Relation* relation : change.truncated) {
    const std::optional<KeyShape>& known = shape_of(*relation);
    if (!known) continue;
    Named& table = tables[known->table.whole];
    // Partitions come and go, so they are counted anew.
    if (table.named.empty() && known->table.part != known->table.whole) {
      const std::optional<KeyShape> now = find_shape_(*relation);
      table.parts = now && now->table == known->table ? now->parts : SIZE_MAX;
    }
    table.named.push_back(known->table);
  }
  for (const auto& [whole, table] : tables) {
    if (table.named.size() >= table.parts) {
      changes.push_back({whole, whole, true, kNoVersion});
      continue;
    }
    for (const TableHash& one : table.named) changes.push_back({one.part, one, true, kNoVersion});
  }
}

void SideChanges::enter(const TransactionSlice& slice, const LocalCommit& commit) {
  std::vector<LocalChange> changes;
  for (const Change& change : slice.changes) enter_change(change, changes);
  const std::scoped_lock lock(mutex_);
  if (commit.lsn < entered_) return;
  changes_.add(commit, changes);
  entered_ = commit.lsn;
}

bool SideChanges::has_passed(Lsn position) const {
  const std::scoped_lock lock(mutex_);
  return passed_ >= position;
}

bool SideChanges::wait_passed(Lsn position, std::chrono::milliseconds wait, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  const bool has_passed = passed_on_.wait_for(lock, stop, wait, [&] { return passed_ >= position; });
  --waiting_;
  return has_passed;
}

bool SideChanges::awaited() const {
  const std::scoped_lock lock(mutex_);
  return waiting_ > 0;
}

Lsn SideChanges::needs_from(Lsn seen_there) const {
  const std::scoped_lock lock(mutex_);
  return changes_.seen_by_first_after(seen_there).value_or(seen_);
}

void SideChanges::forget(Lsn position) {
  const std::scoped_lock lock(mutex_);
  changes_.forget(position);
}

std::optional<LocalCommit> SideChanges::oldest() const {
  const std::scoped_lock lock(mutex_);
  return changes_.oldest();
}

std::size_t SideChanges::bytes() const {
  const std::scoped_lock lock(mutex_);
  return changes_.bytes();
}

}  // namespace teal
