"""Throwaway PostgreSQL servers for the benchmarks: on free ports, as user postgres when run by root, gone at the end.

Whatever is started here ends with this program at the latest: also when it fails, and when a signal stops it."""
import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PG_BIN = Path(os.environ.get("TEAL_BENCH_PG_BIN", "/usr/lib/postgresql/15/bin"))
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_logical_replication_workers": "8",
    "wal_retrieve_retry_interval": "100ms",  # else a native subscription that was off waits for up to 5 s
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
}


def end_on_signals():
    """A signal that stops this program is an error like any other: all is taken away that an error takes away."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number, _):
        for each in signals:  # once is enough: a second one must not stop the taking away
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in signals:
        signal.signal(each, end)


def start_child(arguments, **options):
    """A process that ends with this program at the latest."""
    child = subprocess.Popen(arguments, cwd=options.pop("cwd", "/"), **options)

    def end():
        if child.poll() is None:
            child.kill()
            child.wait()

    atexit.register(end)
    return child


def as_server_user():
    """What makes a child run as the server's user: servers refuse to run as root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("postgres")

    def change():
        os.initgroups("postgres", user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return change


def tool_environment(**more):
    """For the servers' own programs: those of the measured version come first."""
    return dict(os.environ, PATH=f"{PG_BIN}:{os.environ['PATH']}", **more)


class Cluster:
    """One server. `sql` runs statements in a database of it; `stop` ends it and removes its files."""

    def __init__(self, name, settings=None):
        end_on_signals()
        self.name, self.postmaster, self.log = name, None, None
        self.base = Path(tempfile.mkdtemp(prefix=f"teal-bench-{name}-"))
        atexit.register(self.stop)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.base, user.pw_uid, user.pw_gid)
        self.data = self.base / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        settings = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.base)} | (settings or {})
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.writelines(f"{key} = '{value}'\n" for key, value in settings.items())
        self.log = open(self.base / "log", "w", encoding="utf-8")
        self.postmaster = subprocess.Popen([PG_BIN / "postgres", "-D", self.data], stdout=self.log, stderr=self.log,
                                           cwd="/", preexec_fn=as_server_user())
        self._wait_ready()

    def _run(self, program, *arguments):
        subprocess.run([PG_BIN / program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, cwd="/",
                       preexec_fn=as_server_user())

    def _wait_ready(self):
        deadline = time.monotonic() + 60
        while subprocess.run([PG_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode:
            if time.monotonic() > deadline or self.postmaster.poll() is not None:
                raise RuntimeError(f"{self.name} did not start: {(self.base / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def files(self):
        """A directory for what programs leave beside the server; it goes with it."""
        path = self.base / "files"
        path.mkdir(exist_ok=True)
        return path

    def warm_log(self):
        """Reads its log once: whoever drains first would else pay for the disk, where the kernel has let go of it."""
        for segment in (self.data / "pg_wal").iterdir():
            if segment.is_file():
                segment.read_bytes()

    def uri(self, database):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statements, database="bench"):
        """Runs statements one by one and returns the output of all, tuples only."""
        result = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.uri(database), "-f", "-"],
                                input=statements, text=True, capture_output=True, check=False, cwd="/")
        if result.returncode:
            raise RuntimeError(f"{self.name}: {result.stderr}\n{statements[:500]}")
        return result.stdout.strip()

    def wait_for_row(self, query, database, deadline_s=600):
        """Asks until `query` returns a row; returns the time of the answer. Each question is a transaction of its own:
        one that lasts would keep the server from removing dead row versions, and slow down whoever updates."""
        with subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.uri(database)], text=True, bufsize=1,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as psql:
            end = time.monotonic() + deadline_s
            while True:
                psql.stdin.write(f"SELECT count(*) FROM ({query}) q;\n")
                psql.stdin.flush()
                answer = psql.stdout.readline().strip()
                now = time.monotonic()
                if answer == "1":
                    psql.stdin.close()
                    return now
                if now > end or answer == "":
                    raise RuntimeError(f"{self.name}: no answer to {query}")
                time.sleep(0.01)

    def pgbench(self, *arguments, database="bench"):
        result = subprocess.run([PG_BIN / "pgbench", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                                 *map(str, arguments), database], text=True, capture_output=True, check=False, cwd="/")
        if result.returncode:
            raise RuntimeError(result.stderr)
        return result.stdout

    def stop(self):
        if self.postmaster is not None and self.postmaster.poll() is None:
            self.postmaster.send_signal(signal.SIGQUIT)
            self.postmaster.wait(60)
        if self.log is not None:
            self.log.close()
        shutil.rmtree(self.base, ignore_errors=True)


def machine_seconds():
    """CPU seconds of all cores since boot: (idle, all)."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    hertz = os.sysconf("SC_CLK_TCK")
    return (fields[3] + fields[4]) / hertz, sum(fields) / hertz


def cpu_seconds(pid):
    """User and system seconds of a process so far; zeros when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def peak_rss_kib(pid):
    """The largest resident size of a process so far; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
