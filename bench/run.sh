#!/usr/bin/env bash
# Benchmarks against peers, on servers of their own:
#   bench/run.sh drain [--workload NAME]... [--contender NAME]... [--size N] [--rounds N] [--json FILE]
#                                                                                     a backlog, against native and pglogical
#   bench/run.sh latency [--rate TPS]... [--seconds N] [--rounds N] [--json FILE]     commit to visible, against the same
#   bench/run.sh latency --large [--of updates|inserts] [--seconds N] [--rounds N] [--json FILE]
#                                                                                     beside large transactions, against native
#   bench/run.sh copy [--scale N] [--rows N] [--rounds N] [--only NAME]... [--json FILE]   the initial copy, against pgcopydb,
#                                                                                     pg_dump and native
#   bench/run.sh source-tax [--seconds N] [--rounds N] [--json FILE]                  what reading along costs blue
#   bench/run.sh lag [--quick] [--seconds N] [--json FILE] [--svg FILE]               what the apply settings make of the lag
#   bench/run.sh scale [--dimension NAME]... [--changes N] [--json FILE]              what a change costs as things grow by tens
#   bench/run.sh verify [--scale N] [--rows N] [--jobs N] [--rounds N] [--json FILE]  comparing two equal databases, against
#                                                                                     a plain sum of hashes
#   bench/run.sh cutover [--moves N] [--clients N] [--rate TPS] [--json FILE]         how long writes wait while they are moved
#   bench/run.sh layers [GOOGLE_BENCHMARK_OPTION]...                                  each layer alone, without servers
# Run it with nothing else running; see bench/README.md for the method.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bench=${1:-}
case $bench in
  drain | latency | copy | source-tax | lag | scale | verify | cutover | layers) shift ;;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
tools/setup.sh bench
export HOME=${HOME:-$(getent passwd "$EUID" | cut -d: -f6)}
cmake -S . -B build/release -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTEAL_BENCH=ON >/dev/null
ninja -C build/release teal decode_limit layers >&2
[[ $bench != layers ]] || exec build/release/layers "$@"
[[ $bench != copy ]] || bench=initial_copy  # `copy` is a module of Python's own
exec /usr/bin/python3 "bench/${bench//-/_}.py" --binary build/release/teal "$@"
