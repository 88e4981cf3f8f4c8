#include "applier/claims.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "applier/claiming.h"
#include "applier/contention.h"
#include "applier/lost_claims.h"
#include "engine/log.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

constexpr const char* kUniqueViolation = "23505";
constexpr int kTriesMax = 5;
constexpr std::size_t kRowsMax = 1'000;  // of a transaction that is refused at its end, so that its row is not known

bool claims(const NetRow& row) {
  return row.op == NetOp::kInsert || row.op == NetOp::kUpdate || row.op == NetOp::kReplace || row.op == NetOp::kPut;
}

template <typename Look>
void each_row(std::span<const Epoch> epochs, Look look) {
  for (const Epoch& epoch : epochs) {
    for (const std::vector<Segment>& segments : epoch.tables) {
      for (const Segment& segment : segments) {
        for (const NetRow& row : segment.rows) look(segment, row);
      }
    }
  }
}

}  // namespace

std::vector<TupleView> Claims::values_of(std::span<const Claiming> rows) {
  std::vector<TupleView> values;
  values.reserve(rows.size());
  for (const Claiming& one : rows) values.push_back(one.row->values);
  return values;
}

// Those that the server may have meant.
std::vector<Claims::Claiming> Claims::claiming(const RefusedChange& refused, std::span<const Epoch> epochs) {
  std::vector<Claiming> rows;
  each_row(epochs, [&](const Segment& segment, const NetRow& row) {
    if (!claims(row) || segment.table->whole_rows || rows.size() >= kRowsMax) return;
    if (refused.position != 0 && (row.place.lsn != refused.lsn || row.place.position != refused.position)) return;
    if (!refused.table.empty() && segment.table->display_name != refused.table) return;
    rows.push_back({segment.table, &row, key_hash(segment.table->row_key, row.key.columns)});
  });
  return rows;
}

// Each with the rows that it meets there, without those that meet none. All are rows of one table.
void Claims::find_met(PgConnection& target, std::vector<Claiming>& rows) {
  if (rows.empty()) return;
  std::vector<std::vector<HoldingRow>> held = find_holding_rows(target, *rows.front().table, values_of(rows));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (HoldingRow& row : held[i]) {
      if (row.hash != rows[i].hash) rows[i].met.push_back({std::move(row)});
    }
  }
  drop_free(rows);
}

void Claims::drop_free(std::vector<Claiming>& rows) {
  std::erase_if(rows, [](const Claiming& one) { return one.met.empty(); });
}

// What the transaction itself has written or taken away before the change is not there as it is committed.
void Claims::drop_written(std::vector<Claiming>& rows, std::span<const Epoch> epochs) const {
  boost::unordered_flat_map<KeyHash, std::uint64_t, KeyHashHash> first_written;  // position of the first such change
  for (const Claiming& one : rows) {
    for (const Met& met : one.met) first_written[met.row.hash] = UINT64_MAX;
  }
  const auto write = [&](const KeyHash& hash, std::uint64_t position) {
    const auto found = first_written.find(hash);
    if (found != first_written.end()) found->second = std::min(found->second, position);
  };
  each_row(epochs, [&](const Segment& segment, const NetRow& row) {
    if (row.verdict == Verdict::kLoses) return;
    write(key_hash(segment.table->row_key, row.key.columns), row.place.position);
    if (segment.move_from) write(key_hash(segment.table->row_key, segment.move_from->columns), row.place.position);
  });
  for (Claiming& one : rows) {
    std::erase_if(one.met, [&](const Met& met) {
      const auto passed = decided_.find(met.row.hash);
      return first_written[met.row.hash] < one.row->place.position || (passed != decided_.end() && passed->second);
    });
  }
  drop_free(rows);
}

