#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace teal {

/// What the comparison of one range came to.
enum class RangeState : char { kEqual = '=', kUnchecked = '?', kDiffers = '!' };

/// How many ranges came to what.
struct RangeCounts {
  std::uint64_t equal = 0;
  std::uint64_t unchecked = 0;  ///< rows in it kept changing, or statements failed
  std::uint64_t differs = 0;

  void add(RangeState state) {
    ++(state == RangeState::kEqual ? equal : state == RangeState::kDiffers ? differs : unchecked);
  }
  RangeCounts& operator+=(const RangeCounts& other) {
    equal += other.equal;
    unchecked += other.unchecked;
    differs += other.differs;
    return *this;
  }
  friend bool operator==(const RangeCounts&, const RangeCounts&) = default;
};

/// The ranges of one table in the order of its key, one character each, for something that draws them. However many
/// there are, it takes at most `kCharactersMost`: each character then stands for several, and shows the worst.
/// Threads: one.
class RangeStates {
 public:
  static constexpr std::size_t kCharactersMost = 256;

  void add(RangeState state);
  [[nodiscard]] const std::string& text() const { return text_; }
  /// How many ranges a character stands for; the last one for as many or fewer.
  [[nodiscard]] std::uint64_t ranges_each() const { return each_; }
  [[nodiscard]] const RangeCounts& counts() const { return counts_; }

 private:
  std::string text_;
  std::uint64_t each_ = 1;
  std::uint64_t in_last_ = 0;
  RangeCounts counts_;
};

}  // namespace teal
