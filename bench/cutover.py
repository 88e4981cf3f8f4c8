"""How long writes wait while they are moved from one side to the other and back, under pgbench through PgBouncer.

Links run both ways. Each move is one `teal cutover` or `teal rollback`; the figure is the pause that it reports, and beside it
the longest latency that a client has seen around it. A client's transaction that fails, a row that is lost or twice, or sides
that differ afterwards end the run: there is no result."""
import argparse
import json
import os
import pwd
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cluster
import links
from figures import write_json
from links import percentile

SECONDS_PER_MOVE = 2
TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"]


class Bouncer:
    """A PgBouncer of its own in front of a server, for the database `bench`."""

    def __init__(self, server):
        self.files = server.base / "pgbouncer"
        self.files.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.ini = self.files / "pgbouncer.ini"
        users = self.files / "users"
        users.write_text('"postgres" ""\n')
        self.ini.write_text(f"[databases]\nbench = host=127.0.0.1 port={server.port} dbname=bench pool_size=20\n[pgbouncer]\n"
                            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = trust\n"
                            f"auth_file = {users}\nadmin_users = postgres\npool_mode = transaction\n"
                            "ignore_startup_parameters = extra_float_digits, options\n")
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (self.files, self.ini, users):
                os.chown(path, user.pw_uid, user.pw_gid)
        self.log = open(self.files / "log", "w", encoding="utf-8")
        cluster.start_child(["/usr/sbin/pgbouncer", str(self.ini)], stdout=self.log, stderr=self.log,
                            preexec_fn=cluster.as_server_user())
        deadline = time.monotonic() + 20
        while subprocess.run([cluster.PG_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError("PgBouncer did not start")
            time.sleep(0.05)


def configure(blue, green, bouncer):
    path = blue.base / "teal.yml"
    path.write_text(f"name: bench\nblue: {blue.uri('bench')}\ngreen: {green.uri('bench')}\ndirection: both\n"
                    "tables: { include: [\"public.pgbench_*\"] }\ncutover:\n  pgbouncer: [ { admin: \"host=127.0.0.1 "
                    f"port={bouncer.port} user=postgres dbname=pgbouncer\", database: bench, config: {bouncer.ini} }} ]\n")
    return path


def history(server):
    return int(server.sql("SELECT count(*) FROM pgbench_history"))


def wait_for(condition, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain until {what}")
        time.sleep(0.1)


def move(binary, config, command):
    done = subprocess.run([binary, "-c", config, "--json", command, "--yes"], text=True, capture_output=True, check=False, cwd="/")
    if done.returncode != 0:
        raise SystemExit(f"{command}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def longest_ms(directory):
    """Of all transactions that pgbench has logged, by latency."""
    return [int(line.split()[2]) / 1000 for log in directory.glob("pgbench_log*") for line in log.read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=int, default=1000, help="transactions a second")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    binary = str(Path(arguments.binary).resolve())
    with links.servers() as (blue, green):
        for server in (blue, green):
            server.sql("CREATE DATABASE bench", "postgres")
            server.pgbench("-i", "-q", "-s", "10", "-I", "dtpg" if server is blue else "dtp")
            server.sql("ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY")
        bouncer = Bouncer(blue)
        config = configure(blue, green, bouncer)
        with open(blue.base / "teal.log", "w", encoding="utf-8") as log:
            cluster.start_child([binary, "-c", config, "run"], stdout=log, stderr=log)
            wait_for(lambda: "link streaming link=green_to_blue" in (blue.base / "teal.log").read_text(), "both links stream")
            subprocess.run([binary, "-c", config, "verify"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            load = cluster.start_child(
                [cluster.PG_BIN / "pgbench", "-h", "127.0.0.1", "-p", str(bouncer.port), "-U", "postgres", "-n", "-c",
                 str(arguments.clients), "-j", "2", "-T", str(arguments.moves * SECONDS_PER_MOVE + 10), f"--rate={arguments.rate}", "-l", "bench"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=blue.files())
            wait_for(lambda: history(blue) > 1000, "pgbench writes")
            reports = []
            begin = time.monotonic()
            for number in range(arguments.moves):
                time.sleep(max(0.0, begin + number * SECONDS_PER_MOVE - time.monotonic()))
                reports.append(move(binary, config, "rollback" if number % 2 else "cutover"))
                print(f"cutover, move {number + 1} of {arguments.moves}: {reports[-1]['pause_ms']:.0f} ms", file=sys.stderr)
            output = load.communicate()[0]
            if "aborted" in output or "failed transactions: 0 " not in output:
                raise SystemExit(f"clients failed: {output[-2000:]}")
            wait_for(lambda: links.digest(blue, "bench", TABLES) == links.digest(green, "bench", TABLES), "the sides are equal")
            latencies = longest_ms(blue.files())
            if history(blue) != len(latencies):
                raise SystemExit(f"{history(blue)} rows, and {len(latencies)} transactions: rows were lost or are twice")
    pauses = [report["pause_ms"] for report in reports]
    print(f"cutover, {len(pauses)} moves, {arguments.clients} clients, {arguments.rate} transactions/s: writes waited p50 "
          f"{statistics.median(pauses):.0f} ms, p90 {percentile(pauses, 0.9):.0f} ms, second worst {sorted(pauses)[-2]:.0f} ms, "
          f"worst {max(pauses):.0f} ms; tries {sum(report['tries'] for report in reports)}; of {len(latencies)} "
          f"transactions none failed, the slowest took {max(latencies):.0f} ms")
    steps = {}
    for report in reports:
        for step in report["steps"]:
            name = step["step"].replace("green", "*").replace("blue", "*")
            steps.setdefault(name, []).append(step["took_ms"])
    for name, times in steps.items():
        print(f"  {statistics.median(times):8.1f} ms  {percentile(times, 0.98):8.1f} ms (p98)  {name}")
    write_json(arguments.json, [{"bench": "cutover", "pauses_ms": pauses, "latency_max_ms": max(latencies)}])


if __name__ == "__main__":
    main()
