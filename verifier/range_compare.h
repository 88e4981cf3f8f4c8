#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "verifier/compared_table.h"
#include "verifier/key_range.h"
#include "verifier/side_reader.h"

namespace teal {

enum class DifferenceKind { kMissingOnGreen, kMissingOnBlue, kDiffers };

/// A row that is not the same on both sides, known by its key; without one, by the whole row's text.
struct Difference {
  DifferenceKind kind = DifferenceKind::kDiffers;
  KeyValues key;
  std::string identity;
  /// Which rows were compared, each as `tableoid ctid xmin`, with commas between those of a table without a key; "":
  /// the side has none.
  std::string blue_version = {};
  std::string green_version = {};
};

/// Makes a marker on each side that is a source and waits until all have been applied on the other. Returns false when
/// the deadline came first. Threads: any.
using MarkerPass = std::function<bool(std::chrono::steady_clock::time_point deadline)>;

struct RangeCompareOptions {
  HashedIn hashed = HashedIn::kServer;
  std::size_t rows_at_once = 20'000;  ///< that are held in memory of each side, about
  std::size_t differences_max = 1'000;
  std::chrono::milliseconds patience{10'000};  ///< for rows that keep changing
  /// Empty: no link runs, and nothing is on its way from one side to the other.
  MarkerPass pass_markers;
  std::stop_token stop;
};

/// What is known of a range after it was compared.
struct RangeResult {
  std::uint64_t rows = 0;  ///< of blue, when it was read first
  std::vector<Difference> differences;
  std::uint64_t unnamed = 0;            ///< slices that were not looked into, because enough differences were found
  std::uint64_t in_flux = 0;            ///< rows that kept changing until the patience ended
  std::chrono::nanoseconds reading{0};  ///< what the first reading of it took, on both sides at the same time
};

/// Compares one range on both sides, while applications write and links apply.
///
/// A difference is a guess until it was read twice: a marker that is made after the first reading has passed all links
/// before the second, so whatever one side had then has come to the other. A row that is still not the same, and was
/// written on neither side between the two readings, differs; one that was written is read again, until the patience
/// ends. Of a row that one side lacks it takes three readings, because what is not there does not show that it was
/// written in between. A row that is written faster than both sides can be read at one moment is watched: it is equal
/// once both sides, while they both moved on, have had it the same. So nothing on its way is taken for a difference,
/// and no difference for something on its way. Threads: one at a time; blue and green are read at the same time.
/// Errors: PgError, of either side.
class RangeCompare {
 public:
  RangeCompare(PgConnection& blue, PgConnection& green, const RangeCompareOptions& options)
      : blue_(blue, ComparedOn::kBlue, options.hashed),
        green_(green, ComparedOn::kGreen, options.hashed),
        options_(options) {}

  [[nodiscard]] RangeResult compare(const ComparedTable& table, const KeyRange& range);

  /// The rows with these keys, whichever side has them, of a table that has a key. `rows` of the result: how many keys.
  [[nodiscard]] RangeResult compare_keys(const ComparedTable& table, const std::vector<KeyValues>& keys);

 private:
  /// A row as it was read on both sides; a side that does not have it has an empty digest.
  struct Pair {
    FoundRow blue;
    FoundRow green;
  };
  using Pairs = std::map<std::string, Pair>;

  template <typename Read>
  [[nodiscard]] auto on_both(Read read);
  [[nodiscard]] static Pairs unequal(FoundRows blue, FoundRows green);
  void compare_slices(const ComparedTable& table, const KeyRange& range, const Slices& slices, RangeResult& result);
  [[nodiscard]] Pairs read_again(const ComparedTable& table, const Pairs& suspects, const KeyRange& range,
                                 const Slices& slices);
  /// Without those that are equal. `lost`: is told of those that had been seen on a side and are not found there.
  [[nodiscard]] Pairs read_by_key(const ComparedTable& table, const Pairs& suspects, std::set<std::string>* lost);
  void settle(Pairs suspects, const std::function<Pairs(const Pairs&)>& again, const std::function<void(Pairs&)>& watch,
              RangeResult& result);
  void watch(const ComparedTable& table, Pairs& suspects);

  SideReader blue_;
  SideReader green_;
  const RangeCompareOptions& options_;
};

}  // namespace teal
