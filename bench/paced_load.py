"""A load on a schedule, and when green shows what was committed: for loads that a link may not keep up with.

Everything goes by the clock and nothing waits for green, so that a link which falls behind is seen to fall behind."""
import threading
import time

import psycopg2

ITEM = """CREATE TABLE item (id bigint PRIMARY KEY, n bigint, v text) WITH (fillfactor = 50);
INSERT INTO item SELECT k, 0, 'old' FROM generate_series(1, {keys}) k;
CREATE TABLE probe (id bigserial PRIMARY KEY, at timestamptz DEFAULT now()); CREATE TABLE bench_end (id int PRIMARY KEY);
VACUUM ANALYZE;"""
TABLES = ["item", "probe", "bench_end"]
KEYS = 100_000
CHANGES = {  # of transaction $1, counted from 0 for as long as the servers live, with $2 rows
    "updates": f"UPDATE item SET n = n + 1, v = 'change ' || $1 WHERE id > $1 * $2 % {KEYS} AND id <= $1 * $2 % {KEYS} + $2",
    "inserts": f"INSERT INTO item SELECT k, k % 1000, 'item ' || k FROM generate_series({KEYS} + $1 * $2 + 1, {KEYS} + ($1 + 1) * $2) k",
}
GIVE_UP_S = 120


def create(server, database):
    server.sql(ITEM.format(keys=KEYS), database)


def connect(server, database):
    connection = psycopg2.connect(server.uri(database))
    connection.autocommit = True
    return connection


class Schedule(threading.Thread):
    """Calls `step(i)` `per_second` times a second for `seconds`, from a thread of its own; late ones follow at once.
    `rate`: how often it was called in fact, a second."""

    def __init__(self, per_second, seconds, step):
        super().__init__(daemon=True)
        self.per_second, self.seconds, self.step = per_second, seconds, step
        self.rate, self.error = 0.0, None

    def run(self):
        try:
            count, begin = 0, time.perf_counter()
            while (now := time.perf_counter()) < begin + self.seconds:
                due = begin + count / self.per_second
                if now < due:
                    time.sleep(min(due, begin + self.seconds) - now)
                    continue
                self.step(count)
                count += 1
            self.rate = count / (time.perf_counter() - begin)
        except psycopg2.Error as error:
            self.error = error

    def end(self):
        self.join()
        if self.error is not None:
            raise self.error


class Load:
    """One writer on blue; its transactions are numbered on through all runs."""

    def __init__(self, blue, change, rows):
        self.rows, self.number = rows, 0
        self.connection = connect(blue, "bench")
        self.cursor = self.connection.cursor()
        self.cursor.execute(f"PREPARE change (bigint, bigint) AS {CHANGES[change]}")

    def write(self, _=None):
        self.cursor.execute("EXECUTE change (%s, %s)", (self.number, self.rows))
        self.number += 1

    def paced(self, rows_per_second, seconds):
        """Not started yet."""
        return Schedule(rows_per_second / self.rows, seconds, self.write)


class Probe:
    """Commits a row on blue every so often and looks for it on green, about every 2 ms: that is how exact it is."""

    def __init__(self, blue, green, database, every_s=0.02):
        self.green, self.database, self.every_s = green, database, every_s
        self.write_connection, self.read_connection = connect(blue, "bench"), connect(green, database)
        self.committed = []  # id and time, in that order

    def write(self, _):
        self.cursor.execute("INSERT INTO probe DEFAULT VALUES RETURNING id")
        number = self.cursor.fetchone()[0]
        self.committed.append((number, time.perf_counter()))

    def wait_until_it_streams(self):
        """A row has come: what is measured after that is not the start of the link."""
        self.cursor = self.write_connection.cursor()
        self.write(None)
        number, deadline = self.committed.pop()[0], time.perf_counter() + GIVE_UP_S
        look = self.read_connection.cursor()
        look.execute("PREPARE look AS SELECT coalesce(max(id), 0) FROM probe")
        while look.execute("EXECUTE look") or look.fetchone()[0] < number:
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{self.database}: nothing has come for {GIVE_UP_S} s after the start")
            time.sleep(0.002)

    def run(self, seconds):
        """For each row: seconds since the beginning, and the milliseconds until it was seen."""
        look = self.read_connection.cursor()
        writer = Schedule(1 / self.every_s, seconds, self.write)
        begin = time.perf_counter()
        writer.start()
        delays = []
        while writer.is_alive() or len(delays) < len(self.committed):
            look.execute("EXECUTE look")
            there, now = look.fetchone()[0], time.perf_counter()
            while len(delays) < len(self.committed) and self.committed[len(delays)][0] <= there:
                at = self.committed[len(delays)][1]
                delays.append((at - begin, max(0.0, now - at) * 1000))
            if now > begin + seconds + GIVE_UP_S:
                raise RuntimeError(f"{self.database}: a row is not there {GIVE_UP_S} s after the load has ended")
            time.sleep(0.002)
        writer.end()
        self.write_connection.close()
        self.read_connection.close()
        return delays


def run(blue, green, database, load, rows_per_second, seconds, every_s=0.02):
    """The load and a probe beside it. Returns the delays (`Probe.run`) and the rows a second that were written in fact."""
    writer = load.paced(rows_per_second, seconds)
    probe = Probe(blue, green, database, every_s)
    probe.wait_until_it_streams()
    writer.start()
    delays = probe.run(seconds)
    writer.end()
    return delays, writer.rate * load.rows


def growth(delays):
    """By how many seconds the delay grows each second, as the least squares have it: from 0 when it stays as it is."""
    count = len(delays)
    mean_at, mean_delay = (sum(values) / count for values in zip(*delays))
    spread = sum((at - mean_at) ** 2 for at, _ in delays)
    return sum((at - mean_at) * (delay - mean_delay) for at, delay in delays) / spread / 1000


def third(delays, number):
    """The delays alone, of the first (0), second or last third of the time."""
    part = len(delays) // 3
    return [delay for _, delay in delays[number * part:(number + 1) * part]]
