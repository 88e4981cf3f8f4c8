#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>

#include "tools/cutover_journal.h"

namespace teal {

struct LinkStatus;

/// A line of status, with its end: where applications write, and whether they can go back; "" before the first cutover.
[[nodiscard]] std::string cutover_text(const CutoverHistory& history, std::span<const LinkStatus> links);

/// The same for machines; null before the first one.
[[nodiscard]] nlohmann::ordered_json cutover_json(const CutoverHistory& history);

/// How long writes waited in the last one; nullopt: there was none, or none was held back. Units: seconds.
[[nodiscard]] std::optional<double> last_pause_seconds(const CutoverHistory& history);

}  // namespace teal
