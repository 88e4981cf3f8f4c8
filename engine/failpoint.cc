// The counts live in a mapped file: what was added is there when the process is killed in the next instruction.
#include "engine/failpoint.h"

#ifdef TEAL_FAILPOINTS
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>

namespace teal {
namespace {

[[noreturn]] void refuse(const char* variable, const char* value) {
  std::fprintf(stderr, "teal: %s=%s can't be used\n", variable, value);
  std::_Exit(2);
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// A good mixer of bits, so that neighbouring passes and seeds have nothing in common. Source: the finalizer of
// SplitMix64.
std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

class Armed {
 public:
  Armed() {
    if (const char* text = std::getenv("TEAL_FAILPOINT")) arm_one(text);
    if (const char* text = std::getenv("TEAL_FAILPOINTS_RANDOM")) arm_all(text);
    if (const char* path = std::getenv("TEAL_FAILPOINT_COUNTS")) map_counts(path);
  }

  void pass(std::size_t index) {
    add(index, &FailpointCount::passed);
    const bool chosen = index == index_ && --remaining_ == 0;
    if (!chosen && !drawn()) return;
    add(index, &FailpointCount::killed);
    ::kill(::getpid(), SIGKILL);
  }

 private:
  void arm_one(const char* text) {
    const std::string_view whole(text);
    const std::size_t colon = whole.find(':');
    const auto count = colon == std::string_view::npos ? 1 : number_in<int>(whole.substr(colon + 1));
    for (std::size_t i = 0; i < kFailpoints.size(); ++i) {
      if (kFailpoints[i].name == whole.substr(0, colon)) index_ = i;
    }
    if (!index_ || !count || *count < 1) refuse("TEAL_FAILPOINT", text);
    remaining_ = *count;
  }

  void arm_all(const char* text) {
    const std::string_view whole(text);
    const std::size_t colon = whole.find(':');
    const auto probability = number_in<double>(whole.substr(0, colon));
    const auto seed =
        colon == std::string_view::npos ? std::nullopt : number_in<std::uint64_t>(whole.substr(colon + 1));
    if (!probability || *probability < 0 || *probability > 1 || !seed) refuse("TEAL_FAILPOINTS_RANDOM", text);
    probability_ = *probability;
    seed_ = *seed;
  }

  void map_counts(const char* path) {
    constexpr std::size_t kBytes = sizeof(FailpointCount) * kFailpoints.size();
    const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(kBytes)) != 0) refuse("TEAL_FAILPOINT_COUNTS", path);
    void* const mapped = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (mapped == MAP_FAILED) refuse("TEAL_FAILPOINT_COUNTS", path);
    counts_ = {static_cast<FailpointCount*>(mapped), kFailpoints.size()};
  }

  void add(std::size_t index, std::uint64_t FailpointCount::* count) {
    if (!counts_.empty()) ++std::atomic_ref(counts_[index].*count);
  }

  bool drawn() {
    if (probability_ == 0) return false;
    constexpr double kRange = 18446744073709551616.0;  // 2^64
    return static_cast<double>(mixed(seed_ + mixed(++passes_))) / kRange < probability_;
  }

  std::optional<std::size_t> index_;
  std::atomic<int> remaining_{0};
  double probability_ = 0;
  std::uint64_t seed_ = 0;
  std::atomic<std::uint64_t> passes_{0};
  std::span<FailpointCount> counts_;  // mapped until the process ends
};

}  // namespace

void failpoint(std::size_t index) {
  static Armed armed;
  armed.pass(index);
}

}  // namespace teal
#endif
