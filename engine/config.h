#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conflict/policy.h"
#include "engine/log.h"
#include "engine/table_pattern.h"

namespace teal {

/// Which links run: blue to green alone, or also the one back.
enum class Direction { kForward, kBoth };

/// On how many sides applications write at a time.
enum class Writers { kOne, kBoth };

struct CopyConfig {
  int jobs = 2;        ///< tables that are copied at the same time, each with two sessions
  bool schema = true;  ///< create green's tables from blue's; false: they are there
  /// Tables above so many bytes are copied in pieces, by several jobs at a time; 0: none is.
  std::size_t split_larger_than = std::size_t{1} << 30;
  std::size_t max_rate = 0;  ///< bytes a second of all jobs together; 0: no limit
};

/// How both sides are compared.
struct VerifyConfig {
  int jobs = 2;                       ///< ranges that are compared at the same time, each with a session on either side
  std::size_t range_rows = 50'000;    ///< that one statement adds up, about
  std::size_t max_diff_rows = 1'000;  ///< that are named, of each table
  /// For how long a result says something of the rows as they are now.
  std::chrono::milliseconds max_age{std::chrono::hours(1)};
  /// For one statement on either side, about; zero: as long as it takes.
  std::chrono::milliseconds statement_time{std::chrono::seconds(1)};
  /// Of a running link: beyond it nothing is read that would cost it time. Zero: however much it lags.
  std::chrono::milliseconds max_lag{std::chrono::seconds(10)};
  bool continuous = false;   ///< by `run`, as long as its links stream
  std::size_t max_rate = 0;  ///< rows a second that `run` compares; 0: it rests three quarters of the time
};

/// Bounds of one link.
struct ApplyConfig {
  std::size_t batch_rows_max = 20000;
  std::size_t batch_bytes_max = std::size_t{4} << 20;
  std::size_t two_way_batch_rows = 500;  ///< in place of batch_rows_max while applications write to the target
  /// For how long a two-way link waits for a row or table that an application has locked.
  std::chrono::milliseconds lock_timeout{200};
  std::size_t queue_bytes_max = std::size_t{16} << 20;
  std::size_t spill_bytes_max = std::size_t{10} << 30;  ///< 0: the source keeps open transactions
  std::string spill_dir;                                ///< where; never empty once loaded: TMPDIR, else /var/tmp
  /// What is kept in memory of each side's changes for the other link, once this side's own link stands still.
  std::size_t unseen_bytes_max = std::size_t{1} << 30;
};

/// How tables that a pattern matches decide between concurrent versions of a row.
struct TableConflicts {
  TablePattern tables;
  std::optional<ConflictPolicy> policy;  ///< nullopt: the default one
  std::string version_column;            ///< of kVersionColumn, else empty
  std::optional<bool> log_rows;          ///< nullopt: as all
};

/// Of a migration with two links.
struct ConflictConfig {
  ConflictPolicy default_policy = ConflictPolicy::kLastUpdateWins;
  std::vector<TableConflicts> tables;  ///< the first that matches counts
  bool log_rows = true;                ///< both versions' values go to teal.conflict_log
  /// For how long teal.conflict_log keeps its rows.
  std::chrono::milliseconds keep{std::chrono::hours(30 * 24)};

  [[nodiscard]] ConflictPolicy policy_of(const TableName& table) const;
  /// Empty: the table has none.
  [[nodiscard]] std::string version_column_of(const TableName& table) const;
  [[nodiscard]] bool logs_rows_of(const TableName& table) const;

 private:
  [[nodiscard]] const TableConflicts* rule_of(const TableName& table) const;
};

/// Of a migration with two links.
struct SequenceConfig {
  bool interleave = false;  ///< each side draws every other number of the selected tables' sequences
};

/// A PgBouncer that applications come through.
struct PgBouncerConfig {
  std::string admin;     ///< connection string of its console; may hold a password: never printed
  std::string database;  ///< as applications name it
  std::string config;    ///< pgbouncer.ini, on this machine
  std::string blue;      ///< "host=... port=... dbname=...", as the pooler reaches it; "": as teal does
  std::string green;     ///< the same
};

/// Commands of /bin/sh with TEAL_* in their environment; "": nothing is run. Any but 0 is a failure.
struct CutoverHooks {
  std::string before;   ///< before anything is held back
  std::string repoint;  ///< while writes wait, to lead clients that no pooler leads
  std::string after;    ///< when they have been moved
  std::string failed;   ///< when they have not
};

/// How writes are moved.
struct CutoverConfig {
  std::chrono::milliseconds max_lag{1'000};       ///< of both links, before anything is held back
  std::chrono::milliseconds pause_budget{2'000};  ///< for how long writes may wait
  std::chrono::milliseconds timeout{30'000};      ///< for all of it
  int tries = 3;
  std::int64_t sequence_margin = 0;  ///< see SequenceSyncOptions
  bool end_writers = false;          ///< sessions whose transactions do not end within the budget
  bool end_connections = true;       ///< that clients still have with the side that was left
  std::vector<PgBouncerConfig> pgbouncer;
  CutoverHooks hooks;
};

/// What `run` answers by HTTP.
struct HttpConfig {
  std::string listen;  ///< an address of this machine alone, as 127.0.0.1:8080; "": nothing listens
};

struct AlertConfig {
  std::chrono::milliseconds slot_loss_in{std::chrono::hours(1)};  ///< a slot that may be lost sooner is told
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

/// Everything that a command needs to know, checked. The keys are described in docs/reference.md.
struct Config {
  std::string name = "default";  ///< identity of the migration, [a-z][a-z0-9]{0,31}
  std::string blue;              ///< connection string; may hold a password: never printed
  std::string green;             ///< the same for the other side
  Direction direction = Direction::kForward;
  Writers writers = Writers::kOne;
  std::string pg_bindir;  ///< where pg_dump and pg_restore are; empty: PATH
  TableSelection tables;
  CopyConfig copy;
  ApplyConfig apply;
  ConflictConfig conflicts;
  VerifyConfig verify;
  SequenceConfig sequences;
  CutoverConfig cutover;
  AlertConfig alerts;
  HttpConfig http;
  LogConfig log;
};

/// What the command line says; nullopt where it says nothing.
struct ConfigFlags {
  std::optional<std::string> file;
  std::optional<std::string> blue;
  std::optional<std::string> green;
  std::optional<std::string> log_level;
  std::optional<std::string> log_format;
};

/// Looks up an environment variable; nullopt when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;

/// The process' own environment.
[[nodiscard]] std::optional<std::string> process_environment(const std::string& name);

/// Finds, reads and checks the configuration: flag before environment (TEAL_BLUE, TEAL_GREEN, TEAL_CONFIG,
/// TEAL_LOG_LEVEL) before file (`./teal.yml` when none is named and it is there) before default.
/// Errors: Stopped(kUsage) that lists every mistake with file, line and key; never a connection string.
[[nodiscard]] Config load_config(const ConfigFlags& flags, const Environment& environment = process_environment);

}  // namespace teal
