"""Comparing two equal databases: `teal verify` against pgcopydb's method and a read that only takes the rows apart.

Nothing is written meanwhile, and no link runs. Each contender reads both servers, one after the other in turn, the order
rotated from round to round; who finds a difference scores nothing."""
import argparse
import subprocess
import sys
import time
from pathlib import Path

import cluster
import links
from figures import print_table, rotated, summarize, write_json
from initial_copy import ITEMS

TABLES = {"pgbench_accounts": "filler", "pgbench_branches": "filler", "pgbench_tellers": "filler", "item": "price"}


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
    name = "teal"

    def __init__(self, binary, jobs):
        self.binary, self.jobs = binary, jobs

    def compare(self, blue, green):
        done = subprocess.run([self.binary, "--blue", blue.uri("bench"), "--green", green.uri("bench"), "--log-level", "error", "verify",
                               "--jobs", str(self.jobs)], stdout=subprocess.PIPE, text=True, cwd="/", check=False)
        if done.returncode != 0:
            raise RuntimeError(f"teal: exit code {done.returncode}: {done.stdout}")
        return {}


def fill(server, arguments):
    server.sql("CREATE DATABASE bench", "postgres")
    server.pgbench("-i", "-q", "-s", arguments.scale)
    server.sql("DROP TABLE pgbench_history; " + ITEMS.format(rows=arguments.rows) + "; VACUUM ANALYZE;")


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
        rows = arguments.scale * 100_011 + arguments.rows
        contenders = [Sums("hashtext", "SELECT count(1), sum(hashtext(t::text)::bigint) FROM {table} t"),
                      Sums("deform", "SELECT max({last}) FROM {table}"),
                      Teal(str(Path(arguments.binary).resolve()), arguments.jobs)]
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
