#pragma once
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/table_pattern.h"

namespace teal {

/// A transaction that has written, or may have, and has not ended.
struct OpenWriter {
  std::string transaction;  ///< its virtual transaction id
  int pid = 0;              ///< 0: a prepared one
  std::string gid;          ///< of a prepared one
  std::string user;
  std::string application;
  std::string state;  ///< active, idle in transaction, ...; "prepared"
  double seconds_open = 0;
  std::string query;  ///< the session's last statement; "" where teal's role may not see it
};
/// "session 4711 (user shop, application web, idle in transaction for 12 s)".
[[nodiscard]] std::string to_string(const OpenWriter& writer);

/// Keeps applications from writing to the tables of one side: owners and superusers too, and sessions that are
/// connected already. What teal's links apply passes, and so does whoever has set session_replication_role = replica,
/// or has disabled the triggers. Nothing but rows is fenced: DDL and nextval go on.
///
/// A statement trigger on each table *and partition*, and on what they inherit from, whose function refuses with
/// SQLSTATE 25006. The triggers are made beforehand, with a function that lets everything pass; to close, open and seal
/// the fence is to replace the function, which takes no lock of any table: no statement waits for it, nor does it wait
/// for one, whatever vacuum does. A transaction for which the function was still the old one holds its table's lock by
/// then (a session hears of the new one whenever it takes a lock that it does not have yet), so once those that hold
/// such locks have ended, nothing is written any more. (On 13 before 13.5 and 14 before 14.1 a transaction that is
/// prepared meanwhile is missed.) Source: PostgreSQL's lmgr.c (LockRelationOid), pl_comp.c; tests/scenario/501; TRAPS
/// L1, L2.
///
/// Lifetime: the connection outlives it. Threads: one. Errors of all: PgError, after which no transaction is open.
class Fence {
 public:
  /// `tables` of `side`; their partitions, and what they inherit from, come with them.
  Fence(PgConnection& side, std::string migration, std::vector<TableName> tables);

  /// The SQL that gives teal's role what `install` needs; "": it has it.
  [[nodiscard]] std::string missing_rights();

  /// Makes the triggers that are missing, and the function, open, where there is none. Each table is locked against
  /// writers for a moment; where somebody has it, it is tried again, and whoever waits behind waits `lock_timeout` at
  /// most. Errors: Stopped(kRefused) for a table that is not there, and names the one that somebody has, once
  /// `patience` is over, with those who do.
  void install(std::chrono::milliseconds patience, std::chrono::milliseconds lock_timeout, const std::stop_token& stop);

  /// Errors: Stopped(kRefused) when a table, or a partition that is new, has no trigger.
  void check_complete();

  /// Who has written, or may have, to one of the tables, and has not ended.
  [[nodiscard]] std::vector<OpenWriter> open_writers();

  /// From now on, and for so long by the server's clock: a fence that nobody opens does so by itself.
  void close(std::chrono::milliseconds time);
  /// Waits for those that may have written before it was closed. Returns those that had not ended when the time was
  /// over; empty: nobody can write any more. Errors: Stopped(kRefused) when a table has no trigger by then, because it
  /// is new or somebody has disabled it.
  [[nodiscard]] std::vector<OpenWriter> wait_for_writers(std::chrono::milliseconds time, const std::stop_token& stop);
  /// Ends their sessions, but not those of teal's own. Returns those that it may not end: prepared transactions, and
  /// what takes the right of pg_signal_backend, or of a superuser.
  [[nodiscard]] std::vector<OpenWriter> end_writers(const std::vector<OpenWriter>& writers);
  /// For good, until `open`. Within the open transaction, if there is one; once that has committed, `held` tells
  /// whether there was a moment between.
  void seal();
  /// Whether the time of `close` has not come yet. If it has, whoever wrote since then was let through, until the seal
  /// was there: wait for writers, and look for what they wrote, again.
  [[nodiscard]] bool held();
  void open();

  enum class State { kAbsent, kOpen, kClosed, kSealed };
  /// By the function; one whose time has come is still kClosed.
  [[nodiscard]] State state();

  /// What somebody meets who writes: "" when a statement is let through, else its message. Nothing is written: a DELETE
  /// of no row, of one table, in a transaction that is rolled back. Without the right to DELETE it says that.
  [[nodiscard]] std::string probe();

  /// Removes function and triggers, where nobody has one of the tables for longer than `lock_timeout`, in all; false:
  /// somebody had, and it stays as it is.
  [[nodiscard]] bool remove(std::chrono::milliseconds lock_timeout);

 private:
  struct Members {
    std::vector<TableName> names;
    std::string oids;  ///< {1,2,3}
  };

  [[nodiscard]] std::string function() const;
  [[nodiscard]] std::string trigger() const;
  [[nodiscard]] Members members();
  [[nodiscard]] std::vector<TableName> without_trigger(const Members& members);
  void replace_function(const std::string& body);
  void install_on(const TableName& table, std::chrono::milliseconds lock_timeout);
  void install_patiently(const TableName& table, std::chrono::steady_clock::time_point until,
                         std::chrono::milliseconds lock_timeout, const std::stop_token& stop);
  [[nodiscard]] std::vector<std::string> holders(const Members& members);
  [[nodiscard]] std::vector<OpenWriter> describe(const std::vector<std::string>& transactions);
  void roll_back();

  PgConnection& side_;
  std::string migration_;
  std::vector<TableName> tables_;
  std::string until_;  ///< timestamptz, of the last `close`
};

}  // namespace teal
