"""latency --large: one writer commits transactions of 1,000 rows, 1.2 times as fast as native can follow.

First the rate is found at which native falls behind: it is raised by steps until the delay of a probe row grows by more
than 50 ms each second, twice in a row; it does as soon as rows come 5 % faster than they are applied. Then native and teal are
measured at 1.2 times the rate that was written in that step. The rows are compared after each."""
import statistics
import sys
from pathlib import Path

import cluster
import links
import paced_load
from contenders import Native, Teal
from figures import rotated, write_json
from links import percentile

CHANGES = list(paced_load.CHANGES)
ROWS = 1_000
FASTER = 1.2
STEP = 1.15
STEP_S = 5
GROWS = 0.05  # seconds of delay a second


class Side:
    """The servers, the load and the contenders of one kind of changes."""

    def __init__(self, blue, green, arguments, change):
        self.blue, self.green, self.change, self.end = blue, green, change, 0
        tables = paced_load.TABLES
        self.native, self.teal = Native(blue, green), Teal(blue, green, str(Path(arguments.binary).resolve()), tables)
        self.contenders = [self.native, self.teal]
        links.prepare(blue, green, self.contenders, tables, paced_load.create)
        self.load = paced_load.Load(blue, change, ROWS)

    def level(self):
        self.end += 1
        links.check_level(self.blue, self.green, self.contenders, self.end, paced_load.TABLES)

    def drained(self, transactions):
        """Rows a second that native drains while nobody writes."""
        for _ in range(transactions):
            self.load.write()
        self.end += 1
        self.blue.sql(f"INSERT INTO bench_end VALUES ({self.end}); CHECKPOINT;")
        return transactions * ROWS / self.native.drain(self.end)["seconds"]

    def measure(self, contender, rate, seconds):
        contender.start()
        idle_before, all_before = cluster.machine_seconds()
        delays, written = paced_load.run(self.blue, self.green, contender.name, self.load, rate, seconds)
        idle, everything = cluster.machine_seconds()
        figures = contender.stop()
        return delays, written, figures | {"idle": (idle - idle_before) / (everything - all_before)}

    def falls_behind_at(self, rate):
        """Rows a second; None: blue could not write that fast. Begins with `rate`. A delay that grows has to do so twice in a row."""
        grew = False
        while True:
            delays, written, _ = self.measure(self.native, rate, STEP_S)
            grows = paced_load.growth(delays)
            print(f"{self.change}: native at {written:,.0f} rows/s: delay grows by {grows * 1000:,.0f} ms a second", file=sys.stderr)
            if grows > GROWS:
                if grew:
                    return written
                grew = True
                continue
            grew = False
            if written < rate * 0.9:
                return None
            rate *= STEP


def summarize(name, delays, written, figures):
    values = [delay for _, delay in delays]
    first, last = (statistics.median(paced_load.third(delays, number)) for number in (0, 2))
    return {"contender": name, "rows_per_s": round(written), "p50": percentile(values, 0.5), "p99": percentile(values, 0.99),
            "max": max(values), "first_third": first, "last_third": last, "bounded": last <= 1.5 * first + 20,
            "probes": len(values)} | {key: figures[key] for key in ("idle", "peak_rss_mib") if key in figures}


def report(title, rows):
    print(title)
    print(f"{'contender':<10} {'rows/s':>9} {'p50 ms':>9} {'p99 ms':>9} {'max':>9} {'first third':>12} {'last third':>11}  delay {'':<9} {'cores idle':>10} {'peak MiB':>9}")
    for row in rows:
        verdict = "is bounded" if row["bounded"] else "grows"
        memory = f"{row['peak_rss_mib']:>9.1f}" if "peak_rss_mib" in row else ""
        print(f"{row['contender']:<10} {row['rows_per_s']:>9,} {row['p50']:>9.1f} {row['p99']:>9.1f} {row['max']:>9.1f} "
              f"{row['first_third']:>12.1f} {row['last_third']:>11.1f}  {verdict:<15} {row['idle']:>10.0%} {memory}", flush=True)


def run(arguments):
    figures = []
    for change in arguments.of or CHANGES:
        with links.servers() as (blue, green):
            side = Side(blue, green, arguments, change)
            drained = side.drained(300)
            limit = side.falls_behind_at(drained * 0.4)
            side.level()
            if limit is None:
                print(f"latency --large, {change}: native does not fall behind at what blue can write: no figure")
                continue
            rows = []
            for number in range(1, arguments.rounds + 1):
                for contender in rotated(side.contenders, number):
                    rows.append(summarize(contender.name, *side.measure(contender, FASTER * limit, arguments.seconds)))
                    side.level()
            report(f"latency --large, {change} of {ROWS:,} rows a transaction: native drains {drained:,.0f} rows/s of a backlog, falls behind "
                   f"at {limit:,.0f}; asked for {FASTER * limit:,.0f}; {arguments.seconds} s each, p50 of the first and last third", rows)
            figures.append({"bench": "latency-large", "change": change, "native_drains": drained, "native_falls_behind": limit,
                            "rows": rows})
            write_json(arguments.json, figures)
            for contender in side.contenders:
                contender.finish()
