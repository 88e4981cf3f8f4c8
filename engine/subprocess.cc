#include "engine/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string_view>
#include <system_error>

extern char** environ;

namespace teal {
namespace {

constexpr std::chrono::milliseconds kStopCheck{20};
constexpr std::chrono::milliseconds kGrace{500};  // between asking a program to end and ending it

class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "make a pipe");
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] int read_end() const { return ends_[0]; }
  [[nodiscard]] int write_end() const { return ends_[1]; }
  void close_end(std::size_t end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& additions) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!additions.contains(std::string(text.substr(0, text.find('='))))) merged.emplace_back(text);
  }
  for (const auto& [name, value] : additions) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

int spawn(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment, const Pipe& out,
          const Pipe& err, pid_t& pid) {
  std::vector<std::string> arguments = argv;
  std::vector<std::string> variables = merged_environment(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write_end(), STDERR_FILENO);
  // Signals that we block for our own handling must reach the child.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  // A group of its own, so that what it starts is ended with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  const int error = ::posix_spawnp(&pid, arguments[0].c_str(), &actions, &attributes, pointers(arguments).data(),
                                   pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Takes what there is, at once or within `wait`. Returns whether there was anything.
bool read_some(std::array<pollfd, 2>& ends, SubprocessResult& result, std::chrono::milliseconds wait) {
  if (::poll(ends.data(), ends.size(), static_cast<int>(wait.count())) <= 0) return false;
  bool any = false;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (ends[i].fd < 0 || ends[i].revents == 0) continue;
    std::array<char, 4096> buffer{};
    const ssize_t count = ::read(ends[i].fd, buffer.data(), buffer.size());
    any = any || count > 0;
    if (count > 0) {
      (i == 0 ? result.out : result.err).append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      ends[i].fd = -1;
    }
  }
  return any;
}

// Until the program has ended, whoever else has its pipes by then. Returns its status.
int read_to_the_end(std::array<pollfd, 2> ends, SubprocessResult& result, pid_t pid, const std::stop_token& stop) {
  std::optional<std::chrono::steady_clock::time_point> told;
  bool killed = false;
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "wait for a program");
    if (ended == pid) {
      while (read_some(ends, result, std::chrono::milliseconds(0))) {
      }
      return status;
    }
    if (stop.stop_requested() && !told) {
      ::kill(-pid, SIGTERM);
      told = std::chrono::steady_clock::now();
    }
    if (told && !killed && std::chrono::steady_clock::now() - *told > kGrace) {
      ::kill(-pid, SIGKILL);
      killed = true;
    }
    static_cast<void>(read_some(ends, result, kStopCheck));
  }
}

}  // namespace

SubprocessResult run_subprocess(const std::vector<std::string>& argv,
                                const std::map<std::string, std::string>& environment, const std::stop_token& stop,
                                const std::function<void(pid_t)>& started) {
  Pipe out;
  Pipe err;
  SubprocessResult result;
  pid_t pid = 0;
  const int error = spawn(argv, environment, out, err, pid);
  if (error != 0) {
    result.exit_code = 127;
    result.err = argv[0] + ": " + std::generic_category().message(error);
    return result;
  }
  out.close_end(1);
  err.close_end(1);
  if (started) started(pid);
  const int status =
      read_to_the_end({pollfd{out.read_end(), POLLIN, 0}, pollfd{err.read_end(), POLLIN, 0}}, result, pid, stop);
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace teal
