#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "applier/batch_writer.h"
#include "applier/repair_table.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// A row that is not the same on both sides, by the version that was compared on each: `tableoid ctid xmin`; "": the
/// side does not have it. One with both versions is updated, one with the right side's alone is inserted, one with the
/// wrong side's alone is deleted.
struct RepairRow {
  std::string right;
  std::string wrong;
};

/// How a row that both sides have is written.
enum class RepairWay {
  kInPlace,  ///< updated by its key
  kAnew,     ///< deleted, and inserted again: values under a unique rule can change places, and any column be set
};

struct RepairCounts {
  std::uint64_t inserted = 0;
  std::uint64_t updated = 0;
  std::uint64_t deleted = 0;

  [[nodiscard]] std::uint64_t all() const { return inserted + updated + deleted; }
  RepairCounts& operator+=(const RepairCounts& other);
};

struct RepairAttempt {
  RepairCounts written;
  std::uint64_t left = 0;  ///< rows that are not what was compared any more, or that somebody has locked
};

/// Writes rows of one side as they are on the other one, by the applier's statements.
///
/// A row is written only while both sides have the very versions that were compared: those of the right side are locked
/// until the other side has committed (FOR SHARE; where teal's role may not lock them, they are read again before), and
/// those of the wrong side are locked before they are written. Nothing is waited for that an application has locked:
/// such a row is left. That no version of the wrong side is there cannot be locked: who came first there has the key,
/// and the INSERT is refused.
/// Lifetime: the connections outlive it; `wrong` is a session as open_target_session opens it, whose origin both links
/// know as teal's own. Threads: one, that of the sessions.
/// Errors: RowsRefused, PgError; nothing was written then, and no transaction is open, unless the session is lost.
class RowRepair {
 public:
  RowRepair(PgConnection& right, PgConnection& wrong, const LinkNames& names)
      : right_(right), wrong_(wrong), writer_(wrong, names) {}

  /// All of `rows` in one transaction. Shapes: no version occurs twice.
  [[nodiscard]] RepairAttempt write(const RepairTable& table, std::span<const RepairRow> rows, RepairWay way);

  /// Units: bytes of what is read of each row to write it in this way, as text; 0 for one that is not there (any more).
  [[nodiscard]] std::vector<std::size_t> row_bytes(const RepairTable& table, std::span<const RepairRow> rows,
                                                   RepairWay way);

  /// For each of `rows`, the versions of other rows on the wrong side that have its key, or hold one of its values
  /// under a unique rule. A row whose right version is gone has none.
  [[nodiscard]] std::vector<std::set<std::string>> holders(const RepairTable& table, std::span<const RepairRow> rows);

 private:
  struct Batch;
  [[nodiscard]] Rows read_right(const RepairTable& table, std::span<const RepairRow> rows, bool lock);
  [[nodiscard]] Rows lock_wrong(const RepairTable& table, std::span<const RepairRow> rows, RepairWay way);
  [[nodiscard]] static Batch gather(const RepairTable& table, std::span<const RepairRow> rows, RepairWay way,
                                    const Rows& right, const Rows& wrong);
  void delete_rows(const RepairTable& table, const std::vector<std::string>& versions);
  void end_both();

  PgConnection& right_;
  PgConnection& wrong_;
  BatchWriter writer_;
};

}  // namespace teal
