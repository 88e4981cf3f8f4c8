#!/usr/bin/env bash
# Runs clang-tidy-19 over all sources of a configured build: tests/lint/tidy.sh BUILD_DIR [PART_OF_A_PATH...]
# Exit code 0 only when nothing was found.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:?usage: tidy.sh BUILD_DIR [PART_OF_A_PATH...]}
shift
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT

mapfile -t files < <(python3 "$here/tidy_database.py" "$build" "$database")
if (($#)); then
  mapfile -t files < <(printf '%s\n' "${files[@]}" | grep -F "$(printf '%s\n' "$@")")
fi
[[ -n ${files[0]:-} ]] || { echo "tidy.sh: no sources in $build" >&2; exit 1; }

# One file per call, two at a time; "N warnings generated" of system headers is noise.
printf '%s\0' "${files[@]}" |
  xargs -0 -n1 -P2 clang-tidy-19 --quiet -p "$database" 2> >(grep -Ev '^[0-9]+ (warnings?|errors?) .*(generated|treated)|^Error while processing' >&2)
