// Between fork and exec only async-signal-safe calls are made: everything that allocates or reads files (groups,
// environment) is prepared before. The death signal is set after the change of user, which would clear it.
#include "tests/support/child_process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>

#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

std::mutex children_mutex;
std::set<pid_t> children;  // guarded by children_mutex

void note_child(pid_t pid) {
  const std::lock_guard lock(children_mutex);
  children.insert(pid);
}

void forget_child(pid_t pid) {
  const std::lock_guard lock(children_mutex);
  children.erase(pid);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_for(const SpawnOptions& options) {
  std::set<std::string> decided(options.removed_environment.begin(), options.removed_environment.end());
  std::vector<std::string> merged = options.environment;
  for (const std::string& entry : options.environment) decided.insert(entry.substr(0, entry.find('=')));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    if (!decided.contains(text.substr(0, text.find('=')))) merged.push_back(text);
  }
  return merged;
}

bool redirect(const char* path, int flags, int to) {
  const int fd = ::open(path, flags, 0644);
  return fd >= 0 && ::dup2(fd, to) == to;
}

bool become(const UserIds& user) {
  return ::setgroups(user.groups.size(), user.groups.data()) == 0 && ::setgid(user.gid) == 0 && ::setuid(user.uid) == 0;
}

/// The child's side of the fork. Returns only when something failed, with errno set.
void become_program(const SpawnOptions& options, char* const* argv, char* const* environment, pid_t parent) {
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return;
  // A socket that the program inherited would stay open after we close it.
  if (::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return;
  if (!redirect("/dev/null", O_RDONLY, STDIN_FILENO)) return;
  if (!redirect(options.stdout_path.c_str(), kAppend, STDOUT_FILENO)) return;
  if (!redirect(options.stderr_path.c_str(), kAppend, STDERR_FILENO)) return;
  if (!options.root.empty() && ::chroot(options.root.c_str()) != 0) return;
  if (options.user && !become(*options.user)) return;
  if (::prctl(PR_SET_PDEATHSIG, options.death_signal) != 0) return;
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  if (::chdir(options.directory.c_str()) != 0) return;
  ::execve(argv[0], argv, environment);
}

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

long high_water_kib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  }
  return 0;
}

}  // namespace

ChildProcess::ChildProcess(const SpawnOptions& options) {
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment = environment_for(options);
  const std::vector<char*> argument_pointers = pointers(arguments);
  const std::vector<char*> environment_pointers = pointers(environment);
  int failure_pipe[2];
  if (::pipe2(failure_pipe, O_CLOEXEC) != 0) throw std::runtime_error("no pipe for a child process");
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    become_program(options, argument_pointers.data(), environment_pointers.data(), parent);
    const int error = errno;
    [[maybe_unused]] const ssize_t written = ::write(failure_pipe[1], &error, sizeof(error));
    ::_exit(127);
  }
  ::close(failure_pipe[1]);
  int error = pid_ < 0 ? errno : 0;
  const bool failed = pid_ < 0 || ::read(failure_pipe[0], &error, sizeof(error)) == sizeof(error);
  ::close(failure_pipe[0]);
  if (failed) {
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
    throw std::runtime_error("can't start " + options.argv.at(0) + ": " + std::strerror(error));
  }
  note_child(pid_);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0 || !running()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  forget_child(pid_);
}

bool ChildProcess::running() {
  if (exit_code_) return false;
  static_cast<void>(peak_rss_kib());
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return true;
  exit_code_ = exit_code_of(status);
  forget_child(pid_);
  return false;
}

std::optional<int> ChildProcess::wait_exit(std::chrono::milliseconds deadline) {
  static_cast<void>(holds_within(deadline, [this] { return !running(); }));
  return exit_code_;
}

void ChildProcess::send(int signal) {
  if (running()) ::kill(pid_, signal);
}

long ChildProcess::peak_rss_kib() {
  if (!exit_code_) peak_kib_ = std::max(peak_kib_, high_water_kib(pid_));
  return peak_kib_;
}

void kill_all_children() {
  const std::lock_guard lock(children_mutex);
  for (const pid_t pid : children) ::kill(pid, SIGKILL);
  for (const pid_t pid : children) ::waitpid(pid, nullptr, 0);
  children.clear();
}

int run_program(const SpawnOptions& options, std::chrono::milliseconds deadline) {
  ChildProcess child(options);
  const std::optional<int> code = child.wait_exit(deadline);
  if (!code) throw std::runtime_error(options.argv.at(0) + " did not end in time");
  return *code;
}

std::string sibling_program(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

std::optional<UserIds> server_user() {
  if (::geteuid() != 0) return std::nullopt;
  const passwd* entry = ::getpwnam("postgres");
  if (entry == nullptr) throw std::runtime_error("servers do not run as root, and there is no user postgres");
  UserIds user{entry->pw_uid, entry->pw_gid, {}};
  int count = 64;
  user.groups.resize(static_cast<std::size_t>(count));
  if (::getgrouplist("postgres", user.gid, user.groups.data(), &count) < 0) {
    throw std::runtime_error("can't read the groups of user postgres");
  }
  user.groups.resize(static_cast<std::size_t>(count));
  return user;
}

}  // namespace teal::test
