"""Runs built tests and prints "N passed, N failed"; called by tests/run.sh.

Each scenario runs in a process of its own and each suite of unit tests in one, two at a time and each with a time
limit, so that a crash or a hang costs one test and not the run. All processes that a test leaves behind come to this
one (it is their "subreaper"): they are killed at the end and count as a failure.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import dataclasses
import fnmatch
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TESTS = pathlib.Path(__file__).resolve().parent.parent
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x00020000
OWN_MAJOR = 15
# What is run again on each pair of server versions: what depends on the servers most. "Join." is a suite, not a word.
PAIR_TESTS = ["AheadOfTheCommit.C5", "AheadOfTheCommit.M2", "Binary", "CopiedInserts", "CopyInPieces.I7", "Crash",
              "Cutover.W13", "CutoverChecks.L2", "CutoverChecks.L5Without", "CutoverFaults.L1", "DepartedPartition", "FenceTest", "Interruptions", "Join.", "LargeTransactions.C5",
              "LargeTransactions.M2", "OriginPosition", "PartitionAttack.H7", "Partitions", "PromotedGreen",
              "Tail.C1", "Tail.KilledIt", "TwoPhase", "TwoWayApart", "Types", "VerifyBeyond.", "VerifyForms",
              "WalOracle", "WholeRows"]
TWO_WAY_SUITES = ["TwoWay", "Sequences.", "UniqueKeys", "ManyClaims", "OtherClock.", "ConflictsCommand.",
                  "Cutover.W13", "CutoverChecks.L2", "CutoverFaults.L1"]
SCENARIO_SECONDS_MAX = 300
UNIT_SECONDS_MAX = 300
LONG_FACTOR = 6
TIDY_SECONDS_MAX = 2400
FUZZ_SECONDS = 30
OUTPUT_BYTES_MAX = 40_000


@dataclasses.dataclass
class Job:
    """One process to run. `names` are the tests in it: a crash fails those that it did not come to."""

    title: str
    argv: list
    names: list
    seconds_max: int
    gtest: bool
    environment: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Outcome:
    title: str
    passed: list
    failed: list
    output: str
    seconds: float


class Runner:
    """Starts jobs in process groups of their own, and ends them all when told to."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.lock = threading.Lock()
        self.running = set()
        self.stopped = False

    def run(self, job):
        started = time.monotonic()
        report = self.scratch / f"{threading.get_ident()}.json"
        report.unlink(missing_ok=True)
        argv = job.argv + ([f"--gtest_output=json:{report}"] if job.gtest else [])
        environment = dict(os.environ, TEAL_TEST_DIR=str(self.scratch), TEAL_TEST_TEMPLATE=str(self.scratch / "template"),
                           **job.environment)
        with tempfile.TemporaryFile(dir=self.scratch) as output:
            with self.lock:
                if self.stopped:
                    return Outcome(job.title, [], job.names, "not run", 0)
                process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                           env=environment, start_new_session=True)
                self.running.add(process)
            code, note = self.wait(process, job.seconds_max)
            output.seek(0)
            text = output.read().decode(errors="replace")[-OUTPUT_BYTES_MAX:] + note
        passed, failed = judge(job, code, report)
        return Outcome(job.title, passed, failed, text, time.monotonic() - started)

    def wait(self, process, seconds_max):
        note = ""
        try:
            code = process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            note = f"\nended after its time limit of {seconds_max} s\n"
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            code = 124
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        with self.lock:
            self.running.discard(process)
        if code < 0:
            note += f"\nended by signal {-code} ({signal.Signals(-code).name})\n"
        return code, note

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.terminate()


def judge(job, code, report):
    """Which of the job's tests passed, and which failed or never ended."""
    if not job.gtest:
        return (job.names, []) if code == 0 else ([], job.names)
    passed = []
    try:
        suites = json.loads(report.read_text())["testsuites"]
    except (OSError, ValueError, KeyError):
        suites = []
    for suite in suites:
        for test in suite["testsuite"]:
            if test["result"] == "COMPLETED" and not test.get("failures"):
                passed.append(f"{suite['name']}.{test['name']}")
    failed = [name for name in job.names if name not in set(passed)]
    if code != 0 and not failed:  # it broke after its last test, or a sanitizer spoke at the end
        failed = [job.title + " (exit code)"]
    return passed, failed


def listed_tests(command):
    """{suite: [full names]} of a gtest program, without those that are disabled."""
    listing = subprocess.run([*command, "--gtest_list_tests"], capture_output=True, text=True, check=True, timeout=60)
    suites, suite = {}, ""
    for line in listing.stdout.splitlines():
        name = line.split("#")[0].rstrip()
        if name.startswith("  "):
            if "DISABLED_" not in suite + name:
                suites.setdefault(suite, []).append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return suites


def wanted(name, patterns):
    return not patterns or any(fnmatch.fnmatchcase(name, f"*{pattern}*") for pattern in patterns)


