#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "verifier/finding.h"
#include "verifier/verifier.h"

namespace teal {

/// What was found besides rows. `looked` is false where only rows were asked for.
struct BeyondRows {
  bool looked = false;
  std::vector<VerifyFinding> findings = {};
};

[[nodiscard]] const char* word(FindingArea area);
[[nodiscard]] const char* word(FindingWeight weight);

/// Of rows and findings: what is wrong makes a difference, what was not looked at a doubt.
[[nodiscard]] TableVerdict overall(TableVerdict rows, const BeyondRows& beyond);

/// For people, with line ends: the heaviest first; "" when nothing was found.
[[nodiscard]] std::string findings_text(const BeyondRows& beyond);
/// For machines: an array.
[[nodiscard]] nlohmann::ordered_json findings_json(const BeyondRows& beyond);

/// The heaviest first, else as they are.
[[nodiscard]] std::vector<VerifyFinding> by_weight(std::span<const VerifyFinding> findings);

}  // namespace teal
