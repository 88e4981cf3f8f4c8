"""What benchmarks of running links share: two servers, and each link with a database of its own on green."""
import contextlib
from pathlib import Path

import cluster
from contenders import PUBLICATION, Native, Teal

TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history", "probe", "bench_end"]
MORE_TABLES = """ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY;
CREATE TABLE probe (id bigserial PRIMARY KEY, at timestamptz DEFAULT now()); CREATE TABLE bench_end (id int PRIMARY KEY);"""


@contextlib.contextmanager
def servers():
    """blue and green; both are gone afterwards."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in ("blue", "green"):
            made.append(cluster.Cluster(name))
            stack.callback(made[-1].stop)
        yield made


def prepare(blue, green, binary):
    """Native and teal, with pgbench's tables of scale 10, ready to be started."""
    links = [Native(blue, green), Teal(blue, green, str(Path(binary).resolve()), TABLES)]
    for server, names in ((blue, ["bench"]), (green, [link.name for link in links])):
        for name in names:
            server.sql(f"CREATE DATABASE {name}", "postgres")
            server.pgbench("-i", "-q", "-s", "10", database=name)
            server.sql(MORE_TABLES, name)
    blue.sql(f"CREATE PUBLICATION {PUBLICATION} FOR TABLE " + ", ".join(TABLES))
    for link in links:
        link.prepare()
    return links


def check_level(blue, green, links, end):
    """Brings all links up to blue, by a row of that number, and compares all rows."""
    blue.sql(f"INSERT INTO bench_end VALUES ({end}); CHECKPOINT;")
    for link in links:
        link.drain(end)
    digests = "".join(f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {t} t;" for t in TABLES)
    expected = blue.sql(digests, "bench")
    for link in links:
        if green.sql(digests, link.name) != expected:
            raise SystemExit(f"rows of {link.name} differ from blue's: no result")


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
