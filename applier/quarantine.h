#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decoder/lsn.h"
#include "decoder/transaction.h"
#include "engine/names.h"
#include "engine/pg_connection.h"

namespace teal {

/// What the target refused, as exactly as it could be narrowed down. It holds a key, and no other value of a row but
/// what the server's message says.
struct RefusedChange {
  std::string table = {};      ///< schema.table on the target; "": not known
  std::string operation = {};  ///< INSERT, UPDATE, DELETE or TRUNCATE; "transaction": a rule that is checked at its end
  std::string key = {};        ///< `("id")=(42)`; "": the table has none, or it is not one row
  Lsn lsn = {};
  std::uint64_t position = 0;  ///< of the change in its transaction, from 1; 0: all of the transaction
  std::string sqlstate = {};   ///< "": a statement touched another number of rows
  std::string message = {};
};

inline constexpr std::string_view kWholeTransaction = "the target transaction";

/// `UPDATE on public.t key ("id")=(42) at LSN 0/1: touched 0 rows instead of 1 (update_missing)`.
[[nodiscard]] std::string to_string(const RefusedChange& change);

/// Changes of one source transaction that are passed over by the operator's word.
struct SkippedChanges {
  struct Skip {
    std::int64_t id = 0;  ///< of its row in teal.quarantine
    Lsn lsn;
  };
  std::map<std::uint64_t, Skip> by_position;  ///< position 0 stands for all changes

  /// The row in teal.quarantine by which the change is passed over, 0 when it is not.
  /// Errors: Stopped(kRefused) when another change than the one that was seen then is at this position.
  [[nodiscard]] std::int64_t id_of(Lsn lsn, std::uint64_t position) const;
};

/// A statement that enters what became of open rows, and how many rows it has to touch. No rows: there is no statement.
struct Settlement {
  std::string sql;
  std::uint64_t rows = 0;
};

/// The changes at which a link stopped: teal.quarantine on its target.
///
/// A change is known by its transaction's commit LSN and its position in the transaction: both are the same whenever
/// the source sends it. A row is `stopped`, or what the operator made of it (`retry`, `skip`), until the transaction
/// has passed: then `skipped` or `resolved`, written with the progress that passed it. Lifetime: `connection` outlives
/// it. Threads: one, that of the session. Errors: PgError.
class Quarantine {
 public:
  Quarantine(PgConnection& connection, LinkNames names) : connection_(connection), names_(std::move(names)) {}

  /// Reads the link's open rows: once, before anything else. What the operator says later counts from the next session
  /// on.
  void read();

  /// The link has stopped in a transaction before: it is applied by itself, change by change.
  [[nodiscard]] bool concerns(Lsn commit_lsn) const { return open_.contains(commit_lsn); }
  /// Null when nothing of the transaction is to be passed over. Lifetime: until `passed`.
  [[nodiscard]] const SkippedChanges* skips(Lsn commit_lsn) const;

  /// The statement that enters, in the target transaction that moves progress to `applied`, what became of the open
  /// rows below: `skipped` are the ids of those whose change was passed over, the others went through.
  [[nodiscard]] Settlement settlement(Lsn applied, std::span<const std::int64_t> skipped) const;
  /// That transaction was committed.
  void passed(Lsn applied, std::span<const std::int64_t> skipped);

  /// Notes a stop in a transaction of its own, which is flushed, and returns the row's id. The same stop again is the
  /// same row. To be called outside of a transaction, with the origin's position reset.
  std::int64_t record(const TransactionFacts& facts, const RefusedChange& change);

 private:
  struct Open {
    std::vector<std::int64_t> ids;
    SkippedChanges skips;
  };

  PgConnection& connection_;
  LinkNames names_;
  std::map<Lsn, Open> open_;  // by commit LSN
};

}  // namespace teal
