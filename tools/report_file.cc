#include "tools/report_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "engine/pg_error.h"

namespace teal {

ReportFile::ReportFile(std::string file) : file_(std::move(file)) {
  if (file_.empty()) return;
  int opened = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  made_ = opened >= 0;
  if (!made_ && errno == EEXIST) opened = ::open(file_.c_str(), O_WRONLY | O_CLOEXEC);
  if (opened < 0) {
    throw Stopped(StopCode::kUsage, "--report: cannot write to " + file_ + ": " + std::strerror(errno));
  }
  ::close(opened);
}

ReportFile::~ReportFile() {
  std::error_code ignored;
  if (made_ && !written_) std::filesystem::remove(file_, ignored);
}

void ReportFile::write(const std::string& report) {
  std::ofstream out(file_);
  out << report << "\n";
  out.flush();
  if (!out) throw Stopped(StopCode::kIncomplete, "cannot write the report to " + file_);
  written_ = true;
}

}  // namespace teal
