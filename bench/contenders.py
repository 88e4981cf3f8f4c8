"""Who drains: each has a slot on blue from before the load, and a database of its own on green, named like it."""
import subprocess
import tempfile
import time
from pathlib import Path

import cluster

PUBLICATION = "teal_bench_blue_to_green"


def wait_for_end(green, database, end):
    return green.wait_for_row(f"SELECT FROM bench_end WHERE id = {end}", database)


def wait_slot_free(blue, slot):
    deadline = time.monotonic() + 60
    while blue.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t":
        if time.monotonic() > deadline:
            raise RuntimeError(f"slot {slot} stays active")
        time.sleep(0.02)


def drain(contender, green, end):
    """From the start of a contender until the row of that number is visible in its database."""
    start = time.monotonic()
    walsender = contender.start()
    took = wait_for_end(green, contender.name, end) - start
    cpu = walsender.cpu_seconds()
    return {"seconds": took, "walsender_cpu_seconds": cpu} | contender.stop()


class Native:
    """CREATE SUBSCRIPTION with the given options."""

    def __init__(self, blue, green, name="native", options=""):
        self.blue, self.green, self.name, self.options = blue, green, name, options

    def prepare(self):
        self.green.sql(f"CREATE SUBSCRIPTION {self.name} CONNECTION '{self.blue.uri('bench')}' PUBLICATION {PUBLICATION} "
                       f"WITH (copy_data = false, enabled = false{self.options})", self.name)

    def start(self):
        """Returns the process of blue that sends."""
        self.green.sql(f"ALTER SUBSCRIPTION {self.name} ENABLE", self.name)
        return Walsender(self.blue, self.name)

    def stop(self):
        self.green.sql(f"ALTER SUBSCRIPTION {self.name} DISABLE", self.name)
        wait_slot_free(self.blue, self.name)
        return {}

    def drain(self, end):
        return drain(self, self.green, end)

    def finish(self):
        self.green.sql(f"DROP SUBSCRIPTION {self.name}", self.name)


class PgLogical:
    """The extension of that name with its own defaults, on servers that have it preloaded (`SETTINGS`)."""

    name = "pglogical"
    SETTINGS = {"shared_preload_libraries": "pglogical", "max_worker_processes": "32"}

    def __init__(self, blue, green, tables):
        self.blue, self.green, self.tables = blue, green, tables
        self.slot = None

    @staticmethod
    def installed():
        return (cluster.PG_BIN.parent / "lib" / "pglogical.so").exists()

    def prepare(self):
        self.blue.sql(f"CREATE EXTENSION pglogical; SELECT pglogical.create_node('bench_blue', '{self.blue.uri('bench')}');"
                      "SELECT pglogical.create_replication_set('bench');" +
                      "".join(f"SELECT pglogical.replication_set_add_table('bench', '{table}');" for table in self.tables))
        self.green.sql(f"CREATE EXTENSION pglogical; SELECT pglogical.create_node('bench_green', '{self.green.uri(self.name)}');"
                       f"SELECT pglogical.create_subscription('bench', '{self.blue.uri('bench')}', ARRAY['bench'], "
                       "synchronize_structure := false, synchronize_data := false);", self.name)
        status = "pglogical.show_subscription_status()"
        self.green.wait_for_row(f"SELECT FROM {status} WHERE status = 'replicating'", self.name, 60)
        self.slot = self.green.sql(f"SELECT slot_name FROM {status}", self.name)
        self.stop()

    def start(self):
        self.green.sql("SELECT pglogical.alter_subscription_enable('bench', true)", self.name)
        return Walsender(self.blue, self.slot)

    def stop(self):
        self.green.sql("SELECT pglogical.alter_subscription_disable('bench', true)", self.name)
        wait_slot_free(self.blue, self.slot)
        return {}

    def drain(self, end):
        return drain(self, self.green, end)

    def finish(self):
        self.green.sql("SELECT pglogical.drop_subscription('bench')", self.name)


