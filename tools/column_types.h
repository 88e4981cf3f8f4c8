#pragma once
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "decoder/ids.h"
#include "decoder/relation.h"
#include "engine/pg_connection.h"

namespace teal {

/// Names of types as the source's SQL writes them ("numeric(10,2)", "public.mood"): the stream has numbers only.
/// Asks the server once per shape of a table. Threads: one. Errors: PgError.
class ColumnTypes {
 public:
  /// `source`: an ordinary session in the database whose changes are read.
  explicit ColumnTypes(PgConnection source) : source_(std::move(source)) {}

  /// One name per column; "???" for a type that was dropped in the meantime.
  /// Lifetime: until the next call for the same table.
  [[nodiscard]] std::span<const std::string> of(const Relation& relation);

 private:
  struct Known {
    std::vector<Column> columns;
    std::vector<std::string> types;
  };

  PgConnection source_;
  std::map<RelationId, Known> known_;
};

}  // namespace teal
