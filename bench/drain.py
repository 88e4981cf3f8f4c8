"""Draining a backlog: how long until the last row is visible on the target, teal against the native subscription.

All have a slot from before the load and a database of their own on the same green server. Per round: load blue, then
let each drain in turn, the order rotated from round to round; then compare all rows. A contender whose rows differ
scores nothing."""
import argparse
import json
import statistics
import sys
from pathlib import Path

import links
from contenders import DecodeLimit, Native, PgLogical, Teal
from figures import rotated
from workloads import END_TABLE, WORKLOADS

CONTENDERS = ["native", "native_binary", "pglogical", "decode_paced", "teal"]


def make_contenders(blue, green, arguments, workload):
    binary = str(Path(arguments.binary).resolve())
    tables = [*workload.tables, "bench_end"]
    other = [Teal(blue, green, str(Path(arguments.other).resolve()), tables, "teal_other")] if arguments.other else []
    made = [Native(blue, green),
            Native(blue, green, "native_binary", ", binary = true, streaming = on"),
            PgLogical(blue, green, tables),
            DecodeLimit(blue, str(Path(binary).with_name("decode_limit"))),
            Teal(blue, green, binary, tables)]
    return [contender for contender in made if contender.name in arguments.contender] + other


def writers(contenders):
    return [contender for contender in contenders if not isinstance(contender, DecodeLimit)]


def prepare(blue, green, workload, contenders):
    def create(server, database):
        workload.create(server, database)
        server.sql(END_TABLE, database)

    links.prepare(blue, green, writers(contenders), [*workload.tables, "bench_end"], create)
    for contender in contenders:
        if isinstance(contender, DecodeLimit):
            contender.prepare()


def drain_all(contenders, blue, green, end):
    """`end` is the row to wait for. Returns each one's figures.

    The checkpoint comes before it: where a slot begins to decode the next time moves only when its reader has gone past
    one, and whoever had not would decode what it has already drained once more, in its next round."""
    blue.sql("CHECKPOINT")
    DecodeLimit.after = blue.sql("SELECT pg_current_wal_insert_lsn()")
    blue.sql(f"INSERT INTO bench_end VALUES ({end})")
    blue.warm_log()
    results = {}
    for contender in contenders:
        green.sql("CHECKPOINT", "postgres")
        results[contender.name] = contender.drain(end)
    return results


def run(workload, arguments):
    settings = PgLogical.SETTINGS if PgLogical.name in arguments.contender else {}
    with links.servers(settings) as (blue, green):
        contenders = make_contenders(blue, green, arguments, workload)
        prepare(blue, green, workload, contenders)
        results = {contender.name: [] for contender in contenders}
        for number in range(1, arguments.rounds + 1):
            if workload.refill(blue, number):
                drain_all(contenders, blue, green, -number)
            workload.load(blue, number)
            order = rotated(contenders, number)
            for name, figures in drain_all(order, blue, green, number).items():
                results[name].append(figures)
            links.compare(blue, green, writers(contenders), workload.tables)
            print(f"{workload.name}, round {number} of {arguments.rounds}: " +
                  ", ".join(f"{c.name} {results[c.name][-1]['seconds']:.2f} s" for c in order), file=sys.stderr)
        for contender in contenders:
            contender.finish()
        return results


def summary(results):
    """Medians, and how often each is as fast as the native subscription, or the first where that was left out."""
    rows = []
    base = statistics.median(r["seconds"] for r in results.get("native") or next(iter(results.values())))
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
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="may be given several times; default: all")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.contender is None:
        arguments.contender = [name for name in CONTENDERS if name != PgLogical.name or PgLogical.installed()]
        if not PgLogical.installed():
            print("drain: pglogical is left out: these servers lack it", file=sys.stderr)
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
