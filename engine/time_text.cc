#include "engine/time_text.h"

#include <array>
#include <chrono>
#include <cstdio>

namespace teal {

std::string to_string(Timestamp time) {
  using namespace std::chrono;
  const sys_time<microseconds> point{microseconds{time.us} + seconds{kPostgresEpochUnixSeconds}};
  const auto day = floor<days>(point);
  const year_month_day date{day};
  const hh_mm_ss clock{point - day};
  std::array<char, 64> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%04d-%02u-%02u %02d:%02d:%02d.%06d+00", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                    static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

Timestamp now_timestamp() {
  using namespace std::chrono;
  const auto since_unix = duration_cast<microseconds>(system_clock::now().time_since_epoch());
  return Timestamp{(since_unix - seconds{kPostgresEpochUnixSeconds}).count()};
}

}  // namespace teal
