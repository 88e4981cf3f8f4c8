#include <unistd.h>

#include <iostream>

#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/commands.h"
#include "tools/signals.h"
#include "tools/status_report.h"
#include "tools/status_source.h"

namespace teal {
namespace {

constexpr std::chrono::seconds kRefresh{2};

int print_status(const std::optional<MigrationStatus>& status, const std::string& name, bool json) {
  if (json) {
    const nlohmann::ordered_json out = status_json(status ? *status : MigrationStatus{.name = name});
    std::cout << out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  } else if (status) {
    std::cout << status_text(*status) << std::flush;
  } else {
    std::cout << "nothing is set up for \"" << name << "\"; begin with teal check, then teal run" << std::endl;
  }
  return status ? 0 : static_cast<int>(StopCode::kRefused);
}

}  // namespace

int status_command(const Config& config, const OutputOptions& output, const StatusOptions& options) {
  StatusSource source(config, "status");
  if (!options.watch) return print_status(source.read(), config.name, output.json);
  const SignalStop signals;
  const bool clear = !output.json && isatty(STDOUT_FILENO) != 0;
  do {
    if (clear) std::cout << "\033[H\033[2J";
    try {
      print_status(source.read(), config.name, output.json);
    } catch (const PgError& error) {
      // A server that restarts is what one watches for.
      std::cerr << "teal: " << error.what() << "\n";
    }
  } while (pause_for(kRefresh, signals.token()));
  return 0;
}

}  // namespace teal
