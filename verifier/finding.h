#pragma once
#include <string>
#include <vector>

namespace teal {

/// What verify looks at besides rows.
enum class FindingArea { kSchema, kDuplicates, kOrphans, kSequences, kCollations };

/// What follows from a finding. Source: docs/verify.md, "Besides rows".
enum class FindingWeight {
  kNote,       ///< worth knowing; nothing goes wrong by it alone
  kMatters,    ///< the sides will not behave alike, or not yet, or something is to be mended; the rows are as they are
  kWrong,      ///< rows break a rule that the side has, or its next inserts will: the sides count as different
  kUnchecked,  ///< it could not be looked at
};

/// Something that is not as it should be, besides rows that differ.
struct VerifyFinding {
  FindingArea area = FindingArea::kSchema;
  FindingWeight weight = FindingWeight::kNote;
  std::string table;                   ///< schema.table; "": of none
  std::string side;                    ///< where it is: blue or green; "": between the two
  std::string text = {};               ///< what it is and what to do, in words
  std::vector<std::string> keys = {};  ///< of rows that show it, "(id)=(5)"; not all of them
  bool more_keys = false;              ///< there are more
};

}  // namespace teal
