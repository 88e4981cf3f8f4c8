#pragma once
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "applier/copy_relay.h"
#include "engine/catalog.h"
#include "engine/config.h"
#include "engine/link.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/publication.h"

namespace teal {

/// Brings tables into a link that streams: those that are pending in teal.table_state, and those that an administrator
/// has put into the publication since. One after the other, without stopping the link. A table that cannot join is
/// noted with the reason (log, `status`) and tried again; the others do not wait for it.
/// Threads: one of its own; public calls from any.
class TableJoiner {
 public:
  /// `link` outlives it.
  TableJoiner(const Config& config, LinkNames names, Link& link);
  /// Ends what it does; a table that is under way stays pending.
  ~TableJoiner();
  TableJoiner(const TableJoiner&) = delete;
  TableJoiner& operator=(const TableJoiner&) = delete;

  /// At the last look nothing was pending.
  [[nodiscard]] bool all_joined() const;
  /// Why a table cannot join; "": none is hindered.
  [[nodiscard]] std::string problem() const;

 private:
  using Clock = std::chrono::steady_clock;

  struct Attempt {
    Clock::time_point next;
    std::string problem;
  };

  void run(const std::stop_token& stop);
  Clock::duration look(const std::stop_token& stop);
  void connect(const std::stop_token& stop);
  std::map<TableName, PublishedTable> find_pending();
  void note_found(const PublishedTable& table);
  void note_left(const TableName& table);
  void try_to_join(const PublishedTable& table, const std::vector<SourceTable>& selected, const std::stop_token& stop);
  void check_others(const SourceTable& table);
  void join(const SourceTable& found, const PublishedTable& published, const std::stop_token& stop);
  void wait_longer(const TableName& table);
  void renew_session(Lsn snapshot, const std::stop_token& stop);
  void note_problem(const TableName& table, const std::string& problem);

  const Config& config_;
  LinkNames names_;
  Link& link_;
  CopyCounters counters_;
  std::optional<PgConnection> source_;
  std::optional<PgConnection> target_;
  std::map<TableName, Attempt> failed_;

  mutable std::mutex mutex_;
  bool all_joined_ = false;  // guarded by mutex_
  std::string problem_;      // guarded by mutex_
  std::jthread thread_;      // last: it uses all of the above
};

}  // namespace teal
