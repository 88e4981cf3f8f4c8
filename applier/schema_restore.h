#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "applier/index_plan.h"

namespace teal {

struct SchemaRestoreOptions {
  std::string source_conninfo;
  std::string target_conninfo;
  std::string bindir;                             ///< where pg_dump and pg_restore are; empty: PATH
  std::vector<std::string> excluded_tables = {};  ///< quoted for SQL, `"schema"."name"`; with all that is theirs
};

/// A dump of the source's schema (custom format), in a file that only we can read, for as long as the object lives.
/// Ownership and grants are not taken over: roles are the administrator's. Schema teal, publications and subscriptions
/// are left out.
/// Errors: Stopped(kRefused) with what pg_dump or pg_restore said; PgError when they lost their connection: whether a
/// section that was being restored is there has to be looked at then. Passwords travel in the environment, never in
/// argv.
class SchemaDump {
 public:
  SchemaDump(SchemaRestoreOptions options, std::stop_token stop);
  ~SchemaDump();
  SchemaDump(const SchemaDump&) = delete;
  SchemaDump& operator=(const SchemaDump&) = delete;

  /// Types, functions, tables: what has to be there before rows. All of it or nothing.
  void restore_pre_data();
  /// Keys, indexes, foreign keys, triggers: what is cheaper after the rows. First, `jobs` at a time, what
  /// `options.apart` lets be made apart, each unit of it whole or not at all; then the rest, all of it or nothing.
  /// Indexes that are there already are left out, so it may be repeated after whatever ended it.
  void restore_post_data(const PostDataOptions& options);

 private:
  [[nodiscard]] std::string list_contents();
  void restore_listed(const std::string& section, const std::vector<DumpEntry>& entries, const std::string& name,
                      const std::stop_token& stop);

  SchemaRestoreOptions options_;
  std::stop_token stop_;
  std::string directory_;
};

}  // namespace teal
