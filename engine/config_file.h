#pragma once
#include <string>
#include <vector>

#include "engine/config.h"

namespace teal {

/// Reads YAML `text` over the defaults in `config`; `file` is what messages call it.
/// Every mistake becomes one line of `problems` ("teal.yml:7: tables.inclde: unknown key; did you mean include?");
/// values that were right are set all the same.
void read_config_file(const std::string& file, const std::string& text, const Environment& environment, Config& config,
                      std::vector<std::string>& problems);

}  // namespace teal
