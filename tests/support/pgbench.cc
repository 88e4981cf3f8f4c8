#include "tests/support/pgbench.h"

#include <regex>
#include <stdexcept>

#include "tests/support/scratch_directory.h"
#include "tests/support/wait_until.h"

namespace teal::test {
namespace {

SpawnOptions pgbench_on(const PgServer& server, std::string_view user, std::string_view database,
                        const std::filesystem::path& files, int port = 0) {
  SpawnOptions spawn;
  spawn.argv = {pg_installation().bin / "pgbench"};
  spawn.environment = {"PGHOST=127.0.0.1", "PGPORT=" + std::to_string(port == 0 ? server.port() : port),
                       "PGUSER=" + std::string(user), "PGDATABASE=" + std::string(database)};
  spawn.stdout_path = files / "out";
  spawn.stderr_path = files / "err";
  return spawn;
}

SpawnOptions run_options(const PgServer& server, std::string_view user, std::string_view database,
                         const PgbenchOptions& options, const std::filesystem::path& files) {
  if ((options.seconds > 0) == (options.transactions > 0)) {
    throw std::runtime_error("pgbench needs either seconds or transactions");
  }
  SpawnOptions spawn = pgbench_on(server, user, database, files, options.port);
  const std::string length = options.seconds > 0 ? "--time=" + std::to_string(options.seconds)
                                                 : "--transactions=" + std::to_string(options.transactions);
  spawn.argv.insert(spawn.argv.end(), {"--no-vacuum", "--client=" + std::to_string(options.clients),
                                       "--jobs=" + std::to_string(options.clients > 1 ? 2 : 1), length});
  spawn.argv.insert(spawn.argv.end(), options.more.begin(), options.more.end());
  return spawn;
}

/// The number behind `label`, 0 when it is not there.
double number_after(const std::string& text, const std::string& label) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(label + " ([0-9.]+)")) ? std::stod(match[1]) : 0;
}

}  // namespace

void create_pgbench_tables(const PgServer& server, std::string_view user, std::string_view database,
                           const PgbenchTablesOptions& options) {
  const std::filesystem::path files = make_scratch_directory("pgbench");
  SpawnOptions spawn = pgbench_on(server, user, database, files);
  spawn.argv.insert(spawn.argv.end(), {"--initialize", "--quiet", "--scale=" + std::to_string(options.scale),
                                       options.rows ? "--init-steps=dtgvp" : "--init-steps=dtp"});
  if (run_program(spawn, std::chrono::minutes(5)) != 0) {
    throw std::runtime_error("pgbench could not make its tables: " + read_file(files / "err"));
  }
  server.psql("ALTER TABLE public.pgbench_history ADD COLUMN hid bigserial PRIMARY KEY", user, database);
}

Pgbench::Pgbench(const PgServer& server, std::string_view user, std::string_view database,
                 const PgbenchOptions& options)
    : files_(make_scratch_directory("pgbench")), process_(run_options(server, user, database, options, files_)) {}

PgbenchResult Pgbench::wait(std::chrono::milliseconds deadline) {
  const std::optional<int> code = process_.wait_exit(deadline);
  const std::string report = read_file(files_ / "out");
  const std::string errors = read_file(files_ / "err");
  if (!code) throw WaitTimeout("pgbench still runs after " + std::to_string(deadline.count()) + " ms: " + errors);
  PgbenchResult result;
  result.exit_code = *code;
  result.tps = number_after(report, "tps =");
  result.transactions = static_cast<std::int64_t>(number_after(report, "actually processed:"));
  result.failed = static_cast<std::int64_t>(number_after(report, "failed transactions:"));
  result.output = report + errors;
  return result;
}

void Pgbench::stop() {
  process_.send(SIGINT);
  if (!process_.wait_exit(std::chrono::seconds(30))) throw WaitTimeout("pgbench did not stop");
}

}  // namespace teal::test
