#include "tools/sequence_series.h"

namespace teal {
namespace {

using Wide = __int128;  // sums and differences of any two numbers of a sequence

constexpr Wide kDrawsLeftMin = 1000;  // fewer, and the sequence ends before the migration does
constexpr std::int64_t kIncrementMax = std::int64_t{1} << 32;

Wide size_of(Wide value) { return value < 0 ? -value : value; }
Wide modulo(Wide value, Wide divisor) { return (value % divisor + divisor) % divisor; }
bool alike(Wide one, Wide other, Wide divisor) { return modulo(one - other, divisor) == 0; }

Wide next_of(const SequenceNumbers& numbers) {
  return numbers.called ? Wide{numbers.last} + numbers.increment : Wide{numbers.last};
}

struct Range {
  Wide from;
  Wide to;
};

Range range_of(const SequenceNumbers& numbers) {
  if (numbers.cycles) return {numbers.min, numbers.max};
  if (numbers.increment > 0) return {next_of(numbers), numbers.max};
  return {numbers.min, next_of(numbers)};
}

// The first number at or behind `bound` that is some steps away from `member`.
Wide first_from(Wide bound, Wide member, Wide step) {
  if (step > 0) return bound + modulo(member - bound, step);
  return bound - modulo(bound - member, -step);
}

Wide draws_left(const SequenceNumbers& numbers, Wide next, Wide step) {
  return (step > 0 ? numbers.max - next : next - numbers.min) / size_of(step);
}

Wide later_of(Wide one, Wide other, Wide step) { return (step > 0) == (one > other) ? one : other; }

bool is_twice(std::int64_t increment, std::int64_t other) { return Wide{increment} == Wide{other} * 2; }

std::optional<std::int64_t> common_increment(const SequenceNumbers& blue, const SequenceNumbers& green) {
  if (blue.increment == green.increment || is_twice(green.increment, blue.increment)) return blue.increment;
  if (is_twice(blue.increment, green.increment)) return green.increment;
  return std::nullopt;
}

// A RESTART of the application's must not lead into the other side's numbers. One that begins outside its own bounds is
// left where it is.
std::int64_t start_in(const SequenceNumbers& numbers, Wide member, Wide step) {
  const Wide start = first_from(numbers.start, member, step);
  return start < numbers.min || start > numbers.max ? numbers.start : static_cast<std::int64_t>(start);
}

Wide blue_member_of(const SequenceNumbers& blue, const SequenceNumbers& green, Wide original) {
  const Wide step = original * 2;
  if (Wide{blue.increment} == step) return next_of(blue);
  if (Wide{green.increment} == step) return next_of(green) - original;
  return alike(next_of(blue), blue.start, size_of(original)) ? Wide{blue.start} : next_of(blue);
}

}  // namespace

bool may_draw_same(const SequenceNumbers& one, const SequenceNumbers& other) {
  const Range a = range_of(one);
  const Range b = range_of(other);
  if (a.from > a.to || b.from > b.to || a.to < b.from || b.to < a.from) return false;
  // At its end it goes on at its minimum, whatever numbers it drew before.
  if (one.cycles || other.cycles) return true;
  Wide x = size_of(one.increment);
  Wide y = size_of(other.increment);
  while (y != 0) {
    const Wide rest = x % y;
    x = y;
    y = rest;
  }
  return alike(next_of(one), next_of(other), x);
}

SeriesPlan plan_series(const SequenceNumbers& blue, const SequenceNumbers& green, std::optional<std::int64_t> original,
                       std::optional<std::int64_t> blue_member, std::int64_t margin) {
  SeriesPlan plan;
  if (!original) original = common_increment(blue, green);
  if (!original || size_of(*original) > kIncrementMax) {
    plan.problem = SeriesProblem::kIncrements;
    return plan;
  }
  const Wide step = Wide{*original} * 2;
  plan.original = *original;
  plan.increment = *original * 2;
  const Wide member = blue_member ? Wide{*blue_member} : blue_member_of(blue, green, *original);
  const Wide other = member + *original;
  const auto places = [step](const SequenceNumbers& numbers, Wide of) {
    return Wide{numbers.increment} == step && alike(next_of(numbers), of, size_of(step));
  };
  plan.blue.placed = places(blue, member);
  plan.green.placed = places(green, other);
  const Wide bound = later_of(next_of(blue), next_of(green), step);
  const Wide blue_next = first_from(bound, member, step);
  const Wide green_next = first_from(bound, other, step) + margin * step;
  if (blue.cycles || green.cycles) {
    plan.problem = SeriesProblem::kCycles;
  } else if ((!plan.blue.placed && draws_left(blue, blue_next, step) < kDrawsLeftMin) ||
             (!plan.green.placed && draws_left(green, green_next, step) < kDrawsLeftMin)) {
    plan.problem = SeriesProblem::kRoom;
  }
  if (plan.problem != SeriesProblem::kNone) return plan;
  plan.blue.next = static_cast<std::int64_t>(blue_next);
  plan.green.next = static_cast<std::int64_t>(green_next);
  plan.blue.start = start_in(blue, member, step);
  plan.green.start = start_in(green, other, step);
  return plan;
}

std::optional<std::int64_t> last_drawn(const SequenceNumbers& numbers) {
  if (numbers.called) return numbers.last;
  const bool up = numbers.increment > 0;
  if (numbers.last == (up ? numbers.min : numbers.max)) return std::nullopt;
  return numbers.last - (up ? 1 : -1);
}

std::optional<std::int64_t> next_number(const SequenceNumbers& numbers) {
  const Wide next = next_of(numbers);
  if (numbers.called && (next > numbers.max || next < numbers.min)) return std::nullopt;
  return static_cast<std::int64_t>(next);
}

std::optional<std::int64_t> next_behind(const SequenceNumbers& standing, std::int64_t increment, std::int64_t bound) {
  const Wide own = standing.called ? Wide{standing.last} + increment : Wide{standing.last};
  const Wide behind = first_from(Wide{bound} + (increment > 0 ? 1 : -1), own, increment);
  const Wide next = later_of(own, behind, increment);
  if (next < standing.min || next > standing.max) return std::nullopt;
  return static_cast<std::int64_t>(next);
}

}  // namespace teal
