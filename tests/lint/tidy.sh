#!/usr/bin/env bash
# Runs clang-tidy-19 over all sources of a configured build: tests/lint/tidy.sh BUILD_DIR [PART_OF_A_PATH...]
# Exit code 0 only when nothing was found.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# tidy.sh --group DATABASE "GROUP<tab>FILE<tab>FILE...": the files together; with a finding each for itself, and only
# what that finds counts, since files that are looked at together may be in each other's way.
if [[ ${1:-} == --group ]]; then
  database=$2
  IFS=$'\t' read -ra paths <<<"$3"
  # "N warnings generated" of system headers is noise.
  tidy() { clang-tidy-19 --quiet --config-file="$here/../../.clang-tidy" -p "$database" "$1" 2> >(grep -Ev '^[0-9]+ (warnings?|errors?) .*(generated|treated)|^Error while processing' >&2); }
  tidy "${paths[0]}" >/dev/null 2>&1 && exit 0
  status=0
  for file in "${paths[@]:1}"; do tidy "$file" || status=1; done
  exit "$status"
fi

build=${1:?usage: tidy.sh BUILD_DIR [PART_OF_A_PATH...]}
shift
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT

mapfile -t groups < <(python3 "$here/tidy_database.py" "$build" "$database" "$@")
[[ -n ${groups[0]:-} ]] || { echo "tidy.sh: no sources in $build" >&2; exit 1; }
printf '%s\0' "${groups[@]}" | xargs -0 -n1 -P2 bash "$here/tidy.sh" --group "$database"
