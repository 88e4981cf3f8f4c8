#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "decoder/ids.h"
#include "decoder/lsn.h"
#include "engine/pg_connection.h"
#include "engine/pg_pipeline.h"

namespace teal {

/// Makes the replication origin `name` if it is missing. Errors: PgError.
void ensure_origin(PgConnection& connection, const std::string& name);

/// Ties the session to the origin `name`: from here on its commits carry it, and no other session can have it.
/// That is the fence of a link (invariant I10): read the progress row only after this returned (TRAPS A11).
/// While another backend holds the origin, tries again for `patience`; then ends that backend if it is one of the same
/// migration's (`application_name`), because only a dead teal's leftover can be there: the living one holds the lock.
/// Errors: PgError 55006 when it stays taken.
/// Source: PostgreSQL manual, "Replication Management Functions".
void acquire_origin(PgConnection& connection, const std::string& name, const std::string& application_name,
                    std::chrono::milliseconds patience);

/// Adds `pg_replication_origin_xact_setup` for the open transaction. It has to be the last statement before COMMIT, and
/// in the same message: see docs/design.md, "Exactly once".
void send_xact_setup(PgPipeline& pipeline, Lsn end_lsn, Timestamp commit_time);

/// SQL of the error path, after ROLLBACK: without it a later commit would carry the failed transaction's position
/// (TRAPS A2).
inline constexpr std::string_view kXactResetSql = "SELECT pg_replication_origin_xact_reset()";

}  // namespace teal
