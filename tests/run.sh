#!/usr/bin/env bash
# Builds teal and runs its tests, from nothing but a Debian 12 with root or sudo:
#   tests/run.sh            lint, unit tests, scenarios (at most 20 minutes on two cores)
#   tests/run.sh NAME...    only the tests whose full name contains one of the NAMEs (* and ? are wildcards)
#   tests/run.sh --ci       adds clang-tidy, the unit tests under address+undefined and thread sanitizers, 30 seconds of
#                           each fuzz target (tests/fuzz/run.sh), and the server versions 13 to 17, 15 to 18 and 17 to 15
#   tests/run.sh --versions 13,17,18   what depends on the server, also on other majors (13, 17, 18): each as blue,
#                           each from 15 on as green, 15 included. Needs root: their roots are made by debootstrap
#   tests/run.sh --long     everything there is
#   tests/run.sh --chaos SECONDS [--seed N] [--pairs 13:17,15:18]   only the runs in which everything breaks at random,
#                           so long, one way and then both ways; the seed that it prints gives the same faults again. --pairs: BLUE:GREEN, on servers
#                           of these versions instead, one after the other (needs root)
# The last line is "N passed, N failed"; a lint check counts as a test, a failed build as one failed test.
# Exit code 0 only when something passed and nothing failed. Environment: TEAL_TEST_JOBS (2) tests at a time,
# TEAL_BUILD_JOBS (number of cores) compilers, TEAL_TEST_PG_BIN another PostgreSQL's programs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tier=default
pairs=""
names=()
chaos=()

# all_pairs 13,17,18: each of them and 15 as blue, each of them that can be green
all_pairs() {
  local blue green all
  IFS=, read -ra all <<<"15,$1"
  for blue in "${all[@]}"; do
    for green in "${all[@]}"; do
      ((green < 15 || blue == green)) || printf '%s:%s,' "$blue" "$green"
    done
  done
}

while (($#)); do
  argument=$1
  shift
  case $argument in
    --ci) tier=ci ;;
    --long) tier=long ;;
    --versions) pairs=$(all_pairs "${1:?--versions needs a list, as in 13,17,18}") && shift ;;
    --chaos) chaos+=(--chaos "${1:?--chaos needs seconds}") && shift ;;
    --seed) chaos+=(--seed "${1:?--seed needs a number}") && shift ;;
    --pairs) pairs=${1:?--pairs needs a list, as in 13:17,15:18} && shift ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    -*) echo "run.sh: unknown option $argument" >&2; exit 2 ;;
    *) names+=("$argument") ;;
  esac
done

fail() {
  echo "run.sh: $1 failed" >&2
  echo "0 passed, 1 failed"
  exit 1
}

sets=(tests)
[[ $tier == default ]] || sets+=(ci)
tools/setup.sh "${sets[@]}" || fail "the installation of packages"

export HOME=${HOME:-$(getent passwd "$EUID" | cut -d: -f6)}  # where ccache keeps its files
jobs=${TEAL_BUILD_JOBS:-$(nproc)}
programs=(teal unit_tests scenario_tests)

# build DIRECTORY TARGETS... -- CMAKE_ARGUMENTS...
build() {
  local directory=$1 targets=()
  shift
  while [[ $1 != -- ]]; do targets+=("$1"); shift; done
  shift
  mkdir -p "$directory"
  if ! cmake -S . -B "$directory" -G Ninja -DTEAL_TESTS=ON -DTEAL_FAILPOINTS=ON "$@" >"$directory/configure.log" 2>&1; then
    cat "$directory/configure.log" >&2
    return 1
  fi
  # Ninja's lines go to stderr: on stdout there are results only.
  NINJA_STATUS="[$(basename "$directory") %f/%t %es] " ninja -C "$directory" -j "$jobs" "${targets[@]}" >&2
}

build build/tests "${programs[@]}" -- -DCMAKE_BUILD_TYPE=RelWithDebInfo || fail "the build"
if [[ $tier != default && -z $pairs ]]; then
  if ((EUID == 0)); then pairs=13:17,15:18,17:15; else echo "run.sh: other server versions are left out: not root" >&2; fi
fi
arguments=(--build build/tests --tier "$tier" --pairs "$pairs" "${chaos[@]}")
if [[ $tier != default ]]; then
  # clang compiles these in a quarter of GCC's time, and is a second opinion on the code.
  sanitized=(-DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_CXX_FLAGS_DEBUG=-g1)
  build build/asan unit_tests -- "${sanitized[@]}" -DTEAL_SANITIZE=address,undefined || fail "the asan build"
  build build/tsan unit_tests -- "${sanitized[@]}" -DTEAL_SANITIZE=thread || fail "the tsan build"
  tests/fuzz/run.sh --build || fail "the build of the fuzz targets"
  arguments+=(--asan build/asan --tsan build/tsan --fuzz build/fuzz)
fi

# exec: signals reach the runner, which ends what it started and removes its files.
exec python3 tests/support/run_tests.py "${arguments[@]}" -- "${names[@]}"
