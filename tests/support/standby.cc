#include "tests/support/standby.h"

#include <chrono>
#include <filesystem>
#include <stdexcept>

#include "tests/support/child_process.h"
#include "tests/support/scratch_directory.h"

namespace teal::test {

std::unique_ptr<PgServer> make_standby(PgServer& primary, const std::string& name) {
  const std::filesystem::path rules = primary.directory() / "data" / "pg_hba.conf";
  write_file(rules, read_file(rules) + "host replication postgres 127.0.0.1/32 trust\n");
  primary.psql("SELECT pg_reload_conf()");
  auto standby = std::make_unique<PgServer>(PgServerOptions{.major = primary.installation().major});
  standby->stop(StopMode::kImmediate);
  const std::filesystem::path data = standby->directory() / "data";
  remove_tree(data);
  SpawnOptions backup;
  backup.argv = {standby->installation().bin / "pg_basebackup", "--pgdata=" + data.string(), "--checkpoint=fast",
                 "--dbname=" + primary.conninfo("postgres", "postgres")};
  backup.user = standby->installation().user;
  backup.root = standby->installation().root;
  backup.stderr_path = standby->directory() / "log";
  if (run_program(backup, std::chrono::seconds(60)) != 0) {
    throw std::runtime_error("no standby could be made: " + standby->log());
  }
  standby->configure({"port=" + std::to_string(standby->port()),
                      "unix_socket_directories=" + standby->directory().string(),
                      "primary_conninfo=" + primary.conninfo("postgres", "postgres") + " application_name=" + name});
  write_file(data / "standby.signal", "");
  standby->start();
  return standby;
}

}  // namespace teal::test
