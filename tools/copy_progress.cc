#include "tools/copy_progress.h"

#include <array>
#include <cstdio>

namespace teal {
namespace {

std::uint64_t sum_of_bytes(const std::vector<CopyTable>& tables) {
  std::uint64_t bytes = 0;
  for (const CopyTable& table : tables) bytes += table.bytes;
  return bytes;
}

}  // namespace

CopyProgress::CopyProgress(const CopyCounters& counters, const std::vector<CopyTable>& tables, bool quiet)
    : counters_(counters),
      bytes_expected_(sum_of_bytes(tables)),
      tables_(tables.size()),
      line_([this](double seconds) { return text(seconds); }, quiet) {}

std::string CopyProgress::text(double seconds) const {
  const auto bytes = static_cast<double>(counters_.bytes.load());
  const double rate = seconds > 0 ? bytes / seconds : 0;
  const std::string left = time_left_text(bytes, static_cast<double>(bytes_expected_), seconds);
  std::array<char, 160> text{};
  const int length = std::snprintf(text.data(), text.size(), "copy: %d of %zu tables, %.1f MB, %.1f MB/s, %s",
                                   counters_.tables_done.load(), tables_, bytes / 1e6, rate / 1e6, left.c_str());
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace teal
