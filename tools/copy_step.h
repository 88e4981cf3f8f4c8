#pragma once
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "applier/index_plan.h"
#include "applier/initial_copy.h"
#include "engine/catalog.h"
#include "engine/config.h"
#include "engine/names.h"
#include "engine/publication.h"

namespace teal {

/// The part of `run` before the stream: green gets its tables, if it has none, and the rows of every table that is
/// still `pending`. Safe to repeat: what is finished stays. Errors: Stopped with what to do; PgError when a server
/// stays away.
class CopyStep {
 public:
  CopyStep(const Config& config, LinkNames names, bool quiet, std::stop_token stop);

  /// `no_copy`: the target holds the source's rows already; pending tables are marked as copied.
  void run(bool no_copy);

 private:
  [[nodiscard]] PgConnection connect(bool blue) const;
  void look_at_source();
  void copy_with_retries(const std::vector<CopyTable>& pending, CopyCounters& counters);
  [[nodiscard]] std::vector<CopyTable> pending_tables();
  void through_interruptions(void (CopyStep::*restore)());
  [[nodiscard]] std::size_t count_missing_tables();
  void restore_tables_if_missing();
  void restore_keys_if_missing();
  void mark_copied();
  [[nodiscard]] bool keys_missing();
  [[nodiscard]] PostDataOptions plan_keys() const;
  void check_partitions();
  [[nodiscard]] std::vector<std::string> tables_of_others();
  void start_over_for_foreign_keys();
  [[nodiscard]] std::vector<CopyTable> look_again();

  const Config& config_;
  LinkNames names_;
  bool quiet_;
  std::stop_token stop_;
  int source_major_ = 0;
  std::vector<SourceTable> tables_;
  std::map<TableName, PublishedTable> entries_;  ///< as they stand in the publication
};

}  // namespace teal
