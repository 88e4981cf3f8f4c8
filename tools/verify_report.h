#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "tools/verify_findings.h"
#include "verifier/verifier.h"

namespace teal {

/// A server as the report names it: never its password.
struct VerifiedSide {
  std::string address;  ///< host:port/database
  std::string version;
};

/// The comparison itself, for reports.
struct VerifyRun {
  std::string name;  ///< of the migration
  VerifiedSide blue;
  VerifiedSide green;
  std::string started;
  double seconds = 0;
  bool links_ran = false;               ///< what was on its way was waited for
  bool hashed_here = false;             ///< rows were hashed by teal
  std::vector<std::string> notes = {};  ///< what a reader has to know of it
};

/// Of all tables: differs when one does, else unchecked when one is.
[[nodiscard]] TableVerdict overall(std::span<const TableResult> results);

/// "equal", "differs", "not fully checked".
[[nodiscard]] const char* word(TableVerdict verdict);

[[nodiscard]] const char* word(DifferenceKind kind);

/// "(id)=(5)". Without a key a row is known by all of its values, which belong in no report.
[[nodiscard]] std::string key_text(const ComparedTable& table, const Difference& difference);

/// "missing on green: (id)=(5)".
[[nodiscard]] std::string difference_text(const ComparedTable& table, const Difference& difference);

/// The key by columns; empty without one.
[[nodiscard]] nlohmann::ordered_json difference_key(const ComparedTable& table, const Difference& difference);

/// Why a table was not fully checked, in words.
[[nodiscard]] std::vector<std::string> doubts(const TableResult& result);

/// For people, with line ends: a line for each table, and below it what differs and what could not be checked, then
/// what was found besides rows, then the verdict. Keys are shown, other values are not.
[[nodiscard]] std::string verify_text(const VerifyRun& run, std::span<const TableResult> results,
                                      const BeyondRows& beyond);

/// The same for machines.
[[nodiscard]] nlohmann::ordered_json verify_json(const VerifyRun& run, std::span<const TableResult> results,
                                                 const BeyondRows& beyond);

}  // namespace teal
