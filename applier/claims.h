#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "applier/coalescer.h"
#include "applier/column_fit.h"
#include "applier/conflict_filter.h"
#include "applier/conflict_log.h"
#include "applier/holding_rows.h"
#include "applier/quarantine.h"
#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// Settles that a row of the source claims a unique value which another row of the target holds, when the two sides had
/// not seen each other's: one of the two rows is deleted on the side where it was written, in a session without the
/// link's origin, so that the other side hears of it as of any delete. See decide_claim.
///
/// The target's row goes at once, with a row in teal.conflict_log. The source's is first deleted there, unless it has
/// changed since; then its change is one of LostClaims, and the next plan leaves it out. Either way the batch has to be
/// planned again, and what else is in its way comes up then.
/// Threads: one.
class Claims {
 public:
  /// Waits until everything is known that was committed on the target by now; false: by that, the batch has to be
  /// planned again.
  using CatchUp = std::function<bool()>;

  /// Lifetime: `sides` and `log` outlive it.
  Claims(const ConflictOptions& sides, LinkNames names, OpenSource open_source, const ConflictLog& log)
      : sides_(sides), names_(std::move(names)), open_source_(std::move(open_source)), log_(log) {}

  /// The server refused `refused`, of what was planned in `epochs`, for a unique value; it was rolled back. `target`: a
  /// session there without an origin. True: plan again. False: the operator has to decide, because the policy says so,
  /// or the sides do not disagree, or a row could not be deleted: see `reason`.
  /// Errors: PgError.
  [[nodiscard]] bool settle(PgConnection& target, const RefusedChange& refused, std::span<const Epoch> epochs,
                            const CatchUp& catch_up);
  /// Settles what of `epochs` would be refused. Otherwise each would cost an attempt of its own, which for a large
  /// transaction is to read it again. Only in tables that `concerns` names. No target transaction is open: somebody
  /// could wait for that, and this for him. True: plan again, something was settled.
  /// Errors: PgError.
  [[nodiscard]] bool settle_ahead(PgConnection& target, std::span<const Epoch> epochs,
                                  const std::function<bool(const TargetTable&)>& concerns, const CatchUp& catch_up);
  /// What was decided of a slice of a large transaction, whether it was written or not: later ones may claim the values
  /// of rows that it has changed.
  void passed(std::span<const Epoch> epochs);
  /// That transaction has ended.
  void forget_passed();
  /// Why the last `settle` was false; "": nothing was found that the two sides disagree about.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  struct Met;
  struct Claiming;
  enum class Outcome : std::uint8_t { kNothing, kAgain, kStops };

  [[nodiscard]] static std::vector<TupleView> values_of(std::span<const Claiming> rows);
  [[nodiscard]] static std::vector<Claiming> claiming(const RefusedChange& refused, std::span<const Epoch> epochs);
  static void find_met(PgConnection& target, std::vector<Claiming>& rows);
  static void drop_free(std::vector<Claiming>& rows);
  [[nodiscard]] std::vector<Claiming> claiming_in(std::span<const Epoch> epochs,
                                                  const std::function<bool(const TargetTable&)>& concerns) const;
  void drop_written(std::vector<Claiming>& rows, std::span<const Epoch> epochs) const;
  [[nodiscard]] bool settle_table(PgConnection& target, std::vector<Claiming>& rows, std::span<const Epoch> epochs,
                                  const CatchUp& catch_up);
  [[nodiscard]] Outcome settle_rows(PgConnection& target, std::vector<Claiming>& rows, const CatchUp& catch_up);
  [[nodiscard]] Outcome give_way(PgConnection& target, std::vector<Claiming> losing, std::vector<Claiming> winning);
  void decide(std::vector<Claiming>& rows) const;
  [[nodiscard]] static bool drop_changed(PgConnection& target, std::vector<Claiming>& rows);
  [[nodiscard]] Outcome delete_there(PgConnection& target, std::vector<Claiming>& rows);
  [[nodiscard]] Outcome lose(std::span<const Claiming> rows);
  [[nodiscard]] std::vector<bool> have_later_versions(std::span<const Claiming> rows) const;
  [[nodiscard]] Outcome kept(const Claiming& claiming, const PgConnection& side);
  [[nodiscard]] static ConflictRecord record(const Claiming& claiming, const Met& met);
  [[nodiscard]] Lsn mark_source();
  PgConnection& source();
  void tell(const Claiming& first, std::size_t rows, const char* stays) const;

  const ConflictOptions& sides_;
  LinkNames names_;
  OpenSource open_source_;
  const ConflictLog& log_;
  std::optional<PgConnection> source_;
  std::string reason_;
  // Of the slices that have passed: keys that the target had changed, too, or that have moved, and whether any change
  // of theirs was written; and tables that were truncated.
  boost::unordered_flat_map<KeyHash, bool, KeyHashHash> decided_;
  boost::unordered_flat_set<KeyHash, KeyHashHash> truncated_;
  std::string tried_;  // what was refused and met nobody, ...
  int tries_ = 0;      // ... and how often in a row
};

}  // namespace teal
