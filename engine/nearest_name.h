#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace teal {

/// Single-character insertions, deletions and substitutions that turn `a` into `b`.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// What somebody may have meant by `name`: at most `count_max` of `candidates`, nearest first, none that is far off.
[[nodiscard]] std::vector<std::string> nearest_names(std::string_view name, std::span<const std::string> candidates,
                                                     std::size_t count_max);

/// "; did you mean a, b or c?", or "" when `names` is empty.
[[nodiscard]] std::string did_you_mean(std::span<const std::string> names);

}  // namespace teal
