"""Scale: what a change costs teal as backlog, number of tables, row width and transaction size grow by tens.

Each point has servers of its own. teal first drains nothing, which tells what its start costs there (checks of all tables,
connections); then a backlog, of which that is taken off. CPU is that of teal, of blue's process that sends and of green's that applies, for
each change (width: for each kB as well). All rows are compared afterwards."""
import argparse
import sys
import time
from pathlib import Path

import cluster
import links
from contenders import Teal, wait_for_end
from figures import write_json
from workloads import END_TABLE, Workload

ROUGH = 1.5  # so many times the cost of the cheapest point before: not linear
CERTAIN_S = 0.05  # and at least so much time more: CPU is counted in ticks of 10 ms


class Point:
    """`count` changes in transactions of `per` rows: an insert transaction, an update transaction of rows that are there from the
    beginning, and so on, each of one of the tables in turn. No row is changed twice, so that nothing can be merged."""

    def __init__(self, value, count, tables=1, width=50, per=100):
        self.value, self.per = value, per
        self.pairs = max(1, count // 2 // per)
        self.count = 2 * self.pairs * per
        self.tables = [f"item_{number}" for number in range(tables)]
        text = f"left(repeat(md5(k::text), {width // 32 + 1}), {width})"
        self.insert = f"INSERT INTO %I SELECT k, k %% 1000, {text} FROM generate_series($1 + 1, $1 + {per}) k"
        self.update = f"UPDATE %I SET n = n + 1, v = reverse(v) WHERE id > $1 AND id <= $1 + {per}"

    def execute(self, statement, first):
        """In a loop over i; `first` is the highest key below those that it is about."""
        return f"EXECUTE format('{statement}', 'item_' || i % {len(self.tables)}) USING ({first})::bigint * {self.per}"

    def create(self, server, database):
        """Rows for the updates have keys up to 0. Values are stored as they are: nobody's time goes into compressing them."""
        server.sql("".join(f"CREATE TABLE {table} (id bigint PRIMARY KEY, n int, v text);"
                           f"ALTER TABLE {table} ALTER v SET STORAGE EXTERNAL;" for table in self.tables), database)
        Workload.in_transactions(server, self.pairs, self.execute(self.insert, "-i"), database)
        server.sql(f"{END_TABLE} VACUUM ANALYZE;", database)

    def load(self, blue):
        Workload.in_transactions(blue, self.pairs, f"{self.execute(self.insert, 'i')}; COMMIT; {self.execute(self.update, '-i')}")


def dimensions(changes):
    """What grows, and the points of it. `changes` scales all of them; 200,000 by default."""
    widths = [(100, changes), (1_000, changes), (10_000, changes // 10), (100_000, changes // 100)]
    return {
        "backlog": [Point(count, count) for count in (changes // 20, changes // 2, changes * 5)],
        "tables": [Point(tables, changes, tables=tables) for tables in (1, 10, 100, 1_000)],
        "width": [Point(width, count, width=width, per=10) for width, count in widths],
        "transaction": [Point(per, max(changes, 2 * per), per=per) for per in (1, 10, 100, 1_000, 10_000, changes // 2, changes * 5)],
    }


def applier_pid(green):
    """green's process that applies, which is there as soon as the stream is read."""
    green.wait_for_row("SELECT FROM pg_stat_activity WHERE application_name = 'teal/bench/blue_to_green'", "postgres", 60)
    return int(green.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'teal/bench/blue_to_green'", "postgres"))


def drain(blue, green, teal, end):
    """Seconds, and CPU of all three processes."""
    blue.sql(f"INSERT INTO bench_end VALUES ({end}); CHECKPOINT;")
    green.sql("CHECKPOINT", teal.name)
    begin = time.monotonic()
    walsender = teal.start()
    applier = applier_pid(green)
    seconds = wait_for_end(green, teal.name, end) - begin
    figures = {"wall": seconds, "sender": walsender.cpu_seconds(), "green": sum(cluster.cpu_seconds(applier))}
    used = teal.stop()
    return figures | {"cpu": used["cpu_seconds"], "peak_mib": used["peak_rss_mib"]}


def measure(point, binary):
    with links.servers() as (blue, green):
        tables = [*point.tables, "bench_end"]
        teal = Teal(blue, green, binary, tables)
        links.prepare(blue, green, [teal], tables, point.create)
        start = drain(blue, green, teal, 1)
        point.load(blue)
        figures = drain(blue, green, teal, 2)
        links.compare(blue, green, [teal], tables)
        teal.finish()
    row = {"value": point.value, "changes": point.count, "start_s": round(start["wall"], 3), "peak_mib": round(figures["peak_mib"], 1)}
    for key in ("wall", "cpu", "sender", "green"):
        row[f"{key}_us"] = round(max(0.0, figures[key] - start[key]) * 1e6 / point.count, 3)
    return row


def report(name, rows):
    per_kb = name == "width"
    print(f"scale, {name}: microseconds for each change" + (", and for each kB of the row" if per_kb else ""))
    keys = ["wall", "cpu", "sender", "green"]
    print(f"{name:>12} {'changes':>9} " + " ".join(f"{key + ' us':>10}" for key in keys) + f" {'start s':>8} {'peak MiB':>9}" +
          (f" {'wall/kB':>8} {'cpu/kB':>8}" if per_kb else ""))
    for row in rows:
        more = f" {row['wall_us'] * 1000 / row['value']:>8.2f} {row['cpu_us'] * 1000 / row['value']:>8.2f}" if per_kb else ""
        print(f"{row['value']:>12,} {row['changes']:>9,} " + " ".join(f"{row[key + '_us']:>10.2f}" for key in keys) +
              f" {row['start_s']:>8.2f} {row['peak_mib']:>9.1f}{more}", flush=True)
    for line in rough_places(name, rows):
        print(f"  not linear: {line}")


def rough_places(name, rows):
    """Where a change (width: a kB) costs much more than at the cheapest point before. One sentence for each."""
    found = []
    for key in ("wall_us", "cpu_us", "sender_us", "green_us"):
        costs = [row[key] * (1000 / row["value"] if name == "width" else 1) for row in rows]
        for number in range(1, len(rows)):
            long_enough = [cost for cost, row in zip(costs[:number], rows) if cost * row["changes"] / 1e6 > CERTAIN_S]
            if not long_enough:
                continue
            cheapest, cost = min(long_enough), costs[number]
            seconds = (cost - ROUGH * cheapest) / cost * rows[number][key] * rows[number]["changes"] / 1e6 if cost else 0.0
            if seconds > CERTAIN_S and cost > costs[number - 1]:
                found.append(f"{key[:-3]} at {name} {rows[number]['value']:,}: {cost:.2f} us, {cheapest:.2f} at the cheapest before")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--dimension", action="append", choices=dimensions(200_000), help="may be given several times; default: all")
    parser.add_argument("--changes", type=int, default=200_000, help="of most points; the others grow with it")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    figures = []
    for name, points in dimensions(arguments.changes).items():
        if arguments.dimension and name not in arguments.dimension:
            continue
        rows = []
        for point in points:
            rows.append(measure(point, str(Path(arguments.binary).resolve())))
            print(f"scale, {name} {point.value:,}: {rows[-1]['wall_us']:.2f} us", file=sys.stderr)
        report(name, rows)
        figures.append({"bench": "scale", "dimension": name, "rows": rows})
        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
