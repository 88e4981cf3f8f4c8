"""What the drain benchmark drains: tables, the rows that both sides begin with, and a round's changes."""

END_TABLE = "CREATE TABLE bench_end (id int PRIMARY KEY);"


class Workload:
    """Subclasses have `name`, `what`, `tables`, `size` (changes or transactions of a round), `unit`, `create` and `load`."""

    tables = ["item"]
    unit = "changes"

    def __init__(self, size=None):
        self.size = size or self.size

    def create(self, server, database):
        """The same rows for blue and for each contender's database."""
        raise NotImplementedError

    def refill(self, blue, number):
        """What a round needs beforehand: drained by all, not measured. Returns whether there was anything."""
        return False

    def load(self, blue, number):
        """The changes that are measured."""
        raise NotImplementedError

    @staticmethod
    def in_transactions(server, count, statement, database="bench"):
        """Runs `statement` in `count` transactions, without waiting for the disk; in it, i counts from 1."""
        server.sql(f"SET synchronous_commit = off; DO $$ BEGIN FOR i IN 1..{count} LOOP {statement}; COMMIT; END LOOP; END $$;", database)


class Tpcb(Workload):
    name, what = "tpcb", "pgbench's TPC-B, 8 clients"
    tables = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"]
    size, unit = 200_000, "transactions"
    scale = 20

    def create(self, server, database):
        server.pgbench("-i", "-q", "-s", self.scale, database=database)
        server.sql("ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY;", database)

    def load(self, blue, number):
        blue.pgbench("-n", "-M", "prepared", "-c", "8", "-j", "2", "-t", self.size // 8)


class Inserts(Workload):
    name, what = "inserts", "inserts into one table of 5 columns, 1,000 a transaction"
    size = 1_000_000
    per_transaction = 1_000

    def create(self, server, database):
        server.sql("CREATE TABLE item (id bigint PRIMARY KEY, n int, v text, at timestamptz, price numeric(12, 2));", database)

    def rows(self, first, count):
        return (f"INSERT INTO item SELECT k, k % 1000, 'item ' || k, '2026-01-01'::timestamptz + k * interval '1 second', "
                f"k / 100.0 FROM generate_series({first}, {first} + {count} - 1) k")

    def load(self, blue, number):
        transactions = self.size // self.per_transaction
        first = f"{number * self.size} + (i - 1) * {self.per_transaction}"
        self.in_transactions(blue, transactions, self.rows(first, self.per_transaction))


class LargeInsert(Inserts):
    name, what = "large", "inserts into one table of 5 columns, all in one transaction"

    def load(self, blue, number):
        blue.sql(self.rows(number * self.size, self.size) + ";")


class WideUpdates(Workload):
    name, what = "wide", "updates of rows of 32 columns and 1.1 kB, each of 50,000 keys in turn, 1,000 a transaction"
    size = 500_000
    keys = 50_000

    def create(self, server, database):
        names = [f"c{i}" for i in range(1, 32)]
        columns = ", ".join(f"{name} text" for name in names)
        values = ", ".join(f"repeat(chr(97 + (k + {i}) % 26), 35)" for i in range(len(names)))
        server.sql(f"CREATE TABLE item (id bigint PRIMARY KEY, {columns});"
                   f"INSERT INTO item SELECT k, {values} FROM generate_series(1, {self.keys}) k; VACUUM ANALYZE item;", database)

    def load(self, blue, number):
        parts = self.keys // 1_000
        self.in_transactions(
            blue, self.size // 1_000,
            f"UPDATE item SET c1 = 'round {number}, ' || i, c2 = md5(i::text || id), c3 = repeat('y', i % 60), "
            f"c31 = md5(id::text || i) WHERE id > (i - 1) % {parts} * 1000 AND id <= (i - 1) % {parts} * 1000 + 1000")


class HotKeys(Workload):
    name, what = "hot", "updates of the same 1,000 rows, 1,000 a transaction"
    size = 1_000_000
    keys = 1_000

    def create(self, server, database):
        server.sql("CREATE TABLE item (id bigint PRIMARY KEY, n bigint, v text);"
                   f"INSERT INTO item SELECT k, 0, 'old' FROM generate_series(1, {self.keys}) k; VACUUM ANALYZE item;", database)

    def load(self, blue, number):
        self.in_transactions(blue, self.size // self.keys, f"UPDATE item SET n = n + 1, v = 'round {number}, ' || i")


class Deletes(Inserts):
    name, what = "deletes", "deletes, 1,000 a transaction"
    size = 500_000

    def refill(self, blue, number):
        blue.sql(self.rows(1, self.size) + "; VACUUM item;")
        return True

    def load(self, blue, number):
        self.in_transactions(blue, self.size // 1_000, "DELETE FROM item WHERE id > (i - 1) * 1000 AND id <= i * 1000")


WORKLOADS = {kind.name: kind for kind in (Tpcb, Inserts, LargeInsert, WideUpdates, HotKeys, Deletes)}
