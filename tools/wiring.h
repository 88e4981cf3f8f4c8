#pragma once
#include <memory>

#include "applier/changed_keys.h"
#include "applier/initial_copy.h"
#include "applier/table_join.h"
#include "engine/config.h"
#include "engine/link.h"
#include "engine/names.h"
#include "tools/two_sides.h"

namespace teal {

/// The composition root: the only place that knows which side is a link's source, and that joins receiver and applier.

/// The link that `names` says, not yet started. `sides`: what it shares with the one in the other direction; null:
/// nobody but the link writes to its target. `changed`: learns which rows the link has changed; null: nobody asks.
/// Lifetime: all outlive it.
[[nodiscard]] std::unique_ptr<Link> make_link(const Config& config, const LinkNames& names, TwoSides* sides = nullptr,
                                              ChangedKeys* changed = nullptr);

/// Whether every type that the link publishes may travel in binary form. Errors: PgError.
[[nodiscard]] bool values_can_be_binary(const Config& config, const LinkNames& names);

/// What a copy along the link needs.
[[nodiscard]] InitialCopyOptions make_copy_options(const Config& config, const LinkNames& names);

/// What a table needs that joins the link while it streams.
[[nodiscard]] JoinOptions make_join_options(const Config& config, const LinkNames& names);

}  // namespace teal
