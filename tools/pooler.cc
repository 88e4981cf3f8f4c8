#include "tools/pooler.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "engine/pause.h"
#include "engine/pg_error.h"

namespace teal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kStopCheck{20};
constexpr milliseconds kLoginRetryMost{15'000};  // as PgBouncer has it
constexpr milliseconds kConnectedPoll{100};
constexpr milliseconds kLoginPoll{1};
constexpr int kQuietLooks = 20;

int column(const Rows& rows, const char* name) { return PQfnumber(rows.raw(), name); }

}  // namespace

Pooler::Pooler(PoolerOptions options, milliseconds answer_within)
    : options_(std::move(options)), answer_within_(answer_within) {}

std::string Pooler::label() const { return "the pooler of " + options_.config.string(); }

PoolerConsole& Pooler::console() {
  // One that has failed is good for nothing any more: the pooler may have been started anew.
  if (console_ && !console_->usable()) console_.reset();
  if (!console_) console_ = std::make_unique<PoolerConsole>(options_.admin, label(), answer_within_);
  return *console_;
}

// The console takes names without quotes, and with them only from 1.19 on.
std::string Pooler::quoted_database() const {
  const bool plain = std::all_of(options_.database.begin(), options_.database.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
  return plain ? options_.database : quote_identifier(options_.database);
}

PoolerState Pooler::state() {
  const Rows rows = console().exec("SHOW DATABASES");
  const int name = column(rows, "name");
  for (int i = 0; name >= 0 && i < rows.size(); ++i) {
    if (rows.at(i, name) != options_.database) continue;
    const auto value = [&](const char* wanted) {
      const int index = column(rows, wanted);
      return index < 0 ? std::string() : rows.str(i, index);
    };
    return {{value("host"), value("port"), value("database")}, value("paused") == "1"};
  }
  throw Stopped(StopCode::kRefused, label() + " has no database " + options_.database);
}

void Pooler::check() {
  const PoolerState now = state();
  if (now.paused) {
    throw Stopped(StopCode::kRefused, label() + ": database " + options_.database +
                                          " is paused already, by somebody else or an earlier attempt; RESUME " +
                                          options_.database + " at its admin console");
  }
  if (globally_paused()) {
    throw Stopped(StopCode::kRefused, label() + " is paused as a whole; RESUME at its admin console");
  }
  const std::string text = read_pooler_file(options_.config);
  // By itself: that is all that can be tried, and what the folder, its owner or a mount refuses shows here.
  replace_pooler_file(options_.config, text);
  const std::optional<PoolerTarget> there = read_pooler_target(text, options_.database);
  if (!there) {
    throw Stopped(StopCode::kRefused, label() + " has no line for database " + options_.database +
                                          " under [databases] (a * is none); give it one");
  }
  const bool same = there->host == now.target.host && (there->port.empty() || there->port == now.target.port) &&
                    (there->dbname.empty() || there->dbname == now.target.dbname);
  if (!same) {
    throw Stopped(StopCode::kRefused, label() + ": the file leads to " + to_string(*there) + ", the pooler to " +
                                          to_string(now.target) + "; name the file that it runs with, or RELOAD it");
  }
  check_own_file();
  if (setting("so_reuseport") != "0") {
    throw Stopped(StopCode::kRefused,
                  label() +
                      " shares its port with others of its kind (so_reuseport), and only one of them "
                      "would be paused; name each with a port of its own");
  }
  // Users of its statistics may look as well; what sets nothing new tells who may pause.
  console().exec("SET server_login_retry = '" + setting("server_login_retry") + "'");
}

// SHOW STATE is not in versions before 1.18.
bool Pooler::globally_paused() {
  try {
    const Rows rows = console().exec("SHOW STATE");
    for (int i = 0; i < rows.size(); ++i) {
      if (rows.at(i, 0) == "paused") return rows.at(i, 1) == "yes";
    }
  } catch (const PgError&) {
    console_.reset();
  }
  return false;
}

// A file that it includes may have the line as well; a copy of its file has it, and is read by nobody.
void Pooler::check_own_file() {
  const std::filesystem::path own = setting("conffile");
  std::error_code failed;
  if (!own.is_absolute() || std::filesystem::equivalent(own, options_.config, failed) || failed) return;
  if (read_pooler_file(own).find("%include") != std::string::npos) return;
  throw Stopped(StopCode::kRefused, label() + ": the pooler runs with " + own.string() + "; name that one");
}

// A connection that it is just opening would be thrown away by PAUSE: see the class. One that grows opens the next at
// any moment, so it has to be quiet for a while.
void Pooler::wait_for_logins(milliseconds time, const std::stop_token& stop) {
  const auto until = steady_clock::now() + time;
  for (int quiet = 0; quiet < kQuietLooks; quiet = count_pool({"sv_login"}) == 0 ? quiet + 1 : 0) {
    if (steady_clock::now() > until || !pause_for(kLoginPoll, stop)) {
      throw PgError("pause " + label(), "it opens connections without end", "57P03");
    }
  }
}

void Pooler::begin_pause(milliseconds time, const std::stop_token& stop) {
  pausing_ = std::make_unique<PoolerConsole>(options_.admin, label(), answer_within_);
  wait_for_logins(time, stop);
  pausing_->send("PAUSE " + quoted_database());
}

bool Pooler::paused_within(milliseconds time, const std::stop_token& stop) {
  const auto until = steady_clock::now() + time;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    if (pausing_->answered_within(std::clamp(left, milliseconds(0), kStopCheck))) return true;
    if (left <= milliseconds(0) || stop.stop_requested()) return false;
  }
}

