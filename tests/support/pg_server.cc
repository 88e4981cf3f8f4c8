// The postmaster is our own child (no pg_ctl), so its pid is known and the kernel can end it with us: it gets SIGQUIT,
// on which it stops at once and takes its children along.
#include "tests/support/pg_server.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "tests/support/cluster_template.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr const char* kDefaultSettings =
    "listen_addresses = '127.0.0.1'\n"
    "wal_level = logical\n"
    "wal_init_zero = off\n"
    "shared_buffers = 64MB\n"
    "timezone = 'UTC'\n"
    "log_timezone = 'UTC'\n"
    "log_line_prefix = '%m [%p] %q%u@%d %a '\n";

constexpr const char* kTrustEverybody =
    "local all all trust\n"
    "host all all 127.0.0.1/32 trust\n";

constexpr const char* kAskForPasswords =
    "local all postgres trust\n"
    "local all all scram-sha-256\n"
    "host all all 127.0.0.1/32 scram-sha-256\n";

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '_' || c == '-') {
      out.push_back(c);
    } else {
      out += {'%', kDigits[byte / 16U], kDigits[byte % 16U]};
    }
  }
  return out;
}

std::string conninfo_value(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "'";
}

}  // namespace

PgServer::PgServer(PgServerOptions options)
    : options_(std::move(options)),
      installation_(pg_installation(options_.major)),
      port_(TcpPort::reserve()),
      identity_(take_identity()) {
  try {
    directory_ = make_scratch_directory("s");
    make_cluster();
    while (!try_start()) {  // somebody outside the tests took the port
      port_ = TcpPort::reserve();
      configure({"port=" + std::to_string(port())});
    }
  } catch (...) {
    postmaster_.reset();
    give_identity_back(identity_);
    throw;
  }
}

PgServer::~PgServer() {
  try {
    stop(StopMode::kImmediate);
    remove_tree(directory_);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "a server did not go cleanly: %s\n", error.what());
  }
  give_identity_back(identity_);
}

void PgServer::make_cluster() {
  const fs::path source = cluster_template(installation_, identity_);
  const std::optional<UserIds>& user = installation_.user;
  if (user && ::chown(directory_.c_str(), user->uid, user->gid) != 0) {
    throw std::runtime_error("can't give " + directory_.string() + " to the servers' user");
  }
  SpawnOptions copy;
  copy.argv = {"/bin/cp", "-a", "--reflink=auto", source.string(), (directory_ / "data").string()};
  copy.user = user;
  copy.stderr_path = directory_ / "log";
  if (run_program(copy, seconds(60)) != 0) throw std::runtime_error("can't copy the cluster: " + log());
  std::ofstream(directory_ / "data" / "postgresql.conf", std::ios::app) << kDefaultSettings;
  configure({"port=" + std::to_string(port()), "unix_socket_directories=" + directory_.string(),
             std::string("fsync=") + (options_.fsync ? "on" : "off")});
  configure(options_.settings);
  write_file(directory_ / "data" / "pg_hba.conf", options_.passwords ? kAskForPasswords : kTrustEverybody);
}

void PgServer::configure(const std::vector<std::string>& settings) {
  std::ofstream file(directory_ / "data" / "postgresql.conf", std::ios::app);
  for (const std::string& setting : settings) {
    const std::size_t sign = setting.find('=');
    if (sign == std::string::npos) throw std::runtime_error("not name=value: " + setting);
    file << setting.substr(0, sign) << " = " << sql_text(setting.substr(sign + 1)) << '\n';
  }
  if (!file.flush()) throw std::runtime_error("can't write " + directory_.string() + "/data/postgresql.conf");
}

/// Returns false when the port is taken, which only a first start can mend.
bool PgServer::try_start() {
  SpawnOptions postgres;
  postgres.argv = {installation_.bin / "postgres", "-D", (directory_ / "data").string()};
  postgres.user = installation_.user;
  postgres.root = installation_.root;
  postgres.environment = options_.environment;
  postgres.stdout_path = postgres.stderr_path = directory_ / "log";
  postgres.death_signal = SIGQUIT;
  const std::size_t log_before = log().size();
  postmaster_.emplace(postgres);
  const std::string probe = conninfo("postgres", "postgres") + " connect_timeout=5";
  bool up = false;
  static_cast<void>(holds_within(seconds(60), [this, &up, &probe] {
    if (!postmaster_->running()) return true;
    up = PQping(probe.c_str()) == PQPING_OK;
    return up;
  }));
  if (up) return true;
  postmaster_.reset();
  if (log().find("could not bind", log_before) != std::string::npos) return false;
  throw std::runtime_error("a server did not start: " + log_end());
}

void PgServer::start() {
  if (running()) return;
  if (!try_start()) throw std::runtime_error("the server's port was taken: " + log_end());
}

void PgServer::stop(StopMode mode) {
  if (!running()) return;
  postmaster_->send(mode == StopMode::kFast ? SIGINT : SIGQUIT);
  if (!postmaster_->wait_exit(seconds(60))) {
    postmaster_.reset();
    throw std::runtime_error("a server did not stop: " + log_end());
  }
  postmaster_.reset();
}

void PgServer::restart(StopMode mode) {
  stop(mode);
  start();
}

bool PgServer::running() { return postmaster_ && postmaster_->running(); }

std::string PgServer::log() const { return read_file(directory_ / "log"); }

std::string PgServer::log_end() const {
  constexpr std::size_t kBytesMax = 4000;
  const std::string text = log();
  return text.size() <= kBytesMax ? text : text.substr(text.size() - kBytesMax);
}

std::string PgServer::conninfo(std::string_view user, std::string_view database) const {
  const bool through_socket = options_.passwords && user == "postgres";
  return "host=" + (through_socket ? directory_.string() : "127.0.0.1") + " port=" + std::to_string(port()) +
         " user=" + conninfo_value(user) + " dbname=" + conninfo_value(database);
}

std::string PgServer::uri(std::string_view user, std::string_view database, std::string_view password) const {
  const std::string secret = password.empty() ? "" : ":" + percent_encoded(password);
  return "postgresql://" + percent_encoded(user) + secret + "@127.0.0.1:" + std::to_string(port()) + "/" +
         percent_encoded(database);
}

Sql PgServer::connect(std::string_view user, std::string_view database) const { return Sql(conninfo(user, database)); }

SqlRows PgServer::psql(const std::string& statements, std::string_view user, std::string_view database) const {
  return connect(user, database).rows(statements);
}

}  // namespace teal::test
