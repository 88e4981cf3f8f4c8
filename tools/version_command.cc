#include <libpq-fe.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/commands.h"

namespace teal {
namespace {

#ifdef NDEBUG
constexpr const char* kBuild = "release";
#else
constexpr const char* kBuild = "debug";
#endif

std::string libpq_version() {
  const int version = PQlibVersion();
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000);
}

}  // namespace

int version_command(const OutputOptions& output) {
  if (output.json) {
    nlohmann::ordered_json json;
    json["version"] = TEAL_VERSION;
    json["build"] = kBuild;
    json["libpq"] = libpq_version();
    json["source_servers"] = "13-18";
    json["target_servers"] = "15-18";
    std::cout << json.dump(2) << "\n";
    return 0;
  }
  std::cout << "teal " << TEAL_VERSION << " (" << kBuild << " build)\n"
            << "libpq " << libpq_version() << "\n"
            << "PostgreSQL 13 to 18 as source, 15 to 18 as target (13 and 14 only as superuser)\n";
  return 0;
}

}  // namespace teal
