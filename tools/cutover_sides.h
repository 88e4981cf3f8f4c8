#pragma once
#include <chrono>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "tools/fence.h"
#include "tools/pooler.h"

namespace teal {

/// What is to be moved, and how: the same for all tries, and for who ends what another process began.
struct CutoverPlan {
  const Config& config;
  CutoverConfig limits;  ///< the configuration's, with what the command line says
  std::string to;        ///< blue or green
  bool fence = true;     ///< the side that is left is fenced
  bool way_back = true;  ///< a link leads back
  std::vector<TableName> blue_tables = {};
  std::vector<TableName> green_tables = {};
  std::set<TableName> draw_from_sequences = {};  ///< blue's names, partitions too

  [[nodiscard]] std::string from() const { return to == "green" ? "blue" : "green"; }
  [[nodiscard]] LinkNames forward() const;  ///< from the side that is left
};

/// Sessions on both sides for one cutover, which nobody else can have at the same time. They give up on a server that
/// does not answer. Threads: one.
class CutoverSides {
 public:
  /// Errors: PgError; Stopped(kRefused) when another cutover of this migration is at work for longer than `patience`.
  CutoverSides(const CutoverPlan& plan, std::chrono::milliseconds answer_within, std::chrono::milliseconds patience,
               const std::stop_token& stop);
  CutoverSides(const CutoverSides&) = delete;
  CutoverSides& operator=(const CutoverSides&) = delete;
  ~CutoverSides() = default;

  [[nodiscard]] PgConnection& left() { return left_; }
  [[nodiscard]] PgConnection& target() { return target_; }
  [[nodiscard]] PgConnection& blue() { return left_.label() == "blue" ? left_ : target_; }
  [[nodiscard]] PgConnection& green() { return left_.label() == "blue" ? target_ : left_; }
  [[nodiscard]] Fence& left_fence() { return left_fence_; }
  [[nodiscard]] Fence& target_fence() { return target_fence_; }
  [[nodiscard]] bool usable() const { return left_.usable() && target_.usable(); }

 private:
  PgConnection left_;
  PgConnection target_;
  Fence left_fence_;
  Fence target_fence_;
};

/// Where a pooler leads for one side: as its configuration says, else as teal itself is led. Errors: PgError for a
/// connection string that libpq cannot read; Stopped(kUsage) when it names no server.
[[nodiscard]] PoolerTarget pooler_target(const Config& config, const PgBouncerConfig& pooler, bool green);

/// A connection string: teal's own way to a side, at another address. Errors: PgError as connect_params.
[[nodiscard]] std::string conninfo_at(const ConnectOptions& options, const PoolerTarget& target);

[[nodiscard]] std::vector<std::unique_ptr<Pooler>> open_poolers(const CutoverPlan& plan);

}  // namespace teal
