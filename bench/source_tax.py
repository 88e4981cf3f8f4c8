"""What a link costs the source: pgbench on blue with nobody, with native and with teal reading along.

Closed load (as fast as it goes) on blue alone; the figures are blue's transactions per second, their latencies, and the CPU
of the process that sends. The rows are compared afterwards; who differs scores nothing."""
import argparse
import statistics
import subprocess
import sys

import cluster
import links
from figures import print_table, rotated, summarize, write_json
from links import percentile


class Nobody:
    name = "nobody"

    def start(self):
        return None

    def stop(self):
        return {}


def pgbench(blue, seconds, directory):
    """Transactions per second, and the latencies in ms of a tenth of them."""
    for log in directory.glob("pgbench_log*"):
        log.unlink()
    result = subprocess.run([cluster.PG_BIN / "pgbench", "-h", "127.0.0.1", "-p", str(blue.port), "-U", "postgres", "-n", "-M",
                             "prepared", "-c", "4", "-j", "1", "-T", str(seconds), "-l", "--sampling-rate=0.1", "bench"],
                            text=True, capture_output=True, check=True, cwd=directory)
    tps = float(next(line for line in result.stdout.splitlines() if line.startswith("tps")).split()[2])
    micros = [int(line.split()[2]) for log in directory.glob("pgbench_log*") for line in log.read_text().splitlines()]
    return tps, [us / 1000 for us in micros]


def measure(contender, blue, seconds, directory):
    walsender = contender.start()
    before = walsender.cpu_seconds() if walsender else 0.0
    tps, latencies = pgbench(blue, seconds, directory)
    cpu = walsender.cpu_seconds() - before if walsender else 0.0
    contender.stop()
    return {"tps": tps, "p50_ms": percentile(latencies, 0.5), "p99_ms": percentile(latencies, 0.99),
            "walsender_us_per_change": cpu * 1e6 / (tps * seconds * 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=int, default=15, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    with links.servers() as (blue, green):
        made = links.prepare_pgbench(blue, green, arguments.binary)
        contenders = [Nobody(), *made]
        results = {contender.name: [] for contender in contenders}
        end = 0
        for number in range(1, arguments.rounds + 1):
            for contender in rotated(contenders, number):
                results[contender.name].append(measure(contender, blue, arguments.seconds, blue.base))
                end += 1
                links.check_level(blue, green, made, end)
            print(f"source-tax, round {number} of {arguments.rounds}", file=sys.stderr)
        for link in made:
            link.finish()
        rows = summarize(results, "nobody", "tps")
        for row in rows:  # more is better here
            row["ratio"] = round(row["median"] / statistics.median(r["tps"] for r in results["nobody"]), 3)
        print_table(f"source tax: pgbench on blue, 4 clients, {arguments.rounds} rounds of {arguments.seconds} s", rows, "nobody", "tps")
        write_json(arguments.json, [{"bench": "source-tax", "rounds": results, "summary": rows}])


if __name__ == "__main__":
    main()
