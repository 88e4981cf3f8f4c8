#pragma once
#include <stop_token>
#include <string>
#include <vector>

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
  /// Keys, indexes, foreign keys, triggers: what is cheaper after the rows. All of it or nothing.
  void restore_post_data();

 private:
  void restore_section(const std::string& section);
  [[nodiscard]] std::string write_contents();

  SchemaRestoreOptions options_;
  std::stop_token stop_;
  std::string directory_;
};

}  // namespace teal
