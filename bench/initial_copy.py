"""The initial copy: schema, rows, indexes and constraints, teal against those who do the same.

Each copies the same blue database into an empty one on green, in turn, the order rotated from round to round. The rows,
indexes and constraints of each copy are compared with blue's; who differs scores nothing."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cluster
import links
from figures import print_table, rotated, summarize, write_json

TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history", "item"]
ITEMS = """CREATE TABLE item (id bigint PRIMARY KEY, n int NOT NULL, v text NOT NULL, at timestamptz, price numeric(12, 2));
INSERT INTO item SELECT k, (k * 7919::bigint) % {rows}, 'item ' || md5(k::text), '2026-01-01'::timestamptz + k * interval '1 s', k / 100.0
FROM generate_series(1, {rows}) k; CREATE INDEX ON item (n); CREATE INDEX ON item (v);"""
OBJECTS = """SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
WHERE relnamespace = 'public'::regnamespace AND c.relname <> 'bench_end' ORDER BY 1;
SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2;"""


class Contender:
    """Copies blue's database `bench` into the empty database `name` on green."""

    def __init__(self, name, blue, green):
        self.name, self.blue, self.green = name, blue, green

    def shell(self, script):
        """Of bash, with $blue and $green."""
        result = subprocess.run(["bash", "-c", "set -euo pipefail; " + script], text=True, capture_output=True, check=False,
                                cwd="/", env=cluster.tool_environment(blue=self.blue.uri("bench"), green=self.green.uri(self.name)))
        if result.returncode:
            raise RuntimeError(f"{self.name}: {result.stderr[-2000:]}")

    def copy(self):
        """Returns figures besides the time."""
        raise NotImplementedError

    def clean(self):
        """Afterwards, not measured."""


class DumpAndRestore(Contender):
    def copy(self):
        self.shell('pg_dump "$blue" | psql -XqAt -v ON_ERROR_STOP=1 -d "$green" >/dev/null')
        return {}


class PlainCopy(Contender):
    """What a careful person types: rows first, two streams, then the rest by two jobs."""

    def copy(self):
        with tempfile.TemporaryDirectory(prefix="teal-bench-dump-") as directory:
            copies = "; ".join(f"copy {table}" for table in sorted(TABLES))
            self.shell(f'pg_dump -Fc -s "$blue" >{directory}/schema; pg_restore --section=pre-data -d "$green" {directory}/schema; '
                       'copy() { psql -XqAtc "COPY $1 TO STDOUT (FORMAT binary)" "$blue" | psql -Xqc "COPY $1 FROM STDIN (FORMAT binary)" "$green"; }; '
                       f"(copy item) & ({copies.replace('copy item; ', '')}); wait $!; "
                       f'pg_restore -j 2 --section=post-data -d "$green" {directory}/schema')
        return {}


class Pgcopydb(Contender):
    def copy(self):
        directory = tempfile.mkdtemp(prefix="teal-bench-pgcopydb-")
        try:
            self.shell(f'pgcopydb clone --source "$blue" --target "$green" --table-jobs 2 --index-jobs 2 --dir {directory}/work')
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return {}


class Native(Contender):
    """CREATE SUBSCRIPTION with copy_data into tables that have their indexes."""

    def copy(self):
        self.shell('pg_dump -s "$blue" --no-publications | psql -XqAt -v ON_ERROR_STOP=1 -d "$green" >/dev/null')
        self.green.sql(f"CREATE SUBSCRIPTION native CONNECTION '{self.blue.uri('bench')}' PUBLICATION bench", self.name)
        self.green.wait_for_row("SELECT FROM (SELECT bool_and(srsubstate = 'r') AS r FROM pg_subscription_rel) s WHERE r", self.name)
        return {}

    def clean(self):
        self.green.sql("DROP SUBSCRIPTION native", self.name)


class Teal(Contender):
    def __init__(self, name, blue, green, binary):
        super().__init__(name, blue, green)
        self.binary = binary
        self.directory = tempfile.TemporaryDirectory(prefix="teal-bench-config-")
        self.config = Path(self.directory.name) / "teal.yml"
        self.config.write_text(f"name: bench\nblue: {blue.uri('bench')}\ngreen: {green.uri(name)}\ndirection: forward\n", encoding="utf-8")

    def copy(self):
        process = cluster.start_child([self.binary, "--config", str(self.config), "--log-level", "warn", "run", "--until-synced"])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError("teal did not end with exit code 0")
        return {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}

    def clean(self):
        subprocess.run([self.binary, "--config", str(self.config), "finish", "--yes"], check=True, cwd="/", stdout=subprocess.DEVNULL)


def state(server, database):
    """All that the copies are judged by: a digest of the rows, the indexes and the constraints."""
    return links.digest(server, database, TABLES) + server.sql(OBJECTS, database)


def make_contenders(blue, green, binary):
    return [Pgcopydb("pgcopydb", blue, green), DumpAndRestore("dump_psql", blue, green), PlainCopy("plain_copy", blue, green),
            Native("native", blue, green), Teal("teal", blue, green, binary)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--scale", type=int, default=50, help="of pgbench's tables")
    parser.add_argument("--rows", type=int, default=3_000_000, help="of the table with two more indexes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="only these contenders")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    with links.servers() as (blue, green):
        blue.sql("CREATE DATABASE bench", "postgres")
        blue.pgbench("-i", "-q", "-s", arguments.scale)
        blue.sql(ITEMS.format(rows=arguments.rows) + "ALTER TABLE pgbench_history REPLICA IDENTITY FULL; "
                 "CREATE PUBLICATION bench FOR ALL TABLES; VACUUM ANALYZE;")
        size = int(blue.sql("SELECT pg_database_size('bench')")) / 1e9
        expected = state(blue, "bench")
        contenders = [c for c in make_contenders(blue, green, str(Path(arguments.binary).resolve()))
                      if not arguments.only or c.name in arguments.only]
        results = {contender.name: [] for contender in contenders}
        for number in range(1, arguments.rounds + 1):
            for contender in rotated(contenders, number):
                green.sql(f"CREATE DATABASE {contender.name}", "postgres")
                for server in (blue, green):
                    server.sql("CHECKPOINT", "postgres")
                start = time.monotonic()
                figures = contender.copy()
                seconds = time.monotonic() - start
                if state(green, contender.name) != expected:
                    raise SystemExit(f"round {number}: what {contender.name} has copied differs from blue's: no result")
                contender.clean()
                green.sql(f"DROP DATABASE {contender.name} WITH (FORCE)", "postgres")
                results[contender.name].append({"seconds": seconds} | figures)
                print(f"copy, round {number} of {arguments.rounds}: {contender.name} {seconds:.2f} s", file=sys.stderr)
        rows = summarize(results, "pgcopydb")
        print_table(f"copy of {size:.2f} GB, {arguments.rounds} rounds", rows, "pgcopydb")
        write_json(arguments.json, [{"bench": "copy", "gigabytes": size, "rounds": results, "summary": rows}])


if __name__ == "__main__":
    main()
