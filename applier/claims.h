#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

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
  /// Waits until everything is known that was committed on the target by now.
  using CatchUp = std::function<void()>;

  /// Lifetime: `sides` and `log` outlive it.
  Claims(const ConflictOptions& sides, LinkNames names, OpenSource open_source, const ConflictLog& log)
      : sides_(sides), names_(std::move(names)), open_source_(std::move(open_source)), log_(log) {}

  /// The server refused `refused`, of what was planned in `epochs`, for a unique value; it was rolled back. `target`: a
  /// session there without an origin. True: plan again. False: the operator has to decide, because the policy says so,
  /// or the sides do not disagree, or a row could not be deleted.
  /// Errors: PgError.
  [[nodiscard]] bool settle(PgConnection& target, const RefusedChange& refused, std::span<const Epoch> epochs,
                            const CatchUp& catch_up);

 private:
  struct Claiming;
  struct Met;
  enum class Outcome : std::uint8_t { kNothing, kAgain, kStops };

  [[nodiscard]] static std::vector<Claiming> claiming(const RefusedChange& refused, std::span<const Epoch> epochs);
  [[nodiscard]] std::vector<Met> decide(const Claiming& claiming, std::span<const HoldingRow> held) const;
  [[nodiscard]] Outcome settle_row(PgConnection& target, const Claiming& claiming, std::span<const Epoch> epochs,
                                   const CatchUp& catch_up);
  [[nodiscard]] static bool still_hold(PgConnection& target, const Claiming& claiming, std::span<const HoldingRow> held,
                                       bool in_any_version);
  [[nodiscard]] bool delete_there(PgConnection& target, const Claiming& claiming, std::span<const Met> met) const;
  [[nodiscard]] Outcome lose(const Claiming& claiming, const Met& met, bool several);
  [[nodiscard]] Outcome tell_kept(const Claiming& claiming, const PgConnection& side) const;
  [[nodiscard]] ConflictRecord record(const Claiming& claiming, const Met& met, bool several) const;
  [[nodiscard]] Lsn mark_source();
  PgConnection& source();
  void tell(const Claiming& claiming, std::size_t rows, const char* stays) const;

  const ConflictOptions& sides_;
  LinkNames names_;
  OpenSource open_source_;
  const ConflictLog& log_;
  std::optional<PgConnection> source_;
  std::string tried_;  // what was refused and met nobody, ...
  int tries_ = 0;      // ... and how often in a row
};

}  // namespace teal
