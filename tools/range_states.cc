#include "tools/range_states.h"

#include <string_view>

namespace teal {
namespace {

char worse(char one, char other) {
  constexpr std::string_view kByBadness = "=?!";
  return kByBadness.find(one) < kByBadness.find(other) ? other : one;
}

}  // namespace

void RangeStates::add(RangeState state) {
  counts_.add(state);
  if (text_.empty() || in_last_ == each_) {
    if (text_.size() == kCharactersMost) {
      for (std::size_t i = 0; i < kCharactersMost / 2; ++i) text_[i] = worse(text_[2 * i], text_[2 * i + 1]);
      text_.resize(kCharactersMost / 2);
      each_ *= 2;
    }
    text_ += static_cast<char>(state);
    in_last_ = 1;
    return;
  }
  text_.back() = worse(text_.back(), static_cast<char>(state));
  ++in_last_;
}

}  // namespace teal
