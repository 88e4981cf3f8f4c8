#pragma once
#include <functional>
#include <string>
#include <thread>

namespace teal {

/// Says on stderr how far long work is: a line that is redrawn on a terminal, a new line every ten seconds elsewhere,
/// nothing when `quiet`. Ends with the object. `text` gets the seconds since the beginning; it is called on a thread of
/// this object's own.
class ProgressLine {
 public:
  ProgressLine(std::function<std::string(double seconds)> text, bool quiet);

 private:
  void show(const std::stop_token& stop);

  std::function<std::string(double)> text_;
  bool terminal_ = false;
  std::jthread thread_;
};

/// "about 12 s left", or "waiting" while nothing has been done. Units: any, the same for all three.
[[nodiscard]] std::string time_left_text(double done, double all, double seconds);

}  // namespace teal
