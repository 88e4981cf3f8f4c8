"""Writes a compile database for clang-tidy from the one that CMake wrote for GCC: tidy_database.py BUILD_DIR OUT_DIR [PART...].

Takes out what only GCC understands (its precompiled headers, -fcoroutines, some warnings) and the compiler cache.

Most of clang-tidy's time goes into the headers that a source includes, so sources are looked at together: OUT_DIR gets
sources of its own that include some of ours, each with no two that define the same name, and without those that have
a name of a header's for something else. Prints one line for each: its
path and those of the files in it, separated by tabs. PART: only files with one of these in their paths.
"""

import json
import pathlib
import re
import shlex
import sys

ROOMS = ("decoder", "conflict", "engine", "applier", "verifier", "tools", "tests", "bench")
GCC_ONLY = {"-Winvalid-pch", "-fcoroutines", "-Wno-maybe-uninitialized", "-Wno-restrict"}
GROUP_FILES_MAX = 12  # enough to share the headers, and there are still as many groups as it takes to run in parallel


def for_clang(command, file):
    """The command's words without its input and output."""
    words = shlex.split(command)
    compiler = next(i for i, word in enumerate(words) if pathlib.Path(word).name in ("c++", "g++", "clang++", "g++-12"))
    out, words = ["clang++-19"], iter(words[compiler + 1:])
    for word in words:
        if word == "-include":
            header = next(words)
            if not header.endswith("cmake_pch.hxx"):
                out += [word, header]
        elif word == "-o":
            next(words)
        elif word not in GCC_ONLY and word not in ("-c", file):
            out.append(word)
    return out


def defined_names(file):
    """What a source defines at its outermost level, more or less: a name too many only makes more groups."""
    names = set()
    for line in file.read_text().splitlines():
        if not line or line[0] in " \t}/#*)" or re.match(r"namespace|using \w+::", line):
            continue
        if test := re.match(r"(?:TYPED_)?TEST(?:_[FP])?\((\w+), (\w+)\)", line):
            names.add("_".join(test.groups()))
        elif kind := re.match(r"(?:struct|class|enum class|enum|using) (\w+)", line):
            names.add(kind[1])
        else:
            names.update(re.findall(r"[\w:~]+", re.split(r"[=({;\[]", line)[0])[-1:])
    return names


def types_of_headers(root):
    """Names of our headers' types."""
    headers = (header for room in ROOMS for header in (root / room).rglob("*.h"))
    declaration = re.compile(r"^(?:struct|class|enum class|enum|using) (\w+)", re.MULTILINE)
    return {name for header in headers for name in declaration.findall(header.read_text())}


def groups(files, taken):
    """`files`: (path, arguments). Together is what is compiled alike, lies in one folder and shares no name.

    `taken`: a source that defines one of these stays alone.
    """
    found = []
    for file, arguments in files:
        names = defined_names(file)
        alone = bool(names & taken)
        for group in found:
            alike = group["arguments"] == arguments and group["files"][0].parent == file.parent
            if alike and not alone and not group["alone"] and len(group["files"]) < GROUP_FILES_MAX and not group["names"] & names:
                group["files"].append(file)
                group["names"] |= names
                break
        else:
            found.append({"files": [file], "arguments": arguments, "names": names, "alone": alone})
    return found


def main():
    build, out = (pathlib.Path(argument) for argument in sys.argv[1:3])
    parts = sys.argv[3:]
    root = pathlib.Path(__file__).resolve().parents[2]
    files, entries = {}, []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        if file.suffix != ".cc" or not file.is_relative_to(root) or file.relative_to(root).parts[0] not in ROOMS:
            continue
        if not parts or any(part in str(file) for part in parts):
            files[file] = (entry["directory"], for_clang(entry["command"], entry["file"]))

    def add(file, directory, arguments):
        entries.append({"directory": directory, "file": str(file), "arguments": [*arguments, "-c", str(file)]})

    for file, command in files.items():
        add(file, *command)
    commands = ((file, command[1]) for file, command in sorted(files.items()))
    for number, group in enumerate(groups(commands, types_of_headers(root))):
        source = out / f"group_{number}.cc"
        source.write_text("".join(f'#include "{file}"  // NOLINT\n' for file in group["files"]))
        add(source, *files[group["files"][0]])
        print(source, *group["files"], sep="\t")
    (out / "compile_commands.json").write_text(json.dumps(entries, indent=1))


if __name__ == "__main__":
    main()
