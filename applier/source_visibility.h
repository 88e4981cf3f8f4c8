#pragma once
#include <span>
#include <string>

#include "decoder/ids.h"
#include "engine/pg_connection.h"

namespace teal {

/// Waits until what those transactions of the source have written can be seen there, by the next statement of `source`.
///
/// The stream brings a commit once it is on the source's disk; sessions see it when it has also reached the synchronous
/// standbys, which may take as long as these stand still. What is read there before that is older than the stream, and
/// a row that is not there yet is none that has gone. Errors: PgError; 57P03 when that takes more than two seconds.
/// Source: the order of RecordTransactionCommit, ProcArrayEndTransaction and the release of locks in xact.c.
void wait_until_visible(PgConnection& source, std::span<const Xid> transactions);

}  // namespace teal