// A change that nothing on the target was unknown to meets nobody, whatever becomes of its row.
void Claims::passed(std::span<const Epoch> epochs) {
  each_row(epochs, [&](const Segment& segment, const NetRow& row) {
    const bool written = row.verdict != Verdict::kLoses;
    if (row.verdict != Verdict::kApplies) {
      bool& before = decided_[key_hash(segment.table->row_key, row.key.columns)];
      before = before || written;
    }
    if (segment.move_from && written) decided_[key_hash(segment.table->row_key, segment.move_from->columns)] = true;
  });
  for (const Epoch& epoch : epochs) {
    for (const TargetTable* table : epoch.truncated) truncated_.insert(table->row_key.table.whole);
  }
}

void Claims::forget_passed() {
  decided_.clear();
  truncated_.clear();
}

bool Claims::settle(PgConnection& target, const RefusedChange& refused, std::span<const Epoch> epochs,
                    const CatchUp& catch_up) {
  reason_.clear();
  if (refused.sqlstate != kUniqueViolation) return false;
  try {
    for (const Claiming& one : claiming(refused, epochs)) {
      std::vector<Claiming> row{one};
      find_met(target, row);
      drop_written(row, epochs);
      const Outcome outcome = settle_rows(target, row, catch_up);
      if (outcome != Outcome::kNothing) return outcome == Outcome::kAgain;
    }
    // The row that was in the way may have gone meanwhile: the other link settles the same.
    const std::string what = to_string(refused);
    tries_ = what == tried_ ? tries_ + 1 : 1;
    tried_ = what;
    return tries_ <= kTriesMax;
  } catch (const PgError& error) {
    if (source_ && !source_->usable()) source_.reset();
    if (!error.needs_somebody()) throw;
    reason_ = error.what();
    log_event(LogLevel::kWarn, "a unique value that two rows claim could not be settled",
              {{"link", names_.link}, {"table", refused.table}, {"reason", reason_}});
  }
  return false;
}

// Not those that are lost already, nor of tables that the transaction has emptied before: what is left there then is
// not what is committed.
std::vector<Claims::Claiming> Claims::claiming_in(std::span<const Epoch> epochs,
                                                  const std::function<bool(const TargetTable&)>& concerns) const {
  std::vector<Claiming> found;
  auto truncated = truncated_;
  for (const Epoch& epoch : epochs) {
    each_row({&epoch, 1}, [&](const Segment& segment, const NetRow& row) {
      const TargetTable& table = *segment.table;
      if (!claims(row) || table.whole_rows || row.verdict == Verdict::kLoses || !concerns(table)) return;
      const KeyHash hash = key_hash(table.row_key, row.key.columns);
      const bool lost = sides_.lost->find(hash, row.place.facts->final_lsn, row.place.position) != nullptr;
      if (!lost && !truncated.contains(table.row_key.table.whole)) found.push_back({&table, &row, hash});
    });
    for (const TargetTable* table : epoch.truncated) truncated.insert(table->row_key.table.whole);
  }
  return found;
}

bool Claims::settle_ahead(PgConnection& target, std::span<const Epoch> epochs,
                          const std::function<bool(const TargetTable&)>& concerns, const CatchUp& catch_up) {
  std::map<std::uint64_t, std::vector<Claiming>> tables;  // by TargetTable::id
  for (Claiming& one : claiming_in(epochs, concerns)) tables[one.table->id].push_back(std::move(one));
  bool settled = false;
  for (auto& [id, rows] : tables) settled = settle_table(target, rows, epochs, catch_up) || settled;
  return settled;
}

bool Claims::settle_table(PgConnection& target, std::vector<Claiming>& rows, std::span<const Epoch> epochs,
                          const CatchUp& catch_up) {
  const std::string name = rows.front().table->display_name;
  try {
    find_met(target, rows);
    drop_written(rows, epochs);
    return settle_rows(target, rows, catch_up) == Outcome::kAgain;
  } catch (const PgError& error) {
    if (source_ && !source_->usable()) source_.reset();
    if (!target.usable() || !(error.needs_somebody() || is_contention(error.sqlstate()))) throw;
    // Each comes up again by itself.
    log_event(LogLevel::kInfo, "unique values could not be settled together",
              {{"link", names_.link}, {"table", name}, {"reason", error.what()}});
  }
  return false;
}

