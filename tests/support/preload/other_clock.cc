// Loaded before everything else into a server, it moves that server's clock by the seconds that the file
// TEAL_TEST_CLOCK holds as a 64-bit number, which may change at any time.
//
// PostgreSQL asks for the time in its handler of SIGALRM, so nothing here may allocate or lock: libfaketime opens and
// reads a file there, and once crashed a backend that had been interrupted in malloc.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

const volatile std::int64_t* offset_seconds = nullptr;

[[gnu::constructor]] void map_offset() {
  const char* path = std::getenv("TEAL_TEST_CLOCK");
  if (path == nullptr) std::abort();  // a test with the wrong clock would pass for nothing
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) std::abort();
  void* const page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (page == MAP_FAILED) std::abort();
  ::close(file);
  offset_seconds = static_cast<const volatile std::int64_t*>(page);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
  const bool moved = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (result == 0 && moved && offset_seconds != nullptr) now->tv_sec += *offset_seconds;
  return result;
}

int gettimeofday(timeval* now, void* /*zone*/) noexcept {
  timespec precise{};
  const int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}

std::time_t time(std::time_t* now) noexcept {
  timespec precise{};
  clock_gettime(CLOCK_REALTIME_COARSE, &precise);
  if (now != nullptr) *now = precise.tv_sec;
  return precise.tv_sec;
}

}  // extern "C"
