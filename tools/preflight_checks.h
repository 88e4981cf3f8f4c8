#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/catalog.h"
#include "engine/pg_connection.h"
#include "tools/link_facts.h"
#include "tools/preflight.h"
#include "tools/selected_types.h"

namespace teal {

/// What the checks share: the question, what is known so far, and the answer that they fill in.
struct Preflight {
  const Config& config;
  PreflightMode mode;
  LinkNames link;
  PreflightReport report{};

  std::optional<SlotFacts> slot{};               ///< the link's slot on blue
  bool resumed = false;                          ///< the link has a progress row: teal was here before
  std::map<TableName, TableCopyState> states{};  ///< copy states of the tables, from green
  std::set<TableName> copied_targets{};  ///< what rows were copied to, of a table or of a partition: of `states`
  std::vector<SourceTable> tables{};     ///< what is selected on blue, as it is published
  std::vector<SourceTable> parts{};      ///< partitions with rows, of these

  void add(std::string side, std::string what, std::string mend, StopCode code = StopCode::kRefused) {
    report.findings.push_back({std::move(side), std::move(what), std::move(mend), code});
  }
  /// Reads the copy states from green.
  void read_states(PgConnection& green);
  /// Some selected table is still to be copied.
  [[nodiscard]] bool copy_ahead() const;
};

/// Version, recovery, wal_level, slots, walsenders, the replication connection.
void check_source_server(Preflight& preflight, PgConnection& source, const ServerFacts& facts);
/// Version, recovery, origins and their functions, session_replication_role.
void check_target_server(Preflight& preflight, PgConnection& target, const ServerFacts& facts);
/// Schema teal exists and is ours, or may be made. `also_publish`: the control publication is made here.
void check_control_schema(Preflight& preflight, PgConnection& connection, const ServerFacts& facts, bool also_publish);
/// Rights, row security and usable identity of the selected tables.
void check_source_tables(Preflight& preflight, const ServerFacts& facts);
/// The user tables' publication: as it has to be, or teal may make it so.
void check_publication(Preflight& preflight, PgConnection& source, const ServerFacts& facts);
/// The same tables on green: there or creatable, columns, rights, key.
void check_target_tables(Preflight& preflight, const SelectedTypes& types, PgConnection& target,
                         const ServerFacts& facts);
/// The partitions of green that a TRUNCATE of one partition goes to: teal's rights on them.
void check_target_parts(Preflight& preflight, PgConnection& target, const ServerFacts& facts);
/// `ADD COLUMN ...`, for a column that green lacks: with the value that older rows have on blue, where that is known;
/// else notes how they get it.
[[nodiscard]] std::string column_to_add(Preflight& preflight, const SourceTable& table, const CatalogColumn& column);
/// Defaults and NOT NULL of columns that both sides have, and rows of green that lack the value with which a column was
/// added on blue. `targets`: in the order of the tables.
void check_defaults(Preflight& preflight, PgConnection& target, const std::vector<TargetRelation>& targets);
/// Who has to run the statements that alter green's tables, when there are such findings.
void note_owners(Preflight& preflight, PgConnection& target, const std::vector<TargetRelation>& targets);
/// No foreign key leads from a table that is copied to one that stays empty, when teal makes the keys.
void check_foreign_keys(Preflight& preflight, PgConnection& source);
/// Green's encoding can hold what blue's holds.
void check_encodings(Preflight& preflight, const SelectedTypes& types, PgConnection& source, PgConnection& target,
                     const ServerFacts& target_facts);
/// The types of the selected columns, and what they are made of, are the same on green. `targets`: in the order of the
/// tables.
void check_types(Preflight& preflight, const SelectedTypes& types, PgConnection& target,
                 const std::vector<TargetRelation>& targets, bool schema_ahead);
/// Extensions that teal's restore of blue's schema would have to make.
void check_extensions(Preflight& preflight, PgConnection& source, PgConnection& target);
/// Both sides mean the same by a money value.
void check_money(Preflight& preflight, const SelectedTypes& types, PgConnection& source, PgConnection& target,
                 const ServerFacts& target_facts);
/// Columns whose values are looked up on green by name.
void check_object_names(Preflight& preflight, const SelectedTypes& types);
/// One finding for each of `users`, with text as the type that neither cuts nor reads otherwise.
void refuse_for_text(Preflight& preflight, const std::vector<TypedColumn>& users, const std::string& why);
/// What an older green does not have, or reads otherwise.
void check_versions(Preflight& preflight, const SelectedTypes& types, int source_major, int target_major);
/// Large objects of blue.
void check_large_objects(Preflight& preflight, const SelectedTypes& types, PgConnection& source);
/// Triggers, rules and foreign keys of green that behave otherwise for what teal writes than for others.
void check_target_sessions(Preflight& preflight, PgConnection& target);
/// Notes when this side's lock table is smaller than one transaction over all selected tables needs.
void note_lock_table(Preflight& preflight, PgConnection& connection);
/// pg_dump and pg_restore, when green's tables are still to be made.
void check_programs(Preflight& preflight, int newest_major, int target_major, bool schema_ahead);

/// Some selected table is missing on green and will be made from blue's.
[[nodiscard]] bool schema_ahead(const Preflight& preflight, const std::vector<TargetRelation>& targets);

}  // namespace teal
