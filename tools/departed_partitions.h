#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/catalog.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/table_pattern.h"
#include "tools/link_facts.h"

namespace teal {

/// Partitions that left their table on the source while the target still has their rows, and maybe the partition.
///
/// What comes into their range on the source afterwards (into a default partition, or into another that was attached in
/// their place) would be routed into the old partition on the target, and leave with it when the operator takes that
/// away. So until the target is rid of such a partition no row may come into its range: a partition that could bring
/// some waits with joining (`departed_in_the_way`), and a row that came through one that is there already stops the
/// link (`settle_departed`), with the way to have that one copied again. Rejected: to write each partition's rows into
/// the target's of the same name. Rows that move between partitions are merged, and layouts may differ.

/// Looks at each `detached` partition of `states`: settled (TableState::takes becomes "") when the target has neither
/// the partition nor a row in its range.
/// Errors: Stopped(kRefused) when a row has come into the range; PgError.
void settle_departed(PgConnection& source, PgConnection& target, const LinkNames& names,
                     const std::map<TableName, TableCopyState>& states);

/// Why `part` cannot join its table yet: a partition in `gone`, or a `detached` one that is not settled, took rows that
/// it may take too. "": nothing. Errors: PgError.
[[nodiscard]] std::string departed_in_the_way(PgConnection& source, const LinkNames& names, const SourceTable& part,
                                              const std::map<TableName, TableCopyState>& states,
                                              const std::vector<TableName>& gone);

}  // namespace teal
