"""Lag: what rate and apply settings make of the time from a commit on blue to its visibility on green, teal alone.

Sweeps rate x batch_rows_max x batch_bytes_max x queue_bytes_max. In each combination teal runs with these settings while one
writer updates rows by transactions of --transaction rows, and a probe row, 100 times a second, tells the lag. A rate of 0
is as fast as blue can write. Afterwards all rows are compared. Combinations whose queue is smaller than a batch do
not exist, and are left out."""
import argparse
import itertools
import re
import statistics
import sys
from pathlib import Path

import lag_plot
import links
import paced_load
from contenders import Teal, wait_for_end
from figures import write_json
from links import percentile

EVERY_S = 0.01
AS_FAST_AS_IT_GOES = 10_000_000
GRID = {"rate": [10_000, 60_000, 0], "rows": [500, 5_000, 20_000], "bytes": ["256KiB", "1MiB", "4MiB"],
        "queue": ["4MiB", "16MiB", "64MiB"]}
QUICK = {"rate": [10_000, 60_000], "rows": [500, 20_000], "bytes": ["256KiB", "4MiB"], "queue": ["4MiB", "16MiB"]}
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(text):
    """Bytes of a size as teal.yml spells it."""
    match = re.fullmatch(r"(\d+)\s*(|KiB|MiB|GiB)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: 64KiB, 4MiB")
    return int(match[1]) * UNITS[match[2]]


def size_text(text):
    size(text)
    return text


def measure(side, point, arguments):
    """The figures of one combination."""
    blue, green, teal, load = side
    rate, rows, batch_bytes, queue = point
    teal.configure(f"apply: {{ batch_rows_max: {rows}, batch_bytes_max: {batch_bytes}, queue_bytes_max: {queue} }}\n")
    teal.start()
    delays, written = paced_load.run(blue, green, teal.name, load, rate or AS_FAST_AS_IT_GOES, arguments.seconds, EVERY_S)
    measure.end += 1
    blue.sql(f"INSERT INTO bench_end VALUES ({measure.end})")
    wait_for_end(green, teal.name, measure.end)
    used = teal.stop()
    links.compare(blue, green, [teal], paced_load.TABLES)
    values = [delay for _, delay in delays]
    return {"rate": rate, "batch_rows_max": rows, "batch_bytes_max": batch_bytes, "queue_bytes_max": queue,
            "written_per_s": round(written), "p50_ms": percentile(values, 0.5), "p90_ms": percentile(values, 0.9),
            "p99_ms": percentile(values, 0.99), "max_ms": max(values), "growth_ms_per_s": 1000 * paced_load.growth(delays),
            "cpu_us_per_row": used["cpu_seconds"] * 1e6 / (written * arguments.seconds), "peak_mib": used["peak_rss_mib"]}


measure.end = 0


def sweep(arguments):
    grid = QUICK if arguments.quick else GRID
    chosen = [getattr(arguments, axis) or grid[axis] for axis in ("rate", "rows", "bytes", "queue")]
    points = [point for point in itertools.product(*chosen) if size(point[3]) >= size(point[2])]
    results = []
    with links.servers() as (blue, green):
        teal = Teal(blue, green, str(Path(arguments.binary).resolve()), paced_load.TABLES)
        links.prepare(blue, green, [teal], paced_load.TABLES, paced_load.create)
        load = paced_load.Load(blue, "updates", arguments.transaction)
        measure((blue, green, teal, load), points[0], arguments)  # not counted: the first one finds cold caches
        for number, point in enumerate(points, 1):
            results.append(measure((blue, green, teal, load), point, arguments))
            if number % 10 == 0 or number == len(points):
                print(f"lag: {number} of {len(points)} combinations", file=sys.stderr)
        teal.finish()
    return results


def report(results, arguments):
    print(f"lag in ms, {arguments.seconds} s each, updates in transactions of {arguments.transaction} rows (rate 0: as fast as blue can)")
    print(f"{'rows/s':>8} {'written':>8} {'batch rows':>10} {'batch bytes':>11} {'queue':>7} {'p50':>8} {'p90':>8} {'p99':>8} {'max':>8} "
          f"{'grows ms/s':>10} {'cpu us/row':>10} {'peak MiB':>8}")
    for row in results:
        print(f"{row['rate']:>8} {row['written_per_s']:>8} {row['batch_rows_max']:>10} {row['batch_bytes_max']:>11} {row['queue_bytes_max']:>7} "
              f"{row['p50_ms']:>8.1f} {row['p90_ms']:>8.1f} {row['p99_ms']:>8.1f} {row['max_ms']:>8.1f} {row['growth_ms_per_s']:>10.1f} "
              f"{row['cpu_us_per_row']:>10.2f} {row['peak_mib']:>8.1f}")
    print("each setting alone: the median over all combinations that have it")
    for axis in ("batch_rows_max", "batch_bytes_max", "queue_bytes_max"):
        for rate in dict.fromkeys(row["rate"] for row in results):
            parts = []
            for value in dict.fromkeys(row[axis] for row in results):
                same = [row for row in results if row[axis] == value and row["rate"] == rate]
                middle = {key: statistics.median(row[key] for row in same) for key in ("p50_ms", "p99_ms", "peak_mib")}
                parts.append(f"{value}: p50 {middle['p50_ms']:.1f}, p99 {middle['p99_ms']:.1f}, {middle['peak_mib']:.0f} MiB")
            print(f"  {axis:<15} at {rate or 'full speed':>10}   " + "   ".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--quick", action="store_true", help="a smaller grid: two minutes instead of ten")
    parser.add_argument("--rate", type=int, action="append", help="rows a second; this and the next may be given several times")
    parser.add_argument("--rows", type=int, action="append", help="batch_rows_max")
    parser.add_argument("--bytes", type=size_text, action="append", help="batch_bytes_max")
    parser.add_argument("--queue", type=size_text, action="append", help="queue_bytes_max")
    parser.add_argument("--transaction", type=int, default=100, help="rows of each transaction")
    parser.add_argument("--seconds", type=int, default=4, help="of each combination")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--svg", help="also draw them into this file")
    arguments = parser.parse_args()
    results = sweep(arguments)
    report(results, arguments)
    write_json(arguments.json, [{"bench": "lag", "seconds": arguments.seconds, "transaction": arguments.transaction, "points": results}])
    if arguments.svg:
        Path(arguments.svg).write_text(lag_plot.draw(results), encoding="utf-8")


if __name__ == "__main__":
    main()