class Teal:
    """The `teal` binary; with another name, another build of it. `settings`: more lines for its configuration."""

    def __init__(self, blue, green, binary, tables, name="teal", settings=""):
        self.green, self.blue, self.binary, self.tables, self.name = green, blue, binary, tables, name
        migration = "bench" if name == "teal" else name.replace("_", "")
        self.slot = f"teal_{migration}_blue_to_green"  # and the publication
        self.directory = tempfile.TemporaryDirectory(prefix="teal-bench-config-")
        self.config = Path(self.directory.name) / "teal.yml"
        self.lines = (f"name: {migration}\nblue: {blue.uri('bench')}\ngreen: {green.uri(self.name)}\n"
                      "direction: forward\ncopy: { schema: false }\n"
                      "tables: { include: [" + ", ".join(f"public.{t}" for t in tables) + "] }\n")
        self.configure(settings)

    def configure(self, settings):
        """What the next start reads."""
        self.config.write_text(self.lines + settings, encoding="utf-8")

    def command(self, *arguments):
        return [self.binary, "--config", str(self.config), *arguments]

    def prepare(self):
        if self.slot != PUBLICATION:
            self.blue.sql(f"CREATE PUBLICATION {self.slot} FOR TABLE " + ", ".join(self.tables))
        subprocess.run(self.command("--log-level", "warn", "run", "--no-copy", "--until-synced"), check=True, cwd="/")

    def start(self):
        self.process = cluster.start_child(self.command("--log-level", "warn", "run", "--no-copy"))
        return Walsender(self.blue, self.slot)

    def stop(self):
        user, system = cluster.cpu_seconds(self.process.pid)
        rss = cluster.peak_rss_kib(self.process.pid)
        self.process.terminate()
        if self.process.wait(60) != 0:
            raise RuntimeError("teal did not end with exit code 0")
        wait_slot_free(self.blue, self.slot)
        return {"cpu_seconds": user + system, "peak_rss_mib": rss / 1024}

    def drain(self, end):
        return drain(self, self.green, end)

    def finish(self):
        subprocess.run(self.command("finish", "--yes"), check=True, cwd="/", stdout=subprocess.DEVNULL)
        self.directory.cleanup()


class DecodeLimit:
    """A reader that throws away what the source sends: nobody who applies it can be faster. `eager`: it reads whatever is
    there, instead of letting the receive window close."""

    after = "0/0"  # the commit to wait for ends above this position

    def __init__(self, blue, program, eager=False):
        self.blue, self.program, self.eager = blue, program, eager
        self.name = "decode_eager" if eager else "decode_paced"

    def prepare(self):
        self.blue.sql(f"SELECT pg_create_logical_replication_slot('{self.name}', 'pgoutput')")

    def drain(self, end):
        start = time.monotonic()
        reader = cluster.start_child([self.program, self.blue.uri("bench"), self.name, PUBLICATION, self.after,
                                      *(["--eager"] if self.eager else [])], stdout=subprocess.DEVNULL)
        walsender = Walsender(self.blue, self.name)
        cpu = walsender.watch(reader)
        if reader.returncode != 0:
            raise RuntimeError("decode_limit failed")
        took = time.monotonic() - start
        wait_slot_free(self.blue, self.name)
        return {"seconds": took, "walsender_cpu_seconds": cpu}

    def finish(self):
        self.blue.sql(f"SELECT pg_drop_replication_slot('{self.name}')")


class Walsender:
    """The process of blue that sends a slot's stream. Waits for it to begin."""

    def __init__(self, blue, slot):
        query = f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'"
        deadline = time.monotonic() + 60
        while not (pid := blue.sql(query)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody reads slot {slot}")
            time.sleep(0.02)
        self.pid = int(pid)

    def cpu_seconds(self):
        return sum(cluster.cpu_seconds(self.pid))

    def watch(self, reader):
        """Waits for the reader to end; returns the walsender's seconds until then."""
        seconds = 0.0
        while reader.poll() is None:
            seconds = max(seconds, self.cpu_seconds())
            time.sleep(0.01)
        return seconds
