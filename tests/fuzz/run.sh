#!/usr/bin/env bash
# Fuzzes the decoder with libFuzzer, with the address and the undefined behaviour sanitizer:
#   tests/fuzz/run.sh [SECONDS [TARGET...]]     each target (fuzz_TARGET.cc; all when none is named) for SECONDS (30), two
#                                               at a time
#   tests/fuzz/run.sh --build                   builds the targets and makes their seeds, and runs nothing
#   tests/fuzz/run.sh --one SECONDS TARGET      runs what was built
# Starts from tests/fuzz/corpus, what real servers sent, and from what earlier runs found on the way, which stays in
# build/fuzz/found. An input that breaks a claim is written to build/fuzz/broken-TARGET-..., printed in base64, and fails
# the run; build/fuzz/fuzz_TARGET FILE repeats it. Once it is mended, it becomes a unit test in tests/decoder.
# Exit code 0 only when nothing was found. Needs what tools/setup.sh ci installs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=build/fuzz
seconds=30
one=false
case ${1:-} in
  --build) seconds=0; shift ;;
  --one) one=true; shift ;;
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  -*) echo "run.sh: unknown option $1" >&2; exit 2 ;;
esac
if (($#)); then seconds=$1; shift; fi
targets=("$@")

if ! $one; then
  mkdir -p "$build"
  cmake -S tests/fuzz -B "$build" -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 >"$build/configure.log" 2>&1 ||
    { cat "$build/configure.log" >&2; exit 1; }
  NINJA_STATUS="[fuzz %f/%t %es] " ninja -C "$build" -j "${TEAL_BUILD_JOBS:-$(nproc)}" >&2
  rm -rf "$build/seeds"
  python3 tests/fuzz/seeds.py "$build/seeds"
  ((seconds)) || exit 0
  if ((!${#targets[@]})); then
    mapfile -t targets < <(find tests/fuzz -name 'fuzz_*.cc' ! -name fuzz_support.cc -printf '%f\n' | sed 's/^fuzz_//; s/\.cc$//' | sort)
  fi
  printf '%s\0' "${targets[@]}" | xargs -0 -n1 -P2 bash tests/fuzz/run.sh --one "$seconds"
  exit
fi

target=${targets[0]:?usage: run.sh --one SECONDS TARGET}
found=$build/found/$target
mkdir -p "$found"
log=$build/$target.log
# Neither one allocation nor all of them may take more than this; a target counts what an input makes the decoder take.
# Freed memory stays out of use for a while, to catch whoever still looks at it, but not so much that it hides the rest.
export ASAN_OPTIONS=quarantine_size_mb=32
limits=(-malloc_limit_mb=16 -rss_limit_mb=768 -timeout=5 -max_len=16384)
if "$build/fuzz_$target" "${limits[@]}" -max_total_time="$seconds" -use_value_profile=1 -print_final_stats=1 \
  -artifact_prefix="$build/broken-$target-" "$found" "$build/seeds/$target" >"$log" 2>&1; then
  awk -v target="$target" '/^stat::number_of_executed_units/ { runs = $2 } /cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") edges = $(i + 1) }
    END { printf "%s: %d inputs, %d edges, nothing found\n", target, runs, edges }' "$log"
else
  tail -n 60 "$log"
  echo "$target: FOUND something, see above and $log"
  exit 1
fi
