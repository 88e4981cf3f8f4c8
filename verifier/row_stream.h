#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pg_connection.h"
#include "engine/pg_handle.h"

namespace teal {

/// The rows of a query whose columns are all text and not NULL, one at a time: however many there are, one is in
/// memory. By COPY in its binary form, where fields are the server's bytes with their length before them.
/// Threads: one; the connection is not to be used otherwise before `next` has returned false.
/// Errors: PgError; Stopped(kBug) for what is no such row. After either the connection is of no use any more.
/// Source: PostgreSQL manual, COPY, "Binary Format".
class RowStream {
 public:
  /// `operation` says in words what is read.
  RowStream(PgConnection& connection, std::string operation, const std::string& query);

  /// Lifetime of the fields: until the next call. Returns false at the end.
  [[nodiscard]] bool next(std::vector<std::string_view>& fields);

 private:
  [[nodiscard]] bool read_message();

  PgConnection& connection_;
  std::string operation_;
  TextHandle message_;
  std::string_view rest_;  // of the message
  bool first_ = true;
};

}  // namespace teal
