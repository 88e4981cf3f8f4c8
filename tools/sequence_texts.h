#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "tools/preflight.h"
#include "tools/sequence_facts.h"

namespace teal {

/// Why a pair cannot be interleaved, and its mend. `plan` has a problem.
[[nodiscard]] Finding describe_problem(const SequencePair& pair, const SeriesPlan& plan);

/// One for each side on which the role may not read where the sequence stands.
[[nodiscard]] std::vector<Finding> describe_unreadable(const SequencePair& pair, const std::string& blue_role,
                                                       const std::string& green_role);

/// What one owner has to alter on one side, because teal may not.
class OwnersPart {
 public:
  void add(const SequencePair& pair, bool on_blue);
  [[nodiscard]] Finding finding(const std::string& side, const std::string& owner, const std::string& role) const;

 private:
  std::size_t count_ = 0;
  std::string columns_;
  std::string sql_;
};

}  // namespace teal
