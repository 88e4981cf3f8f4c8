#pragma once
#include <memory>

#include "applier/initial_copy.h"
#include "applier/table_join.h"
#include "engine/config.h"
#include "engine/link.h"
#include "engine/names.h"

namespace teal {

/// The composition root: the only place that knows which side is a link's source, and that joins receiver and applier.

/// The link that `names` says, not yet started.
[[nodiscard]] std::unique_ptr<Link> make_link(const Config& config, const LinkNames& names);

/// What a copy along the link needs.
[[nodiscard]] InitialCopyOptions make_copy_options(const Config& config, const LinkNames& names);

/// What a table needs that joins the link while it streams.
[[nodiscard]] JoinOptions make_join_options(const Config& config, const LinkNames& names);

}  // namespace teal
