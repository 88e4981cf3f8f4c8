#include <iostream>

#include "tools/commands.h"
#include "tools/provision.h"
#include "tools/signals.h"

namespace teal {

int init_command(const Config& config, const OutputOptions& output) {
  const SignalStop signals;
  provision(config, signals.token());
  if (output.json) {
    std::cout << "{\"initialized\": true}\n";
  } else {
    std::cout << "\"" << config.name << "\" is set up on both sides; next: teal run\n";
  }
  return 0;
}

}  // namespace teal
