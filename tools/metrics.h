#pragma once
#include <cstddef>
#include <string>

#include "tools/status_report.h"

namespace teal {

/// Tables of a link that have a label of their own; what the others are is counted under the label `(others)`, because
/// whoever may create tables must not be able to create time series without end.
inline constexpr std::size_t kLabelledTablesMost = 500;

/// What a migration's status says, in Prometheus' text format, with line ends. The names are described in
/// docs/metrics.md. Pure. Source: Prometheus documentation, "Exposition formats".
[[nodiscard]] std::string metrics_text(const MigrationStatus& status);

}  // namespace teal
