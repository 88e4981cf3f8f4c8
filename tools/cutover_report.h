#pragma once
#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace teal {

/// One thing that a cutover did.
struct CutoverStep {
  std::string what;
  double at_ms = 0;  ///< since the command began
  double took_ms = 0;
  std::string detail = {};  ///< a position in a log, a count; "": nothing to add
};

enum class CutoverResult {
  kMoved,
  kUndone,   ///< something had begun, and all of it was taken back
  kRefused,  ///< nothing had begun
  kReady,    ///< a dry run that found nothing in the way
  kBroken,   ///< neither: what is left to do is in the reason
};
/// moved, undone, refused, ready, broken.
[[nodiscard]] const char* to_string(CutoverResult result);

/// What a cutover did and found, for people and machines.
struct CutoverReport {
  std::string name;  ///< of the migration
  std::string from;
  std::string to;
  CutoverResult result = CutoverResult::kRefused;
  std::vector<std::string> obstacles = {};  ///< why not, each with what to do
  std::vector<std::string> notes = {};      ///< what is good to know
  std::string started_at = {};              ///< timestamptz as text, by this machine's clock
  int tries = 0;
  std::vector<CutoverStep> steps = {};
  std::vector<std::string> sequences = {};  ///< that were moved: "public.s: 17 -> 40"
  std::optional<double> pause_ms = {};      ///< from the first write that was held back to the first that was let go
  std::optional<double> predicted_ms = {};  ///< of a dry run
  std::string writes_on = {};               ///< as the journal has it; "": not known
  std::string left_at = {};                 ///< where the side that was left had written last
  std::string opened_at = {};               ///< where the other one wrote when it was opened

  [[nodiscard]] nlohmann::ordered_json json() const;
  /// What the journal keeps: no texts, which may hold what sessions have sent.
  [[nodiscard]] nlohmann::ordered_json summary() const;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string html() const;
};

/// Notes what is done while it is done, with its times. Threads: one.
class CutoverClock {
 public:
  explicit CutoverClock(CutoverReport& report) : report_(report) {}

  /// Runs `work` and notes it, also when it throws; what it returns goes to the caller.
  template <typename Work>
  auto step(const std::string& what, Work work) {
    const Noted noted(*this, what);
    return work();
  }
  /// To the step that is noted at the moment, or the last one.
  void detail(const std::string& text);
  [[nodiscard]] double now_ms() const;

 private:
  class Noted {
   public:
    Noted(CutoverClock& clock, const std::string& what);
    Noted(const Noted&) = delete;
    Noted& operator=(const Noted&) = delete;
    ~Noted();

   private:
    CutoverClock& clock_;
    std::size_t at_;
  };

  CutoverReport& report_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace teal
