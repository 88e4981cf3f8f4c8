#pragma once
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "applier/statement_builder.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// Prepared statements of one session, by table and shape.
/// Units: at most `kStatementsMax` at a time; beyond that all are dropped and made again when needed.
/// Threads: one, that of the session.
class StatementCache {
 public:
  static constexpr std::size_t kStatementsMax = 1000;

  /// The statement for `group`, prepared within `pipeline` when it is new.
  /// A failed pipeline leaves unknown which of its statements were prepared: call `forget_all` then.
  const std::string& use(PgPipeline& pipeline, const TargetTable& table, const StatementShape& shape);

  /// Drops every statement. The connection must be outside a pipeline and not in a failed transaction.
  void forget_all(PgConnection& connection);

  [[nodiscard]] bool full() const { return count_ >= kStatementsMax; }

 private:
  struct Entry {
    StatementShape shape;
    std::string name;
  };

  std::unordered_map<std::uint64_t, std::vector<Entry>> entries_;  // by TargetTable::id
  std::size_t count_ = 0;
  std::size_t next_id_ = 0;
};

}  // namespace teal
