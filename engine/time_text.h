#pragma once
#include <string>

#include "decoder/ids.h"

namespace teal {

/// As `timestamptz` in UTC with microseconds, the form that the server reads: `2026-11-20 12:00:00.000123+00`.
[[nodiscard]] std::string to_string(Timestamp time);

/// This machine's clock. Only for display and for what goes back to the source as "client time"; nothing is decided by
/// it.
[[nodiscard]] Timestamp now_timestamp();

}  // namespace teal