Claims::Outcome Claims::settle_rows(PgConnection& target, std::vector<Claiming>& rows, const CatchUp& catch_up) {
  if (rows.empty()) return Outcome::kNothing;
  if (!catch_up()) return Outcome::kAgain;
  decide(rows);
  Outcome outcome = drop_changed(target, rows) ? Outcome::kAgain : Outcome::kNothing;
  std::vector<Claiming> losing;
  std::vector<Claiming> winning;
  for (Claiming& one : rows) {
    std::erase_if(one.met, [](const Met& met) { return met.verdict == Verdict::kApplies; });
    if (one.first(Verdict::kStops) != nullptr) {
      reason_ = "two rows claim the value, and the policy leaves that to the operator";
      if (outcome == Outcome::kNothing) outcome = Outcome::kStops;
    } else if (!one.met.empty()) {
      (one.first(Verdict::kLoses) != nullptr ? losing : winning).push_back(std::move(one));
    }
  }
  const Outcome given = give_way(target, std::move(losing), std::move(winning));
  return outcome == Outcome::kAgain || given == Outcome::kNothing ? outcome : given;
}

// One row may lose here and win there, or lose to a row that gives way to a third: then only what is certain whatever
// becomes of the rest, and the rest in the next plan.
Claims::Outcome Claims::give_way(PgConnection& target, std::vector<Claiming> losing, std::vector<Claiming> winning) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> loses;
  for (const Claiming& one : losing) loses.insert({one.hash.high, one.hash.low});
  std::erase_if(winning, [&](const Claiming& one) { return loses.contains({one.hash.high, one.hash.low}); });
  std::set<std::pair<std::uint64_t, std::uint64_t>> goes;
  for (const Claiming& one : winning) {
    for (const Met& met : one.met) goes.insert({met.row.hash.high, met.row.hash.low});
  }
  std::erase_if(losing, [&](const Claiming& one) {
    return std::any_of(one.met.begin(), one.met.end(),
                       [&](const Met& met) { return goes.contains({met.row.hash.high, met.row.hash.low}); });
  });
  const Outcome there = delete_there(target, winning);
  const Outcome here = lose(losing);
  return there == Outcome::kAgain || here == Outcome::kNothing ? there : here;
}

// Only what the two sides disagree about: of what the change's maker had seen, the source has a change that is in this
// batch or was before it.
void Claims::decide(std::vector<Claiming>& rows) const {
  SideChanges::read(*sides_.source, *sides_.target, [&](const LocalChanges& source, const LocalChanges& target) {
    for (Claiming& one : rows) {
      const IncomingChange change = one.change();
      for (Met& met : one.met) {
        met.verdict =
            decide_claim(sides_.policy(one.table->target), sides_.source_side, change, met.row.hash, source, target);
        if (met.verdict != Verdict::kApplies)
          met.standing = target.unseen(met.row.hash, change.table, change.commit.seen).value();
      }
    }
  });
}

// What was compared has to be what was found, and not its end. What wins may have become something else meanwhile,
// again and again: as long as it holds the value, the change gives way to it. True: some are not as they were.
bool Claims::drop_changed(PgConnection& target, std::vector<Claiming>& rows) {
  const std::vector<std::vector<HoldingRow>> now = find_holding_rows(target, *rows.front().table, values_of(rows));
  std::vector<Claiming> same;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool in_any_version = rows[i].first(Verdict::kLoses) != nullptr;
    const bool holds = std::all_of(rows[i].met.begin(), rows[i].met.end(), [&](const Met& met) {
      return std::any_of(now[i].begin(), now[i].end(), [&](const HoldingRow& one) {
        return in_any_version ? one.hash == met.row.hash : is_same_version(one, met.row);
      });
    });
    if (holds) same.push_back(std::move(rows[i]));
  }
  const bool changed = same.size() < rows.size();
  rows = std::move(same);
  return changed;
}

}  // namespace teal
