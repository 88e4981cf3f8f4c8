"""Writes a compile database for clang-tidy from the one that CMake wrote for GCC: tidy_database.py BUILD_DIR OUT_DIR.

Takes out what only GCC understands (its precompiled headers, -fcoroutines, some warnings) and the compiler cache.
Prints the files that are ours, one per line.
"""

import json
import pathlib
import shlex
import sys

ROOMS = ("decoder", "conflict", "engine", "applier", "verifier", "tools", "tests", "bench")
GCC_ONLY = {"-Winvalid-pch", "-fcoroutines", "-Wno-maybe-uninitialized", "-Wno-restrict"}


def for_clang(command):
    words = shlex.split(command)
    compiler = next(i for i, word in enumerate(words) if pathlib.Path(word).name in ("c++", "g++", "clang++", "g++-12"))
    out, words = ["clang++-19"], iter(words[compiler + 1:])
    for word in words:
        if word == "-include":
            header = next(words)
            if not header.endswith("cmake_pch.hxx"):
                out += [word, header]
        elif word not in GCC_ONLY:
            out.append(word)
    return out


def main():
    build, out = (pathlib.Path(argument) for argument in sys.argv[1:3])
    root = pathlib.Path(__file__).resolve().parents[2]
    entries = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        if file.suffix != ".cc" or not file.is_relative_to(root) or file.relative_to(root).parts[0] not in ROOMS:
            continue
        entries.append({"directory": entry["directory"], "file": str(file), "arguments": for_clang(entry["command"])})
    (out / "compile_commands.json").write_text(json.dumps(entries, indent=1))
    print("\n".join(sorted({entry["file"] for entry in entries})))


if __name__ == "__main__":
    main()
