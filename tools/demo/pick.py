#!/usr/bin/env python3
"""Prints values of a JSON document on standard input, one per line: pick.py links.0.lag_bytes findings.*.mend

A path's parts are keys, indexes, or * for every element. What is not there prints as an empty line; a * over nothing
prints nothing. Line ends inside a value become blanks.
"""

import json
import sys


def pick(value, parts):
    if not parts:
        yield value
    elif parts[0] == "*":
        for element in value or []:
            yield from pick(element, parts[1:])
    elif isinstance(value, list):
        index = int(parts[0])
        yield from pick(value[index] if index < len(value) else None, parts[1:])
    else:
        yield from pick((value or {}).get(parts[0]), parts[1:])


def text(value):
    if value is None:
        return ""
    return value.replace("\n", " ") if isinstance(value, str) else json.dumps(value)


document = json.load(sys.stdin)
for path in sys.argv[1:]:
    for found in pick(document, path.split(".")):
        print(text(found))
