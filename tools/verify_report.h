#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "verifier/verifier.h"

namespace teal {

/// Of all tables: differs when one does, else unchecked when one is.
[[nodiscard]] TableVerdict overall(std::span<const TableResult> results);

/// For people, with line ends: a line for each table, and below it what differs and what could not be checked. Keys are
/// shown, other values are not.
[[nodiscard]] std::string verify_text(std::span<const TableResult> results);

/// The same for machines.
[[nodiscard]] nlohmann::ordered_json verify_json(const std::string& name, std::span<const TableResult> results);

}  // namespace teal
