#include "tools/archive.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "applier/dump_program.h"
#include "engine/pg_error.h"

namespace teal {

void archive_side(const Config& config, bool blue, const std::string& file, const std::stop_token& stop) {
  const std::string part = file + ".part";
  if (std::filesystem::exists(file)) throw Stopped(StopCode::kUsage, "--archive: " + file + " is there already");
  const int made = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (made < 0) throw Stopped(StopCode::kUsage, "--archive: cannot write to " + part + ": " + std::strerror(errno));
  ::close(made);
  try {
    const SafeConninfo source = without_secrets(blue ? config.blue : config.green);
    run_dump_program(std::string("archiving ") + (blue ? "blue" : "green"),
                     {dump_program(config.pg_bindir, "pg_dump"), "--format=custom", "--no-publications",
                      "--no-subscriptions", "--exclude-schema=teal", "--file=" + part, "--dbname=" + source.text},
                     source, stop);
    std::filesystem::rename(part, file);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    throw;
  }
}

}  // namespace teal
