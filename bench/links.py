"""What benchmarks of running links share: two servers, and each link with a database of its own on green."""
import contextlib
from pathlib import Path

import cluster
from contenders import PUBLICATION, Native, PgLogical, Teal

TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history", "probe", "bench_end"]
MORE_TABLES = """ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY;
CREATE TABLE probe (id bigserial PRIMARY KEY, at timestamptz DEFAULT now()); CREATE TABLE bench_end (id int PRIMARY KEY);"""


@contextlib.contextmanager
def servers(settings=None):
    """blue and green, with these settings besides; both are gone afterwards."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in ("blue", "green"):
            made.append(cluster.Cluster(name, settings))
            stack.callback(made[-1].stop)
        yield made


def prepare(blue, green, contenders, tables, create):
    """Lets `create(server, database)` make the same tables on blue and for each contender; all have their slots then."""
    for server, names in ((blue, ["bench"]), (green, [contender.name for contender in contenders])):
        for name in names:
            server.sql(f"CREATE DATABASE {name}", "postgres")
            create(server, name)
    blue.sql(f"CREATE PUBLICATION {PUBLICATION} FOR TABLE " + ", ".join(tables))
    for contender in contenders:
        contender.prepare()


def create_pgbench(server, database):
    server.pgbench("-i", "-q", "-s", "10", database=database)
    server.sql(MORE_TABLES, database)


def prepare_pgbench(blue, green, binary, pglogical=False):
    """Native, pglogical if asked for, and teal, with pgbench's tables of scale 10, ready to be started."""
    contenders = [Native(blue, green), Teal(blue, green, str(Path(binary).resolve()), TABLES)]
    if pglogical:
        contenders.insert(1, PgLogical(blue, green, TABLES))
    prepare(blue, green, contenders, TABLES, create_pgbench)
    return contenders


def digest(server, database, tables):
    """Of every row of every table, by plain SQL."""
    parts = [f"SELECT '{t}', count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {t} t;" for t in tables]
    return server.sql("SET extra_float_digits = 3;" + "".join(parts), database)


def compare(blue, green, contenders, tables):
    """A contender whose rows differ from blue's ends the run: there is no result."""
    expected = digest(blue, "bench", tables)
    for contender in contenders:
        if digest(green, contender.name, tables) != expected:
            raise SystemExit(f"rows of {contender.name} differ from blue's: no result")


def check_level(blue, green, contenders, end, tables=TABLES):
    """Brings all contenders up to blue, by a row of that number, and compares all rows."""
    blue.sql(f"INSERT INTO bench_end VALUES ({end}); CHECKPOINT;")
    for contender in contenders:
        contender.drain(end)
    compare(blue, green, contenders, tables)


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
