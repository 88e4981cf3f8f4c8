"""Draining a backlog: how long until the last row is visible on the target, teal against the native subscription.

Both have a slot from before the load and a database of their own on the same green server. Per round: load blue, then
let each drain in turn, the order rotated from round to round; then compare all rows. A contender whose rows differ
scores nothing."""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cluster

TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history", "bench_end"]
END_TABLE = "CREATE TABLE bench_end (id int PRIMARY KEY);"
HISTORY_KEY = "ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY;"


class Native:
    """CREATE SUBSCRIPTION in database `native`."""

    name = "native"

    def __init__(self, blue, green):
        self.blue, self.green = blue, green

    def prepare(self):
        self.green.sql(f"CREATE SUBSCRIPTION native CONNECTION '{self.blue.uri('bench')}' PUBLICATION "
                       "teal_bench_blue_to_green WITH (copy_data = false, enabled = false)", self.name)

    def drain(self, end):
        start = time.monotonic()
        self.green.sql("ALTER SUBSCRIPTION native ENABLE", self.name)
        took = wait_for_end(self.green, self.name, end) - start
        self.green.sql("ALTER SUBSCRIPTION native DISABLE", self.name)
        wait_slot_free(self.blue, "native")
        return {"seconds": took}

    def finish(self):
        self.green.sql("DROP SUBSCRIPTION native", self.name)


class Teal:
    """The `teal` binary, target database `teal`."""

    name = "teal"

    def __init__(self, blue, green, binary):
        self.green, self.blue, self.binary = green, blue, binary
        self.directory = tempfile.TemporaryDirectory(prefix="teal-bench-config-")
        self.config = Path(self.directory.name) / "teal.yml"
        self.config.write_text(f"name: bench\nblue: {blue.uri('bench')}\ngreen: {green.uri('teal')}\n"
                               "direction: forward\ncopy: { schema: false }\n"
                               "tables: { include: [" + ", ".join(f"public.{t}" for t in TABLES) + "] }\n",
                               encoding="utf-8")

    def command(self, *arguments):
        return [self.binary, "--config", str(self.config), *arguments]

    def prepare(self):
        subprocess.run(self.command("run", "--no-copy", "--until-synced"), check=True, cwd="/")

    def drain(self, end):
        start = time.monotonic()
        process = subprocess.Popen(self.command("--log-level", "warn", "run", "--no-copy"), cwd="/")
        took = wait_for_end(self.green, self.name, end) - start
        user, system = cluster.cpu_seconds(process.pid)
        rss = cluster.peak_rss_kib(process.pid)
        process.terminate()
        if process.wait(60) != 0:
            raise RuntimeError("teal did not end with exit code 0")
        wait_slot_free(self.blue, "teal_bench_blue_to_green")
        return {"seconds": took, "cpu_seconds": user + system, "peak_rss_mib": rss / 1024}

    def finish(self):
        subprocess.run(self.command("finish", "--yes"), check=True, cwd="/", stdout=subprocess.DEVNULL)
        self.directory.cleanup()


def wait_for_end(green, database, end):
    return green.wait_for_row(f"SELECT FROM bench_end WHERE id = {end}", database)


def wait_slot_free(blue, slot):
    deadline = time.monotonic() + 60
    while blue.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t":
        if time.monotonic() > deadline:
            raise RuntimeError(f"slot {slot} stays active")
        time.sleep(0.02)


def prepare_databases(blue, green, scale):
    blue.sql("CREATE DATABASE bench", "postgres")
    blue.pgbench("-i", "-q", "-s", scale)
    blue.sql(HISTORY_KEY + END_TABLE + "CREATE PUBLICATION teal_bench_blue_to_green FOR TABLE " + ", ".join(TABLES))
    for database in ("native", "teal"):
        green.sql(f"CREATE DATABASE {database}", "postgres")
        green.pgbench("-i", "-q", "-s", scale, database=database)
        green.sql(HISTORY_KEY + END_TABLE, database)


def digest(server, database):
    """A digest of every row of every table, by plain SQL."""
    parts = [f"SELECT '{t}', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {t} t;" for t in TABLES]
    return server.sql("SET extra_float_digits = 3;" + "".join(parts), database)


def load(blue, transactions, end):
    blue.pgbench("-n", "-M", "prepared", "-c", "8", "-j", "2", "-t", transactions // 8)
    blue.sql(f"INSERT INTO bench_end VALUES ({end}); CHECKPOINT;")


def run(arguments):
    blue = cluster.Cluster("blue")
    green = None
    try:
        green = cluster.Cluster("green")
        prepare_databases(blue, green, arguments.scale)
        contenders = [Native(blue, green), Teal(blue, green, str(Path(arguments.binary).resolve()))]
        for contender in contenders:
            contender.prepare()
        results = {contender.name: [] for contender in contenders}
        for number in range(1, arguments.rounds + 1):
            load(blue, arguments.transactions, number)
            order = contenders if number % 2 else contenders[::-1]
            for contender in order:
                green.sql("CHECKPOINT", "postgres")
                results[contender.name].append(contender.drain(number))
            expected = digest(blue, "bench")
            for contender in contenders:
                if digest(green, contender.name) != expected:
                    raise SystemExit(f"round {number}: rows of {contender.name} differ from blue's: no result")
            print(f"round {number} of {arguments.rounds}: " +
                  ", ".join(f"{c.name} {results[c.name][-1]['seconds']:.2f} s" for c in order), file=sys.stderr)
        for contender in contenders:
            contender.finish()
        return results
    finally:
        blue.stop()
        if green is not None:
            green.stop()


def report(results, arguments):
    rows = []
    base = statistics.median(r["seconds"] for r in results["native"])
    for name, rounds in results.items():
        seconds = [r["seconds"] for r in rounds]
        median = statistics.median(seconds)
        row = {"contender": name, "median_s": round(median, 3), "min_s": round(min(seconds), 3),
               "max_s": round(max(seconds), 3), "ratio_to_native": round(base / median, 2)}
        for key in ("cpu_seconds", "peak_rss_mib"):
            if key in rounds[0]:
                row[key] = round(statistics.median(r[key] for r in rounds), 2)
        rows.append(row)
    print(f"drain: {arguments.transactions} TPC-B transactions, scale {arguments.scale}, {arguments.rounds} rounds")
    print(f"{'contender':<10} {'median s':>9} {'min':>7} {'max':>7} {'x native':>9} {'cpu s':>7} {'peak MiB':>9}")
    for row in rows:
        print(f"{row['contender']:<10} {row['median_s']:>9.2f} {row['min_s']:>7.2f} {row['max_s']:>7.2f} "
              f"{row['ratio_to_native']:>9.2f} {row.get('cpu_seconds', ''):>7} {row.get('peak_rss_mib', ''):>9}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"bench": "drain", "transactions": arguments.transactions,
                                                    "rounds": results, "summary": rows}, indent=2), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=20)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    report(run(arguments), arguments)


if __name__ == "__main__":
    main()
