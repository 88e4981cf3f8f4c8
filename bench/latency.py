"""Latency: from the end of a commit on blue to the moment at which green shows the row, teal against its peers.

A probe commits a row on blue and asks green for it without a pause until it is there, 50 times a second, while pgbench
writes at the given rate. What the asking itself takes is part of it, for all alike. --large is another load: see
large_latency.py."""
import argparse
import statistics
import subprocess
import sys
import time

import cluster
import large_latency
import links
from contenders import PgLogical
from figures import rotated, write_json
from links import percentile

EVERY_S = 0.02


def probe(blue, green, database, seconds):
    """Milliseconds of each commit."""
    import psycopg2

    writer = psycopg2.connect(blue.uri("bench"))
    reader = psycopg2.connect(green.uri(database))
    writer.autocommit = reader.autocommit = True
    write, read = writer.cursor(), reader.cursor()
    read.execute("PREPARE look (bigint) AS SELECT FROM probe WHERE id = $1")
    latencies = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        write.execute("INSERT INTO probe DEFAULT VALUES RETURNING id")
        number = write.fetchone()[0]
        committed = time.perf_counter()
        while True:
            read.execute("EXECUTE look (%s)", (number,))
            if read.rowcount == 1:
                break
            if time.perf_counter() - committed > 60:
                raise RuntimeError(f"{database}: a row is not there after 60 s")
        took = time.perf_counter() - committed
        latencies.append(took * 1000)
        time.sleep(max(0.0, EVERY_S - took))
    writer.close()
    reader.close()
    return latencies


def load(blue, rate, seconds):
    """pgbench at that many transactions a second; None for none."""
    if rate == 0:
        return None
    return cluster.start_child([cluster.PG_BIN / "pgbench", "-h", "127.0.0.1", "-p", str(blue.port), "-U", "postgres", "-n",
                                "-M", "prepared", "-c", "8", "-j", "1", "-R", str(rate), "-T", str(seconds), "bench"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(contender, blue, green, rate, seconds):
    """Only this contender's link runs meanwhile."""
    contender.start()
    writers = load(blue, rate, seconds + 2)
    time.sleep(1)
    try:
        return probe(blue, green, contender.name, seconds)
    finally:
        if writers is not None and writers.wait(60) != 0:
            raise RuntimeError("pgbench failed")
        contender.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rate", type=int, action="append", help="transactions a second, may be repeated; default: 0, 500, 1500")
    parser.add_argument("--large", action="store_true", help="one writer, transactions of 1,000 rows, faster than native follows")
    parser.add_argument("--of", action="append", choices=large_latency.CHANGES, help="with --large: only these changes")
    parser.add_argument("--seconds", type=int, default=15, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.large:
        return large_latency.run(arguments)
    figures = []
    with links.servers(PgLogical.SETTINGS if PgLogical.installed() else {}) as (blue, green):
        contenders = links.prepare_pgbench(blue, green, arguments.binary, PgLogical.installed())
        end = 0
        for rate in arguments.rate or [0, 500, 1500]:
            results = {contender.name: [] for contender in contenders}
            for number in range(1, arguments.rounds + 1):
                for contender in rotated(contenders, number):
                    results[contender.name].append(measure(contender, blue, green, rate, arguments.seconds))
                    end += 1
                    links.check_level(blue, green, contenders, end)
                print(f"latency at {rate}/s, round {number} of {arguments.rounds}", file=sys.stderr)
            print(f"latency at {rate} transactions/s, ms, {arguments.rounds} rounds of {arguments.seconds} s")
            print(f"{'contender':<16} {'p50':>8} {'p99':>8} {'max':>8} {'probes':>8}")
            for name, rounds in results.items():
                row = {"p50": statistics.median(percentile(r, 0.5) for r in rounds),
                       "p99": statistics.median(percentile(r, 0.99) for r in rounds), "max": max(map(max, rounds))}
                print(f"{name:<16} {row['p50']:>8.2f} {row['p99']:>8.2f} {row['max']:>8.1f} {sum(map(len, rounds)):>8}", flush=True)
                figures.append({"bench": "latency", "rate": rate, "contender": name} | row)
        write_json(arguments.json, figures)
        for contender in contenders:
            contender.finish()


if __name__ == "__main__":
    main()
