#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/commands.h"
#include "tools/preflight.h"

namespace teal {
namespace {

void print_json(const PreflightReport& report) {
  nlohmann::ordered_json json;
  json["ready"] = report.ready();
  json["findings"] = nlohmann::ordered_json::array();
  for (const Finding& finding : report.findings) {
    json["findings"].push_back({{"side", finding.side}, {"what", finding.what}, {"mend", finding.mend}});
  }
  json["notes"] = report.notes;
  std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace

int check_command(const Config& config, const OutputOptions& output) {
  const PreflightReport report = run_preflight(config, PreflightMode::kWithCopy);
  if (output.json) {
    print_json(report);
    return report.exit_code();
  }
  for (const std::string& note : report.notes) std::cout << "note: " << note << "\n";
  if (report.ready()) {
    std::cout << "ready\n";
  } else {
    std::cout << report.text() << "\nnot ready: " << report.findings.size()
              << (report.findings.size() == 1 ? " thing is" : " things are") << " missing\n";
  }
  return report.exit_code();
}

}  // namespace teal
