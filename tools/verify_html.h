#pragma once
#include <span>
#include <string>

#include "tools/verify_report.h"

namespace teal {

/// The report as one page for people who were not there: no scripts, nothing from elsewhere, for screens light and dark
/// and for paper. Well-formed as XML too. Keys are shown, other values are not.
[[nodiscard]] std::string verify_html(const VerifyRun& run, std::span<const TableResult> results,
                                      const BeyondRows& beyond, const std::string& repair = {});

}  // namespace teal