def gtest_jobs(program, patterns, prefix, seconds_max, one_each, environment=None):
    jobs = []
    for suite, names in listed_tests([str(program)]).items():
        names = [name for name in names if wanted(name, patterns)]
        for group in [[name] for name in names] if one_each else [names]:
            if group:
                title = prefix + (group[0] if one_each else suite.rstrip("."))
                argv = [str(program), f"--gtest_filter={':'.join(group)}", "--gtest_color=no"]
                jobs.append(Job(title, argv, group, seconds_max, True, environment or {}))
    return jobs


def lint_jobs(arguments):
    jobs = []
    listing = subprocess.run([sys.executable, TESTS / "lint/lint.py", "--list"], capture_output=True, text=True,
                             check=True)
    for check in listing.stdout.split():
        argv = [sys.executable, str(TESTS / "lint/lint.py"), check]
        jobs.append(Job(f"lint.{check}", argv, [f"lint.{check}"], 300, False))
    jobs.append(Job("lint.self_test", [sys.executable, str(TESTS / "lint/lint_test.py")], ["lint.self_test"], 60, False))
    if arguments.tier != "default":
        argv = ["bash", str(TESTS / "lint/tidy.sh"), arguments.build]
        jobs.append(Job("lint.clang_tidy", argv, ["lint.clang_tidy"], TIDY_SECONDS_MAX, False))
    return [job for job in jobs if wanted(job.title, arguments.names)]


def pair_environment(pair):
    return {"TEAL_TEST_BLUE": str(pair[0]), "TEAL_TEST_GREEN": str(pair[1])}


def can_run_on(pair, name):
    """Below 15, a superuser would have to write to blue, which teal's role in the tests is not."""
    return pair[0] >= 15 or not any(suite in name for suite in TWO_WAY_SUITES)


def chaos_jobs(arguments):
    """Both runs for each pair of server versions, by default with our own."""
    program = pathlib.Path(arguments.build).resolve() / "scenario_tests"
    jobs = []
    for pair in arguments.pairs or [(OWN_MAJOR, OWN_MAJOR)]:
        prefix = f"{pair[0]}-{pair[1]}: " if arguments.pairs else ""
        environment = {"TEAL_CHAOS_SECONDS": str(arguments.chaos), **pair_environment(pair)}
        runs = gtest_jobs(program, ["Chaos.*"], prefix, arguments.chaos * 2 + SCENARIO_SECONDS_MAX, True,
                           environment=environment)
        jobs += [run for run in runs if can_run_on(pair, run.title)]
    return jobs


def fuzz_jobs(arguments):
    """One for each target that tests/fuzz/run.sh --build has made."""
    if not arguments.fuzz:
        return []
    jobs = []
    for program in sorted(pathlib.Path(arguments.fuzz).resolve().glob("fuzz_*")):
        title = "fuzz." + program.name.removeprefix("fuzz_")
        argv = ["bash", str(TESTS / "fuzz/run.sh"), "--one", str(FUZZ_SECONDS), program.name.removeprefix("fuzz_")]
        jobs.append(Job(title, argv, [title], FUZZ_SECONDS * 4, False))
    return [job for job in jobs if wanted(job.title, arguments.names)]


def all_jobs(arguments):
    if arguments.chaos:
        return chaos_jobs(arguments)
    build = pathlib.Path(arguments.build).resolve()
    factor = LONG_FACTOR if arguments.tier == "long" else 1
    jobs = lint_jobs(arguments) + fuzz_jobs(arguments)
    jobs += gtest_jobs(build / "unit_tests", arguments.names, "", UNIT_SECONDS_MAX, False)
    for sanitizer in ("asan", "tsan"):
        directory = getattr(arguments, sanitizer)
        if directory:
            program = pathlib.Path(directory).resolve() / "unit_tests"
            jobs += gtest_jobs(program, arguments.names, f"{sanitizer}: ", UNIT_SECONDS_MAX * 3, False)
    jobs += gtest_jobs(build / "scenario_tests", arguments.names, "", SCENARIO_SECONDS_MAX * factor, True)
    for pair in arguments.pairs:
        environment = pair_environment(pair)
        names = [name for suites in listed_tests([str(build / "scenario_tests")]).values() for name in suites]
        names = [name for name in names if wanted(name, arguments.names) and wanted(name, PAIR_TESTS) and can_run_on(pair, name)]
        for name in names:
            argv = [str(build / "scenario_tests"), f"--gtest_filter={name}", "--gtest_color=no"]
            jobs.append(Job(f"{pair[0]}-{pair[1]}: {name}", argv, [name], SCENARIO_SECONDS_MAX * factor, True, environment))
    return jobs


def server_pairs(text):
    """"13:17,15:18" as [(13, 17), (15, 18)]."""
    return [tuple(int(major) for major in pair.split(":")) for pair in text.split(",") if pair]


