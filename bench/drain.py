"""Draining a backlog: how long until the last row is visible on the target, teal against the native subscription.

All have a slot from before the load and a database of their own on the same green server. Per round: load blue, then
let each drain in turn, the order rotated from round to round; then compare all rows. A contender whose rows differ
scores nothing."""
import argparse
import json
import statistics
import sys
from pathlib import Path

import cluster
from contenders import PUBLICATION, DecodeLimit, Native, Teal
from workloads import END_TABLE, WORKLOADS


def make_contenders(blue, green, arguments, workload):
    binary = str(Path(arguments.binary).resolve())
    tables = [*workload.tables, "bench_end"]
    other = [Teal(blue, green, str(Path(arguments.other).resolve()), tables, "teal_other")] if arguments.other else []
    return [Native(blue, green),
            Native(blue, green, "native_binary", ", binary = true, streaming = on"),
            DecodeLimit(blue, str(Path(binary).with_name("decode_limit"))),
            Teal(blue, green, binary, tables), *other]


def writers(contenders):
    return [contender for contender in contenders if not isinstance(contender, DecodeLimit)]


def prepare_databases(blue, green, workload, contenders):
    blue.sql("CREATE DATABASE bench", "postgres")
    workload.create(blue, "bench")
    blue.sql(f"{END_TABLE} CREATE PUBLICATION {PUBLICATION} FOR TABLE " + ", ".join([*workload.tables, "bench_end"]))
    for contender in writers(contenders):
        green.sql(f"CREATE DATABASE {contender.name}", "postgres")
        workload.create(green, contender.name)
        green.sql(END_TABLE, contender.name)


def digest(server, database, tables):
    """A digest of every row of every table, by plain SQL."""
    parts = [f"SELECT '{t}', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {t} t;" for t in tables]
    return server.sql("SET extra_float_digits = 3;" + "".join(parts), database)


def drain_all(contenders, blue, green, end):
    """`end` is the row to wait for. Returns each one's figures."""
    DecodeLimit.after = blue.sql("SELECT pg_current_wal_insert_lsn()")
    blue.sql(f"INSERT INTO bench_end VALUES ({end}); CHECKPOINT;")
    results = {}
    for contender in contenders:
        green.sql("CHECKPOINT", "postgres")
        results[contender.name] = contender.drain(end)
    return results


def run(workload, arguments):
    blue = cluster.Cluster("blue")
    green = None
    try:
        green = cluster.Cluster("green")
        contenders = make_contenders(blue, green, arguments, workload)
        prepare_databases(blue, green, workload, contenders)
        for contender in contenders:
            contender.prepare()
        results = {contender.name: [] for contender in contenders}
        for number in range(1, arguments.rounds + 1):
            if workload.refill(blue, number):
                drain_all(contenders, blue, green, -number)
            workload.load(blue, number)
            turn = number % len(contenders)
            order = contenders[turn:] + contenders[:turn]
            for name, figures in drain_all(order, blue, green, number).items():
                results[name].append(figures)
            expected = digest(blue, "bench", workload.tables)
            for contender in writers(contenders):
                if digest(green, contender.name, workload.tables) != expected:
                    raise SystemExit(f"round {number}: rows of {contender.name} differ from blue's: no result")
            print(f"{workload.name}, round {number} of {arguments.rounds}: " +
                  ", ".join(f"{c.name} {results[c.name][-1]['seconds']:.2f} s" for c in order), file=sys.stderr)
        for contender in contenders:
            contender.finish()
        return results
    finally:
        blue.stop()
        if green is not None:
            green.stop()


def summary(results):
    """Medians, and how often each is as fast as the native subscription."""
    rows = []
    base = statistics.median(r["seconds"] for r in results["native"])
    for name, rounds in results.items():
        seconds = [r["seconds"] for r in rounds]
        median = statistics.median(seconds)
        row = {"contender": name, "median_s": round(median, 3), "min_s": round(min(seconds), 3),
               "max_s": round(max(seconds), 3), "ratio_to_native": round(base / median, 2)}
        for key in ("walsender_cpu_seconds", "cpu_seconds", "peak_rss_mib"):
            if key in rounds[0]:
                row[key] = round(statistics.median(r[key] for r in rounds), 2)
        rows.append(row)
    return rows


def report(workload, rows, rounds):
    print(f"drain {workload.name}: {workload.size:,} {workload.unit} ({workload.what}), {rounds} rounds")
    print(f"{'contender':<14} {'median s':>9} {'min':>7} {'max':>7} {'x native':>9} {'walsender s':>12} {'cpu s':>7} {'peak MiB':>9}")
    for row in rows:
        print(f"{row['contender']:<14} {row['median_s']:>9.2f} {row['min_s']:>7.2f} {row['max_s']:>7.2f} "
              f"{row['ratio_to_native']:>9.2f} {row['walsender_cpu_seconds']:>12} {row.get('cpu_seconds', ''):>7} "
              f"{row.get('peak_rss_mib', ''):>9}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--other", help="another build of teal, to compare with")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="may be given several times; default: all")
    parser.add_argument("--size", type=int, help="changes (tpcb: transactions) of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    figures = []
    for name in arguments.workload or WORKLOADS:
        workload = WORKLOADS[name](arguments.size)
        results = run(workload, arguments)
        rows = summary(results)
        report(workload, rows, arguments.rounds)
        figures.append({"bench": "drain", "workload": name, "size": workload.size, "rounds": results, "summary": rows})
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
