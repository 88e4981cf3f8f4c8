#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "applier/claims.h"
#include "applier/column_fit.h"
#include "applier/conflict_filter.h"
#include "applier/conflict_log.h"
#include "applier/fetched_keys.h"
#include "applier/progress_row.h"
#include "applier/quarantine.h"
#include "applier/source_rows.h"
#include "applier/spared_rows.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

struct ConflictGuardOptions {
  ConflictOptions sides;
  LinkNames names;
  /// Opens a session on the target that has no origin. Errors: PgError.
  std::function<PgConnection()> open_target;
  OpenSource open_source;  ///< for rows that were not sent whole
  /// For how long rows may stay locked while the target's stream is waited for: an application may wait for them.
  /// Where applications write faster than the target decodes its log, the stream is never near. Then it is a sixtieth
  /// of the time for which it has been so, if that is longer, up to sixteen times as long.
  std::chrono::milliseconds wait_locked{500};
  LogsRows logs_rows = {};
};

/// Decides a batch of a two-way link, and makes sure of it: write, look, commit.
///
/// Rows that are written are locked. What applications committed before that is below the position at which a message
/// is then put into the target's log; once the link that reads the target has passed it, everything that a decision
/// needs is known. Threads: one. Errors: PgError; those of ConflictFilter.
class ConflictGuard {
 public:
  explicit ConflictGuard(ConflictGuardOptions options);

  /// At the start of a session, before anything else: what earlier ones have left behind. Errors: PgError.
  void read(PgConnection& target) { fetched_.read(target); }

  /// A batch is about to be planned, once or again. `open`: the target transaction has earlier slices of it.
  void begin(bool open);
  /// Decides by what is known by now; see ConflictFilter. False: rows that were not sent whole had to be read from the
  /// source; plan anew, and decide again.
  [[nodiscard]] bool decide(std::span<Epoch> epochs);
  /// Applies the TRUNCATE of an epoch that `spares` rows, in the open transaction of `target`, where the epoch's rows
  /// were written. False: as `confirm`. Nobody else writes to its tables from then on. Errors: PgError; RowsRefused.
  [[nodiscard]] bool truncate(PgConnection& target, const Epoch& epoch);
  /// After the rows were written: whether that was right. False: roll back, `catch_up`, plan and decide again.
  [[nodiscard]] bool confirm(std::span<const Epoch> epochs);
  /// Waits for the target's stream, with nothing locked, and says so when that takes long.
  /// Errors: PgError 57014 when it is time to stop, 08006 when the source's stream has ended meanwhile.
  void catch_up();
  /// Why `confirm` was false.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  /// It was because the stream came too late; nobody was in the way.
  [[nodiscard]] bool was_late() const { return late_; }
  /// After the server refused rows, and `catch_up`: by what is known now they would be decided in another way.
  [[nodiscard]] bool decides_otherwise(std::span<const Epoch> epochs) { return filter_.decides_otherwise(epochs); }

  /// After the server refused a row that claims a unique value of another one, and `catch_up`: see Claims::settle.
  /// With it, what of the same table would be refused next.
  [[nodiscard]] bool settle_claims(const RefusedChange& refused, std::span<const Epoch> epochs);
  /// The same of rows that are not written yet, while no target transaction is open; see Claims::settle_ahead.
  [[nodiscard]] bool settle_claims_ahead(std::span<const Epoch> epochs,
                                         const std::function<bool(const TargetTable&)>& concerns);
  /// See Claims::passed.
  void passed(std::span<const Epoch> epochs) { claims_.passed(epochs); }
  /// Why `settle_claims` was false; "": it was not for claims.
  [[nodiscard]] const std::string& claims_reason() const { return claims_.reason(); }

  [[nodiscard]] const ConflictFilter& decided() const { return filter_; }
  /// Once `confirm` was true: writes the batch's conflicts into the open transaction of `target`, which brings the link
  /// to `applied`. Errors: PgError.
  void log(PgConnection& target, Lsn applied);
  /// The batch is committed with this row of progress: lets go of what no change can meet any more.
  void committed(const ProgressRow& row);
  /// A stream that starts at `next.held` has to bring back every change of the source that is still needed: moves it
  /// back to the oldest, where that was applied already. A stream that has not come to `next.applied` yet, as after a
  /// restart, has not brought all of them back: then it stays where it was, at `now`.
  /// Errors: Stopped(kBug) when the oldest is below that.
  void hold_back(ProgressRow& next, const ProgressRow& now) const;

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] Claims::CatchUp catching_up(std::span<const Epoch> epochs);
  void put_fence();
  [[nodiscard]] bool passes_fence();
  [[nodiscard]] std::chrono::milliseconds wait_locked(Clock::time_point now) const;

  ConflictGuardOptions options_;
  SourceRows source_rows_;
  FetchedKeys fetched_;
  bool open_ = false;  // as `begin` was told
  ConflictFilter filter_;
  ConflictLog log_;
  SparedRows spared_;
  Claims claims_;
  std::optional<PgConnection> session_;
  Lsn fence_;
  bool late_ = false;             // the stream, for the last confirmation
  Clock::time_point late_since_;  // and for all before it
  std::string refusal_;
};

}  // namespace teal
