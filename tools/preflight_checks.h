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

/// What findings of one link mend for the other one too, or would be undone by what that says: nothing more is said.
struct FoundBefore {
  std::set<std::pair<TableName, std::string>> columns;
  std::set<TableName> types;
  std::set<TableName> keys;  ///< tables whose key was found to be missing, or another one
};

/// What the checks share: the question, what is known so far, and the answer that they fill in.
struct Preflight {
  const Config& config;
  PreflightMode mode;
  LinkNames link;
  PreflightReport report{};

  std::optional<SlotFacts> slot{};               ///< the link's slot on its source
  bool resumed = false;                          ///< the link has a progress row: teal was here before
  std::map<TableName, TableCopyState> states{};  ///< copy states of the tables, from the target
  std::set<TableName>
      copied_targets{};               ///< what rows were copied to, also in part, of a table or partition: of `states`
  std::vector<SourceTable> tables{};  ///< what is selected on the source, as it is published
  std::vector<SourceTable> parts{};   ///< partitions with rows, of these
  FoundBefore found{};

  [[nodiscard]] bool from_blue() const { return link.link == kBlueToGreen; }
  /// The sides that the link has, as findings call them.
  [[nodiscard]] std::string source() const { return from_blue() ? "blue" : "green"; }
  [[nodiscard]] std::string target() const { return from_blue() ? "green" : "blue"; }
  void add(std::string side, std::string what, std::string mend, StopCode code = StopCode::kRefused) {
    report.findings.push_back({std::move(side), std::move(what), std::move(mend), code});
  }
  /// Reads the copy states from the target.
  void read_states(PgConnection& target);
  /// Some selected table is still to be copied.
  [[nodiscard]] bool copy_ahead() const;
};

/// The link's other one, when there are two: what is known of it, from `forward` and from the sides that are there.
/// What it has published, when it was begun already, is looked at. nullptr: that side cannot be reached.
[[nodiscard]] Preflight begin_way_back(const Preflight& forward, PgConnection* blue, PgConnection* green);
/// What the link from green to blue needs of them; goes into the report of `forward`, less what that says already.
void check_way_back(Preflight& forward, Preflight& back, PgConnection* blue, PgConnection* green);
/// The same for a table that is to join links that stream.
void check_joining_back(Preflight& forward, Preflight& back, PgConnection& blue, PgConnection& green);

/// Each selected table has the same key on both sides, when rows go both ways.
void check_keys(Preflight& forward, const Preflight& back, PgConnection& green);
/// Equal keys look alike, on both sides, and version columns can be compared.
void check_row_identities(Preflight& forward, const Preflight& back, const SelectedTypes& blue_types,
                          const SelectedTypes& green_types);
/// What a decision between two versions of a row would like to have: whole rows.
void note_two_way_tables(Preflight& forward, const Preflight& back);
/// Keys that both sides would draw: that they can be interleaved where that is asked for, else a note.
void check_sequences(Preflight& forward, PgConnection& blue, PgConnection& green);
/// Errors: Stopped(kUsage) for patterns of `conflicts.tables` that match no selected table.
void check_conflict_patterns(const Preflight& forward);
/// That nobody needs track_commit_timestamp.
void note_commit_timestamps(Preflight& preflight, PgConnection& connection);

/// Whether something stands before the server that hands teal's sessions on to others, which is a finding (TRAPS B6).
[[nodiscard]] bool is_pooled(Preflight& preflight, PgConnection& connection);
/// A link that was begun can only go on where nothing was lost meanwhile.
void check_begun_link(Preflight& preflight, PgConnection& source);
/// Whether the link was begun with another source than this one.
[[nodiscard]] bool is_other_source(Preflight& preflight, const std::optional<LinkRow>& row, const ServerFacts& source);

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
/// The same tables on the target: there or creatable, columns, rights, key.
void check_target_tables(Preflight& preflight, const SelectedTypes& types, PgConnection& target,
                         const ServerFacts& facts);
/// The partitions of the target that a TRUNCATE of one partition goes to: teal's rights on them.
void check_target_parts(Preflight& preflight, PgConnection& target, const ServerFacts& facts);
/// `ADD COLUMN ...`, for a column that the target lacks: with the value that older rows have on the source, if known;
/// else notes how they get it.
[[nodiscard]] std::string column_to_add(Preflight& preflight, const SourceTable& table, const CatalogColumn& column);
/// Defaults and NOT NULL of columns that both sides have, and rows of green that lack the value with which a column was
/// added on blue. `targets`: in the order of the tables.
void check_defaults(Preflight& preflight, PgConnection& target, const std::vector<TargetRelation>& targets);
/// Who has to run the statements that alter the target's tables, when there are such findings.
void note_owners(Preflight& preflight, PgConnection& target, const std::vector<TargetRelation>& targets);
/// No foreign key leads from a table that is copied to one that stays empty, when teal makes the keys.
void check_foreign_keys(Preflight& preflight, PgConnection& source);
/// The target's encoding can hold what the source's holds; blue's may be too narrow for some of green's characters.
void check_encodings(Preflight& preflight, const SelectedTypes& types, PgConnection& source, PgConnection& target,
                     const ServerFacts& target_facts);
/// The types of the selected columns, and what they are made of, are the same on the target. `targets`: in the order of
/// the tables.
void check_types(Preflight& preflight, const SelectedTypes& types, PgConnection& target,
                 const std::vector<TargetRelation>& targets, bool schema_ahead);
/// Extensions that teal's restore of blue's schema would have to make.
void check_extensions(Preflight& preflight, PgConnection& source, PgConnection& target);
/// Both sides mean the same by a money value.
void check_money(Preflight& preflight, const SelectedTypes& types, PgConnection& source, PgConnection& target,
                 const ServerFacts& target_facts);
/// Columns whose values are looked up on the target by name.
void check_object_names(Preflight& preflight, const SelectedTypes& types);
/// One finding for each of `users`, with text as the type that neither cuts nor reads otherwise.
void refuse_for_text(Preflight& preflight, const std::vector<TypedColumn>& users, const std::string& why);
/// What an older target does not have, or reads otherwise.
void check_versions(Preflight& preflight, const SelectedTypes& types, int source_major, int target_major);
/// Large objects of the source.
void check_large_objects(Preflight& preflight, const SelectedTypes& types, PgConnection& source);
/// Triggers, rules and foreign keys of the target that behave otherwise for what teal writes than for others.
void check_target_sessions(Preflight& preflight, PgConnection& target);
/// Notes when this side's lock table is smaller than one transaction over all selected tables needs.
void note_lock_table(Preflight& preflight, PgConnection& connection);
/// pg_dump and pg_restore, when green's tables are still to be made.
void check_programs(Preflight& preflight, int newest_major, int target_major, bool schema_ahead);

/// Some selected table is missing on green and will be made from blue's.
[[nodiscard]] bool schema_ahead(const Preflight& preflight, const std::vector<TargetRelation>& targets);

}  // namespace teal
