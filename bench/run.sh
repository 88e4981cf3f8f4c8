#!/usr/bin/env bash
# Benchmarks against peers, on servers of their own:
#   bench/run.sh drain [--workload NAME]... [--size N] [--rounds N] [--json FILE]
# Run it with nothing else running; see bench/README.md for the method.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[[ ${1:-} == drain ]] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
shift
tools/setup.sh bench
export HOME=${HOME:-$(getent passwd "$EUID" | cut -d: -f6)}
cmake -S . -B build/release -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
ninja -C build/release teal >&2
exec python3 bench/drain.py --binary build/release/teal "$@"