void Pooler::write_target(const PoolerTarget& target) {
  replace_pooler_file(options_.config,
                      with_pooler_target(read_pooler_file(options_.config), options_.database, target));
}

void Pooler::resume_at(const PoolerTarget& target) {
  write_target(target);
  borrowed_ = true;
  // After RELOAD, which reads it from the file again.
  const std::array commands{std::string("RELOAD"), std::string("SET server_login_retry = '0'"),
                            "RESUME " + quoted_database()};
  console().exec_together(commands);
  pausing_.reset();
  const PoolerState now = state();
  if (now.target == target) return;
  throw Stopped(StopCode::kRefused, label() + " leads to " + to_string(now.target) + " after RELOAD, and not to " +
                                        to_string(target) + ": is it the file that it runs with?");
}

std::string Pooler::setting(const std::string& name) {
  const Rows config = console().exec("SHOW CONFIG");
  for (int i = 0; i < config.size(); ++i) {
    if (config.at(i, 0) == name) return config.str(i, 1);
  }
  throw Stopped(StopCode::kRefused, label() + " has no setting " + name + ": is it a PgBouncer?");
}

void Pooler::resume() {
  // A console that has not answered is good for nothing any more, nor is the one that waits for PAUSE.
  console_.reset();
  if (state().paused) console().exec("RESUME " + quoted_database());
  pausing_.reset();
}

int Pooler::count_pool(std::initializer_list<const char*> kinds) {
  const Rows pools = console().exec("SHOW POOLS");
  const int database = column(pools, "database");
  int count = 0;
  for (int i = 0; database >= 0 && i < pools.size(); ++i) {
    if (pools.at(i, database) != options_.database) continue;
    for (const char* kind : kinds) {
      if (const int index = column(pools, kind); index >= 0) count += static_cast<int>(pools.integer(i, index));
    }
  }
  return count;
}

// Until a connection has succeeded the pooler still counts the time since the last one that failed. Without clients
// none was being opened.
void Pooler::restore(const std::stop_token& stop) {
  if (!borrowed_) return;
  const auto until = steady_clock::now() + kLoginRetryMost;
  while (count_pool({"cl_active", "cl_waiting"}) > 0 && count_pool({"sv_active", "sv_idle", "sv_used"}) == 0 &&
         steady_clock::now() < until && pause_for(kConnectedPoll, stop)) {
  }
  // Its file has what it was.
  console().exec("RELOAD");
  borrowed_ = false;
}

}  // namespace teal
