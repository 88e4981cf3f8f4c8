#include "tools/version_rules.h"

#include <array>

namespace teal {
namespace {

constexpr std::array kRules{
    VersionRule{"char", 16, true, "values above 127 arrive there as a backslash, without an error", ""},
    VersionRule{"interval", 17, false, "'infinity' does not exist there and stops the link", "isfinite(%1)"},
    VersionRule{"numeric", 14, false, "'Infinity' does not exist there and stops the link",
                "%1 NOT IN ('Infinity', '-Infinity')"},
};

struct FirstFixed {
  int major;
  int minor;
};

constexpr std::array kDecodingFixed{FirstFixed{14, 18}, FirstFixed{15, 13}, FirstFixed{16, 9}, FirstFixed{17, 5}};

}  // namespace

std::vector<VersionRule> version_rules(int source_major, int target_major) {
  std::vector<VersionRule> rules;
  for (const VersionRule& rule : kRules) {
    if (source_major >= rule.since_major && target_major < rule.since_major) rules.push_back(rule);
  }
  return rules;
}

bool scale_needs_15(int type_modifier) {
  if (type_modifier < 0) return false;
  constexpr int kHeader = 4;
  const int packed = type_modifier - kHeader;
  const int precision = (packed >> 16) & 0xFFFF;
  const int scale = ((packed & 0x7FF) ^ 1024) - 1024;  // signed, in eleven bits
  return scale < 0 || scale > precision;
}

std::string decoding_flaw(int server_version) {
  const int major = server_version / 10000;
  const int minor = server_version % 10000;
  const std::string flaw =
      "may lose changes of transactions that are open on a table while it is published or altered: ";
  if (major < kDecodingFixed.front().major) {
    return flaw + "no minor version of " + std::to_string(major) +
           " is known to mend that, so let such transactions end before";
  }
  for (const FirstFixed& fixed : kDecodingFixed) {
    if (major != fixed.major || minor >= fixed.minor) continue;
    return flaw + "upgrade it to " + std::to_string(fixed.major) + "." + std::to_string(fixed.minor) +
           " or newer, or let such transactions end before";
  }
  return "";
}

}  // namespace teal
