#pragma once
#include <string>

namespace teal {

/// What `--report` names. Whether it can be written is found out at once, before the work; it may name keys of rows, so
/// a file that is made here is for its owner, and goes again when nothing was written. Threads: one.
class ReportFile {
 public:
  /// `file`: "" for none. Errors: Stopped(kUsage) when it cannot be written.
  explicit ReportFile(std::string file);
  ReportFile(const ReportFile&) = delete;
  ReportFile& operator=(const ReportFile&) = delete;
  ~ReportFile();

  [[nodiscard]] bool wanted() const { return !file_.empty(); }
  /// By its name: HTML, else JSON.
  [[nodiscard]] bool is_page() const { return file_.ends_with(".html") || file_.ends_with(".htm"); }
  /// Errors: Stopped(kIncomplete).
  void write(const std::string& report);

 private:
  const std::string file_;
  bool made_ = false;
  bool written_ = false;
};

}  // namespace teal
