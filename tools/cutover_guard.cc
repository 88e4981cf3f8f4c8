#include "tools/cutover_guard.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "engine/log.h"
#include "engine/pg_error.h"

extern char** environ;

namespace teal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kReady = 'r';  // said by the guard
constexpr char kHook = 'h';
constexpr std::chrono::milliseconds kReadyWithin{10'000};
constexpr char kPauseBegins = 'p';
constexpr char kPauseEnds = 'e';
constexpr char kDone = 'd';
// What it takes to take back, or to go on, beyond the budget.
constexpr std::chrono::milliseconds kSlack{2'000};

// In one piece: the socket keeps messages apart.
struct Message {
  char what = 0;
  std::int32_t value = 0;
};

// Connection strings go by the environment: every user of the machine can read arguments.
std::vector<std::string> environment_with(const ConfigFlags& flags) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.starts_with("TEAL_FAILPOINT")) continue;  // they end the other one, in test builds
    if (flags.blue && text.starts_with("TEAL_BLUE=")) continue;
    if (flags.green && text.starts_with("TEAL_GREEN=")) continue;
    all.emplace_back(text);
  }
  if (flags.blue) all.push_back("TEAL_BLUE=" + *flags.blue);
  if (flags.green) all.push_back("TEAL_GREEN=" + *flags.green);
  return all;
}

std::vector<std::string> arguments_for(const ConfigFlags& flags, const std::string& to,
                                       std::chrono::milliseconds budget) {
  std::vector<std::string> arguments{"teal"};
  const auto add = [&](const char* name, const std::optional<std::string>& value) {
    if (!value) return;
    arguments.emplace_back(name);
    arguments.push_back(*value);
  };
  add("--config", flags.file);
  add("--log-level", flags.log_level);
  add("--log-format", flags.log_format);
  for (const char* text : {"--quiet", "cutover", "--yes", "--recover", "--to"}) arguments.emplace_back(text);
  arguments.push_back(to);
  arguments.emplace_back("--guarding");
  arguments.push_back(std::to_string(budget.count()) + "ms");
  return arguments;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

CutoverGuard::CutoverGuard(const ConfigFlags& flags, const std::string& to, std::chrono::milliseconds budget) {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error(errno, std::generic_category(), "make a way to the process that guards this one");
  }
  std::vector<std::string> arguments = arguments_for(flags, to, budget);
  std::vector<std::string> environment = environment_with(flags);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  // Not from the terminal that interrupts this process, and with none of the signals that it keeps from itself.
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, pointers(arguments).data(),
                                  pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  ::close(ends[0]);
  to_guard_ = ends[1];
  if (error != 0) {
    ::close(to_guard_);
    throw std::system_error(error, std::generic_category(), "start the process that guards this one");
  }
  pollfd answer{to_guard_, POLLIN, 0};
  char said = 0;
  if (::poll(&answer, 1, static_cast<int>(kReadyWithin.count())) == 1 && ::read(to_guard_, &said, 1) == 1 &&
      said == kReady) {
    return;
  }
  end();
  throw Stopped(StopCode::kRefused,
                "the process that guards this one did not come up, and nothing is held back without it; it reads the "
                "configuration again, so that has to be a file");
}

CutoverGuard::~CutoverGuard() { end(); }

void CutoverGuard::end() {
  say(kDone);
  ::close(to_guard_);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

void CutoverGuard::pause_begins() { say(kPauseBegins); }
void CutoverGuard::pause_ends() { say(kPauseEnds); }
void CutoverGuard::hook_runs(pid_t group) { say(kHook, group); }

// A guard that is gone cannot be told; its absence costs nothing as long as this process lives.
void CutoverGuard::say(char what, std::int32_t value) const {
  const Message message{what, value};
  while (::send(to_guard_, &message, sizeof message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

bool guard_parent(std::chrono::milliseconds budget) {
  const pid_t parent = ::getppid();
  std::optional<Clock::time_point> until;
  pid_t hook = 0;
  // What it has begun must not go on beside what takes it back.
  const auto take_over = [&] {
    if (hook > 0) ::kill(-hook, SIGKILL);
    return true;
  };
  if (::send(STDIN_FILENO, &kReady, 1, MSG_NOSIGNAL) != 1) return false;
  for (;;) {
    int wait_ms = -1;
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now());
      wait_ms = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, 1, wait_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      // Only the one that made this process: another may have its number by now.
      if (::getppid() == parent) ::kill(parent, SIGKILL);
      log_event(LogLevel::kError, "a cutover held writes back for too long, and was ended", {{"pid", parent}});
      return take_over();
    }
    Message said;
    const ssize_t got = ::recv(STDIN_FILENO, &said, sizeof said, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return take_over();
    if (said.what == kDone) return false;
    if (said.what == kHook) hook = said.value;
    if (said.what == kPauseBegins) until = Clock::now() + budget + kSlack;
    if (said.what == kPauseEnds) until.reset();
  }
}

}  // namespace teal
