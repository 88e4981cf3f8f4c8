#pragma once
#include <cstdint>
#include <limits>
#include <optional>

namespace teal {

/// Where a sequence stands and what it draws from there on. Source: pg_sequence, and the sequence's own row.
struct SequenceNumbers {
  std::int64_t last = 1;
  bool called = false;  ///< false: `last` itself comes next
  std::int64_t increment = 1;
  std::int64_t start = 1;
  std::int64_t min = 1;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  bool cycles = false;
  std::int64_t cache = 1;  ///< how many a session takes at a time
};

/// Whether the two could draw the same number some day.
[[nodiscard]] bool may_draw_same(const SequenceNumbers& one, const SequenceNumbers& other);

/// Why two sequences cannot be interleaved.
enum class SeriesProblem {
  kNone,
  kCycles,      ///< one of them begins again at its end, and whatever it begins with is the other's as well
  kIncrements,  ///< their increments differ, and neither is twice the other
  kRoom,        ///< one of them is near its end, or the end of what its columns can hold
};

/// What one side is to draw.
struct SeriesSide {
  bool placed = false;  ///< it draws that already
  std::int64_t next = 0;
  std::int64_t start = 0;  ///< where a RESTART leads: a number of this side's too
};

struct SeriesPlan {
  SeriesProblem problem = SeriesProblem::kNone;
  std::int64_t original = 1;   ///< the increment that they had
  std::int64_t increment = 2;  ///< twice that
  SeriesSide blue;
  SeriesSide green;
};

/// Gives each side every other number of the series that both draw: blue those in which its start is, green those
/// between. Both begin behind all that either has drawn; `margin`: green so many of its numbers later.
/// `original`: the increment, where it is known from before; `blue_member`: a number that is blue's, where that is
/// known. A side that steps twice as far as the other is taken as it is.
[[nodiscard]] SeriesPlan plan_series(const SequenceNumbers& blue, const SequenceNumbers& green,
                                     std::optional<std::int64_t> original = {},
                                     std::optional<std::int64_t> blue_member = {}, std::int64_t margin = 0);

/// The last number that was drawn, as far as where it stands can tell; nullopt: none.
[[nodiscard]] std::optional<std::int64_t> last_drawn(const SequenceNumbers& numbers);

/// The number that comes next; nullopt: it has come to its end, and will only tell so.
[[nodiscard]] std::optional<std::int64_t> next_number(const SequenceNumbers& numbers);

/// How the sequence `standing` goes on with `increment` and without drawing `bound` or what is before it: its next
/// number, of the series that it is in. nullopt: it has none left.
[[nodiscard]] std::optional<std::int64_t> next_behind(const SequenceNumbers& standing, std::int64_t increment,
                                                      std::int64_t bound);

}  // namespace teal
