#pragma once
#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "applier/statement_builder.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// Prepared statements of one session, by table and shape.
/// Units: at most `kStatementsMax` at a time, also within a pipeline; the one that was not used for the longest time
/// makes room. Each is some ten KiB in the server's memory, and a table of its own when a transaction touches
/// thousands. Threads: one, that of the session.
class StatementCache {
 public:
  static constexpr std::size_t kStatementsMax = 1000;

  /// The statement for `group`, prepared within `pipeline` when it is new. The name lives until the next call.
  /// A failed pipeline leaves unknown which of its statements were prepared: call `forget_all` then.
  const std::string& use(PgPipeline& pipeline, const TargetTable& table, const StatementShape& shape);

  /// Drops every statement. The connection must be outside a pipeline and not in a failed transaction.
  void forget_all(PgConnection& connection);

 private:
  struct Entry {
    std::uint64_t table = 0;  // TargetTable::id
    StatementShape shape;
    std::string name;
  };

  void make_room(PgPipeline& pipeline);

  std::list<Entry> entries_;                                                             // the latest use first
  std::unordered_map<std::uint64_t, std::vector<std::list<Entry>::iterator>> by_table_;  // no empty ones
  std::size_t next_id_ = 0;
};

}  // namespace teal
