#include <unistd.h>

#include <iostream>

#include "engine/pause.h"
#include "engine/pg_error.h"
#include "tools/commands.h"
#include "tools/signals.h"
#include "tools/status_report.h"

namespace teal {
namespace {

constexpr std::chrono::seconds kRefresh{2};

int print_status(const Config& config, bool json, PgConnection& blue, PgConnection& green) {
  const std::vector<LinkStatus> links = read_links(config, blue, green);
  if (links.empty()) {
    if (json) {
      std::cout << nlohmann::ordered_json{{"name", config.name}, {"links", nlohmann::json::array()}}.dump()
                << std::endl;
    } else {
      std::cout << "nothing is set up for \"" << config.name << "\"; begin with teal check, then teal run" << std::endl;
    }
    return static_cast<int>(StopCode::kRefused);
  }
  const ClockSkew skew = measure_clock_skew(blue, green);
  if (json) {
    std::cout << status_json(config.name, links, skew).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              << std::endl;
  } else {
    std::cout << status_text(config.name, links, skew) << std::flush;
  }
  return 0;
}

}  // namespace

int status_command(const Config& config, const OutputOptions& output, const StatusOptions& options) {
  const auto connect = [&](bool blue) { return PgConnection::connect(connect_options(config, blue, "status")); };
  if (!options.watch) {
    PgConnection blue = connect(true);
    PgConnection green = connect(false);
    return print_status(config, output.json, blue, green);
  }
  const SignalStop signals;
  const bool clear = !output.json && isatty(STDOUT_FILENO) != 0;
  std::optional<PgConnection> blue;
  std::optional<PgConnection> green;
  do {
    if (clear) std::cout << "\033[H\033[2J";
    try {
      if (!blue) blue.emplace(connect(true));
      if (!green) green.emplace(connect(false));
      print_status(config, output.json, *blue, *green);
    } catch (const PgError& error) {
      // A server that restarts is what one watches for.
      std::cerr << "teal: " << error.what() << "\n";
      blue.reset();
      green.reset();
    }
  } while (pause_for(kRefresh, signals.token()));
  return 0;
}

}  // namespace teal
