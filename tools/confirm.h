#pragma once
#include <string>

namespace teal {

/// Asks `question` on the terminal and returns whether the answer was yes.
/// Errors: Stopped(kUsage) with `without_terminal` where nobody can be asked.
[[nodiscard]] bool confirm(const std::string& question, const std::string& without_terminal);

}  // namespace teal
