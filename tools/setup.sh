#!/usr/bin/env bash
# Installs what building and running teal on Debian 12 needs: tools/setup.sh [tests] [ci] [bench]
#   (nothing)  build, servers and demo
#   tests      what tests/run.sh needs as well
#   ci         what tests/run.sh --ci needs as well
#   bench      what bench/run.sh needs as well
# Does nothing, and needs no rights, when everything is there. Otherwise it must run as root or with sudo.
# No PostgreSQL cluster and no pooler is made or started: tests and demo have servers of their own.
set -euo pipefail

packages=(g++ cmake ninja-build ccache pkg-config ca-certificates
  libpq-dev libboost1.81-dev libconcurrentqueue-dev libxxhash-dev libspdlog-dev libfmt-dev libcli11-dev
  libyaml-cpp-dev nlohmann-json3-dev prometheus-cpp-dev libgtest-dev libgmock-dev
  postgresql-15 postgresql-client-15 pgbouncer python3 procps)
for set in "$@"; do
  case $set in
    tests) packages+=(clang-format-19) ;;
    ci) packages+=(clang-format-19 clang-tidy-19 clang-19 libclang-rt-19-dev) ;;
    bench) packages+=(libbenchmark-dev pgcopydb postgresql-15-pglogical python3-psycopg2) ;;
    *) echo "setup.sh: unknown set '$set'; known are tests, ci, bench" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [[ $state == 'install ok installed' ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "setup.sh: run it as root, or install sudo; missing: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup.sh: installing ${missing[*]}" >&2

# Before the server's package comes: it would make a cluster and start it.
if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
  "${as_root[@]}" mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi

# The same for the pooler's: it would listen on port 6432.
if [[ " ${missing[*]} " == *' pgbouncer '* && ! -e /etc/systemd/system/pgbouncer.service ]]; then
  "${as_root[@]}" mkdir -p /etc/systemd/system
  "${as_root[@]}" ln -s /dev/null /etc/systemd/system/pgbouncer.service
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# confold: keep the file that was written above, without a question.
quietly() { "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; echo "setup.sh: failed: $*" >&2; exit 1; }; }
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold
  -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
quietly "${apt[@]}" update
quietly "${apt[@]}" install --no-install-recommends "${missing[@]}"
