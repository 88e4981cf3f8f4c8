#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/pg_connection.h"

namespace teal {

/// The data of a `COPY ... FROM STDIN` that this process has at hand.
/// Lifetime: the connection outlives it, and takes no other statement until `end`; one that is left before that is good
/// for nothing but being closed. Threads: one. Errors: PgError, for `write` only when the connection breaks: what the
/// server refuses, and that it was told to stop (57014), is said by `end`. Source: PostgreSQL manual, "Functions
/// Associated with the COPY Command".
class CopyIn {
 public:
  /// `operation` says in words what is tried; it opens the errors' texts.
  CopyIn(PgConnection& connection, std::string operation, const std::string& sql);

  /// Returns once everything was handed to the system: libpq's buffer does not grow.
  void write(std::string_view bytes);

  /// The number of rows that the server took.
  [[nodiscard]] std::uint64_t end();

 private:
  void flush();

  PgConnection& connection_;
  std::string operation_;
};

}  // namespace teal