@contextlib.contextmanager
def server_roots(pairs):
    """Makes the root directories of other majors, and lets them see our files and devices.

    The mounts are made in a mount namespace of our own, so that they go with us however we end; where that cannot be
    closed off (in a chroot), they are taken away at the end.
    """
    roots = {}
    for major in sorted({major for pair in pairs for major in pair} - {OWN_MAJOR}):
        made = subprocess.run([str(TESTS / "support/server_root.sh"), str(major)], stdout=subprocess.PIPE, text=True, check=True)
        roots[major] = made.stdout.strip()
    if not roots:
        yield
        return
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=False)
    mounted = []
    try:
        for root in roots.values():
            os.environ["TEAL_TEST_ROOTS"] = str(pathlib.Path(root).parent)
            for arguments in (["--bind", "/tmp"], ["--rbind", "/dev"], ["-t", "proc", "proc"]):
                target = f"{root}/{arguments[-1].lstrip('/')}"
                subprocess.run(["mount", *arguments, target], check=True)
                mounted.append(target)
        yield
    finally:
        for target in reversed(mounted):
            subprocess.run(["umount", "--recursive", "--lazy", target], check=False)


def become_subreaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def children():
    """(pid, command) of our children, without those that have ended."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, ValueError):  # it is gone
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.append((int(entry.name), command))
    return found


def end_strays():
    """Kills what tests left behind, descendants that come to us included; returns their command lines.

    A server whose postmaster has just been killed needs a moment to notice: that is no stray.
    """
    end = time.monotonic() + 5
    while children() and time.monotonic() < end:
        time.sleep(0.05)
    strays = []
    while left := children():
        for pid, command in left:
            strays.append(command)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return strays


def scratch_root():
    """Where the servers' files go: into memory when there is plenty, which starts servers ten times faster.

    Never below TMPDIR: that may be closed to the servers' user, or too long for a socket's path.
    """
    gib = 1 << 30
    try:
        available = int(re.search(r"MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) * 1024
        in_memory = " /dev/shm tmpfs " in pathlib.Path("/proc/mounts").read_text()
        if in_memory and available > 12 * gib and shutil.disk_usage("/dev/shm").free > 8 * gib:
            return "/dev/shm"
    except (OSError, AttributeError):
        pass
    return "/tmp"


def report(outcome, label, whole):
    state = "FAILED" if outcome.failed else "ok"
    print(f"{label} {state:6} {outcome.title} ({outcome.seconds:.1f} s)", flush=True)
    if outcome.failed or whole:
        print(f"---- output of {outcome.title}\n{outcome.output.rstrip()}\n----", flush=True)


def run_all(jobs, runner, passed, failed, chaos):
    """Adds the full names of the tests to `passed` or `failed`. `chaos`: one at a time, and all that they said."""
    with concurrent.futures.ThreadPoolExecutor(1 if chaos else int(os.environ.get("TEAL_TEST_JOBS", "2"))) as pool:
        pending = [pool.submit(runner.run, job) for job in jobs]
        for count, future in enumerate(concurrent.futures.as_completed(pending), 1):
            outcome = future.result()
            prefix = outcome.title.split(": ")[0] + ": " if ": " in outcome.title else ""
            passed += [prefix + name for name in outcome.passed]
            failed += [prefix + name for name in outcome.failed]
            report(outcome, f"[{count}/{len(jobs)}]", chaos)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--asan")
    parser.add_argument("--tsan")
    parser.add_argument("--fuzz", help="the directory of the fuzz targets")
    parser.add_argument("--tier", default="default", choices=["default", "ci", "long"])
    parser.add_argument("--pairs", type=server_pairs, default=[],
                        help="also run PAIR_TESTS on servers BLUE:GREEN,...; with --chaos, that run only on these")
    parser.add_argument("--chaos", type=int, metavar="SECONDS", help="only the run in which everything breaks")
    parser.add_argument("--seed", type=int, help="for what is drawn at random")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    os.environ["TEAL_TEST_TIER"] = arguments.tier
    if arguments.seed is not None:
        os.environ["TEAL_TEST_SEED"] = str(arguments.seed)
    become_subreaper()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="teal-tests-", dir=scratch_root()))
    scratch.chmod(0o755)  # servers run as another user
    runner = Runner(scratch)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: runner.stop())
    passed, failed = [], []
    try:
        with server_roots(arguments.pairs):
            run_all(all_jobs(arguments), runner, passed, failed, bool(arguments.chaos))
    except (OSError, subprocess.SubprocessError):
        traceback.print_exc()
        failed.append("the run itself")
    strays = end_strays()
    if strays:
        failed.append("processes were left behind: " + "; ".join(strays))
    shutil.rmtree(scratch, ignore_errors=True)
    for name in failed:
        print(f"failed: {name}")
    if not passed and not failed:
        print("no test has such a name")
    print(f"{len(passed)} passed, {len(failed)} failed", flush=True)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
