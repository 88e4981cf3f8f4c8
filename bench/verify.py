"""Comparing two equal databases: `teal verify` against pgcopydb's method and a read that only takes the rows apart.

Nothing is written meanwhile, nothing is left to be written, and no link runs. Each contender reads both servers, one after the other in turn, the order
rotated from round to round; who finds a difference scores nothing."""
import argparse
import subprocess
import sys
import time
from pathlib import Path

import cluster
import links
from delay_proxy import DelayProxy
from figures import print_table, rotated, summarize, write_json
from initial_copy import ITEMS

TABLES = {"pgbench_accounts": "filler", "pgbench_branches": "filler", "pgbench_tellers": "filler", "item": "price"}
DELAY_S = 0.05


class Sums:
    """The same statement for each table, on both servers at the same time; their answers have to agree."""

    def __init__(self, name, statement):
        self.name, self.statement = name, statement

    def compare(self, blue, green):
        for table, last in TABLES.items():
            sql = self.statement.format(table=table, last=last)
            asked = [subprocess.Popen(["psql", "-XqAtc", sql, "-d", server.uri("bench")], stdout=subprocess.PIPE, text=True,
                                      cwd="/", env=cluster.tool_environment()) for server in (blue, green)]
            answers = [process.communicate()[0] for process in asked]
            if answers[0] != answers[1] or any(process.returncode for process in asked):
                raise RuntimeError(f"{self.name}: {table} differs: {answers}")
        return {}


class Teal:
    """`delay_s`: each answer of the servers comes that much later."""

    def __init__(self, binary, jobs, name="teal", delay_s=0.0):
        self.binary, self.jobs, self.name, self.delay_s = binary, jobs, name, delay_s
        self.uris = []

    def connect(self, blue, green):
        """How each server is reached, the same in every round."""
        self.uris = [server.uri("bench") for server in (blue, green)]
        if self.delay_s > 0:
            self.uris = [server.uri("bench").replace(f":{server.port}/", f":{DelayProxy(server.port, self.delay_s).port}/")
                         for server in (blue, green)]

    def compare(self, blue, green):
        if not self.uris:
            self.connect(blue, green)
        done = subprocess.run([self.binary, "--blue", self.uris[0], "--green", self.uris[1], "--log-level", "info", "verify", "--jobs",
                               str(self.jobs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", check=False)
        if done.returncode != 0:
            raise RuntimeError(f"teal: exit code {done.returncode}: {done.stdout}{done.stderr}")
        if "rows are hashed here" in done.stderr:
            raise RuntimeError(f"{self.name}: rows were hashed in the client, and nobody asked for that")
        return {}


def fill(server, arguments):
    server.sql("CREATE DATABASE bench", "postgres")
    server.pgbench("-i", "-q", "-s", arguments.scale)
    server.sql("DROP TABLE pgbench_history; " + ITEMS.format(rows=arguments.rows) + "; VACUUM ANALYZE;")
    server.sql("CHECKPOINT")  # else the first who reads by an index writes what the filling has left


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--scale", type=int, default=50, help="of pgbench's tables")
    parser.add_argument("--rows", type=int, default=3_000_000, help="of the table with text")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    with links.servers() as (blue, green):
        for server in (blue, green):
            fill(server, arguments)
        binary = str(Path(arguments.binary).resolve())
        rows = arguments.scale * 100_011 + arguments.rows
        contenders = [Sums("hashtext", "SELECT count(1), sum(hashtext(t::text)::bigint) FROM {table} t"),
                      Sums("deform", "SELECT max({last}) FROM {table}"),
                      Teal(binary, arguments.jobs), Teal(binary, arguments.jobs, "teal, 50 ms", DELAY_S)]
        results = {contender.name: [] for contender in contenders}
        for number in range(1, arguments.rounds + 1):
            for contender in rotated(contenders, number):
                start = time.monotonic()
                figures = contender.compare(blue, green)
                seconds = time.monotonic() - start
                results[contender.name].append({"seconds": seconds} | figures)
                print(f"verify, round {number} of {arguments.rounds}: {contender.name} {seconds:.2f} s", file=sys.stderr)
        summary = summarize(results, "hashtext")
        print_table(f"verify of {rows:,} rows on each side, {arguments.rounds} rounds", summary, "hashtext")
        write_json(arguments.json, [{"bench": "verify", "rows": rows, "rounds": results, "summary": summary}])


if __name__ == "__main__":
    main()
