#pragma once
#include <stop_token>
#include <string>

#include "decoder/lsn.h"
#include "engine/pg_connection.h"

namespace teal {

/// Creates the logical slot `name` on `source` and returns its consistent point. The server waits for every transaction
/// that is open at that moment: each two seconds it is logged which ones, asked by `watch`. The publications have to be
/// committed before. Errors: Stopped(kRefused) when `stop` ended the wait; then there is no slot. PgError.
[[nodiscard]] Lsn create_slot(PgConnection& source, const ConnectOptions& watch, const std::string& name,
                              const std::stop_token& stop);

/// Drops a slot under which nothing was ever applied. A backend that a killed teal left waiting in it is ended first.
/// Errors: Stopped(kRefused) when it stays in use; PgError.
void drop_unused_slot(PgConnection& source, const std::string& name);

}  // namespace teal
