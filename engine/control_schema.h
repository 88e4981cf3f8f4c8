#pragma once
#include <string_view>

#include "engine/pg_connection.h"

namespace teal {

/// Version of the tables below; raised with every change to them.
inline constexpr int kControlSchemaVersion = 7;

/// The DDL of schema `teal`, as one script that may be run again.
/// progress       one row per migration, link and lane, on the link's TARGET: the truth about what was applied
/// table_state    copy state and watermark of each table, on the link's TARGET; publication_entry is the table's entry
/// in
///                the source's publication as of the copy (pg_publication_rel.oid)
/// link_target    which target a link's slot serves, on the link's SOURCE: another one must not take the slot over
/// quarantine     changes at which a link stopped, and what the operator said about them, on the link's TARGET
/// conflict_log   changes that met another version of their row, and which one stayed, on the link's TARGET; the oldest
///                are deleted
/// conflict_stats how many there were, also of those that are deleted, on the link's TARGET
/// fetched_key    keys whose rows were read from the source after a change of them had won, and not sent whole, on the
///                link's TARGET: kept until the link has come to the moment of the reading
/// sequence_state what a sequence was before it was interleaved, on the side that has the sequence; deleted when it is
///                put back
/// verify_state   what each table's last comparison came to, on green
/// verify_progress how far the comparison by `run` is, and its counters, on green
/// cutover_journal what became of each cutover, on both sides; the one of the side that is left decides
/// marker         local control rows, published on the side where they are inserted
/// marker_applied acknowledgements, on the side where the marker arrived
[[nodiscard]] std::string_view control_schema_sql();

/// Creates or completes schema `teal` in one transaction.
/// Errors: PgError (42501 when the role may not); Stopped when a newer teal made the schema.
void install_control_schema(PgConnection& connection);

}  // namespace teal
