"""Captures the seeds of the fuzz targets from real servers of 13, 15, 17 and 18: capture.py BUILD_DIR [MAJOR...].

Needs root and a build of fuzz_capture (ninja -C BUILD_DIR fuzz_capture). Writes tests/fuzz/corpus/pgMAJOR.bin, which is
committed, so that fuzzing needs no server; capture.cc has the statements, the options and the files' format. Run it
again when the decoder learns a message, or a new version of the server is to be known.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

FUZZ = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FUZZ.parent / "support"))
import run_tests  # noqa: E402

MAJORS = [13, 15, 17, 18]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    majors = [int(major) for major in sys.argv[2:]] or MAJORS
    run_tests.become_subreaper()
    with run_tests.server_roots([(major, run_tests.OWN_MAJOR) for major in majors]), \
            tempfile.TemporaryDirectory(prefix="teal-tests-", dir="/tmp") as scratch:
        os.chmod(scratch, 0o755)  # servers run as another user
        for major in majors:
            file = FUZZ / "corpus" / f"pg{major}.bin"
            subprocess.run([str(build / "fuzz_capture"), str(major), str(file)], check=True,
                           env=dict(os.environ, TEAL_TEST_DIR=scratch))
            print(f"{file.name}: {file.stat().st_size} bytes")
    run_tests.end_strays()


if __name__ == "__main__":
    main()
