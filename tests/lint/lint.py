"""Checks what the compiler does not: lint.py [--root DIR] [CHECK...], all checks without one; --list names them.

Prints one line per violation, "path:line: what". Exit code 1 when there is one, 2 when a tool is missing.
lint_test.py proves that each check finds a violation that was planted.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

LINES_MAX = 400
# Tables: files that are long because they list cases.
LONG_FILES = {
}

ROOMS = ("decoder", "conflict", "engine", "applier", "verifier", "tools")
# What each room may include besides itself. Source: the design, "The house".
MAY_INCLUDE = {
    "decoder": set(),
    "conflict": {"decoder"},
    "engine": {"conflict", "decoder"},
    "applier": {"engine", "conflict", "decoder"},
    "verifier": {"engine", "decoder"},
    "tools": {"applier", "conflict", "decoder", "engine", "verifier"},
    "tests": {"applier", "conflict", "decoder", "engine", "verifier", "tools"},
    "bench": {"applier", "conflict", "decoder", "engine", "verifier", "tools", "tests"},
}

# (name of the check, pattern over code without comments and literals, files that may, what to say)
FORBIDDEN = (
    ("handles", r"\bPQ(finish|clear|freemem)\b", {"engine/pg_handle.h"},
     "libpq's memory is freed only by the handles of engine/pg_handle.h"),
    ("pauses", r"\b(sleep_for|sleep_until|usleep|nanosleep)\b", {"tests/support/wait_until.h"},
     "wait on a condition with a deadline"),
    ("raw_memory", r"(?<!operator )\b(new\s+[A-Za-z_:(]|new\s*\[|delete\s*\[\s*\]|(?<!= )delete\s+[A-Za-z_*(])", set(),
     "own memory with containers and unique_ptr"),
)

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
LITERAL_OR_COMMENT = re.compile(
    r'R"(?P<mark>[^\s()\\]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"
    r"|//[^\n]*|/\*.*?\*/", re.DOTALL)


def cpp_files(root):
    found = []
    for room in MAY_INCLUDE:
        found += [path for path in (root / room).rglob("*") if path.suffix in (".h", ".cc") and path.is_file()]
    return sorted(found)


def text_files(root):
    found = [path for path in root.iterdir() if path.is_file()]
    for folder in [*MAY_INCLUDE, "docs", "cmake", ".ci"]:
        found += [path for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def name_of(root, path):
    return path.relative_to(root).as_posix()


def without_literals(text):
    """The text with comments and literals blanked; lines keep their numbers."""
    return LITERAL_OR_COMMENT.sub(lambda match: " " + "\n" * match.group().count("\n"), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_includes(root):
    for path in cpp_files(root):
        name = name_of(root, path)
        room = name.split("/")[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(2)
            target_room = target.split("/")[0]
            ours = target_room in MAY_INCLUDE and (root / target).exists()
            if match.group(1) == "<" and ours:
                yield f"{name}:{number}: {target} is ours: include it in quotes"
            elif match.group(1) == '"' and not ours:
                yield f"{name}:{number}: {target} is no file of ours, named from the repository's root"
            elif ours and target_room != room and target_room not in MAY_INCLUDE[room]:
                yield f"{name}:{number}: {room}/ must not include {target_room}/"


def check_engine_names(root):
    for path in cpp_files(root):
        name = name_of(root, path)
        text = without_literals(path.read_text())
        if name.startswith("engine/"):
            for match in re.finditer(r"\bApplier\b", text):
                yield f"{name}:{line_of(text, match.start())}: engine/ must not name the applier"


def check_size(root):
    for path in cpp_files(root):
        name = name_of(root, path)
        lines = len(path.read_text().splitlines())
        if lines > LINES_MAX and name not in LONG_FILES:
            yield f"{name}:{lines}: more than {LINES_MAX} lines: split it"


def check_unfinished(root):
    for path in text_files(root):
        name = name_of(root, path)
        if name.startswith("tests/lint/"):
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if UNFINISHED.search(line):
                yield f"{name}:{number}: finish it, or open an issue"


def check_pragma_once(root):
    for path in cpp_files(root):
        if path.suffix == ".h" and not re.search(r"^#pragma once$", path.read_text(), re.MULTILINE):
            yield f"{name_of(root, path)}:1: a header starts with #pragma once"


def check_one_definition(root):
    """No two headers define a type of the same name: the linker takes one of its destructors for both, silently."""
    first = {}
    for path in cpp_files(root):
        if path.suffix != ".h":
            continue
        name = name_of(root, path)
        text = without_literals(path.read_text())
        space = "tests" if name.startswith("tests/") else "teal"
        for match in re.finditer(r"^(?:struct|class|enum class) (\w+)\b(?!::)[^;{]*\{", text, re.MULTILINE):
            other = first.setdefault((space, match.group(1)), name)
            if other != name:
                yield f"{name}:{line_of(text, match.start())}: {other} has a type {match.group(1)} already"


def check_format(root):
    program = shutil.which("clang-format-19")
    if program is None:
        print("lint.py: clang-format-19 is missing: tools/setup.sh tests", file=sys.stderr)
        sys.exit(2)
    files = [str(path) for path in cpp_files(root)]
    if not files:
        return
    style = f"--style=file:{root / '.clang-format'}"
    result = subprocess.run([program, style, "--dry-run", "-Werror", *files], capture_output=True, text=True, cwd=root)
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: error:", result.stderr, re.MULTILINE):
        place = name_of(root, pathlib.Path(match.group(1)))
        if place not in seen:  # the first place of each file is enough
            seen.add(place)
            yield f"{place}:{match.group(2)}: not as clang-format-19 writes it: clang-format-19 -i {place}"
    if result.returncode != 0 and not seen:
        yield f".clang-format:1: clang-format-19 failed: {result.stderr.strip()[:500]}"


def check_failpoints(root):
    """A point of the table that no code passes, or, unless the chaos run counts it, that no scenario kills at."""
    table = root / "engine/failpoint.h"
    if not table.exists():
        return
    passed, tested = "", ""
    for path in cpp_files(root):
        name = name_of(root, path)
        if name.startswith("tests/scenario/"):
            tested += path.read_text()
        elif not name.startswith(("tests/", "bench/")):
            passed += path.read_text()
    for number, line in enumerate(table.read_text().splitlines(), 1):
        match = re.search(r'Failpoint\{"(\w+)", (true|false)\}', line)
        if not match:
            continue
        point, steady = match.groups()
        if f'TEAL_FAILPOINT("{point}")' not in passed:
            yield f"engine/failpoint.h:{number}: nothing passes {point}"
        if steady == "false" and not re.search(rf'"{point}[":]', tested):
            yield f"engine/failpoint.h:{number}: no scenario kills at {point}"


def check_fences(root):
    """SQL that tells how far a link is before its rows can be seen (TRAPS A14)."""
    for path in cpp_files(root):
        name = name_of(root, path)
        if name.startswith(("tests/", "bench/")):
            continue
        text = path.read_text()
        for match in re.finditer(r"pg_(show_)?replication_origin_(session_)?(status|progress)\b", text):
            yield (f"{name}:{line_of(text, match.start())}: {match.group()}: the origin moves before the rows are "
                   "visible; read teal.progress")


def forbidden_check(pattern, allowed, message):
    def check(root):
        for path in cpp_files(root):
            name = name_of(root, path)
            if name in allowed:
                continue
            text = without_literals(path.read_text())
            for match in re.finditer(pattern, text):
                yield f"{name}:{line_of(text, match.start())}: {match.group().strip()}: {message}"
    return check


CHECKS = {
    "includes": check_includes,
    "engine_names": check_engine_names,
    "size": check_size,
    "unfinished": check_unfinished,
    "pragma_once": check_pragma_once,
    "one_definition": check_one_definition,
    "failpoints": check_failpoints,
    "fences": check_fences,
    **{name: forbidden_check(pattern, allowed, message) for name, pattern, allowed, message in FORBIDDEN},
    "format": check_format,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(CHECKS))
        return 0
    unknown = [name for name in arguments.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no such check: {', '.join(unknown)}")
    violations = [line for name in arguments.checks or CHECKS for line in CHECKS[name](arguments.root.resolve())]
    print("\n".join(violations), end="\n" if violations else "")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
