#!/usr/bin/env bash
# Makes a root directory with another major version of PostgreSQL's server, and prints its path:
#   server_root.sh MAJOR     13, 17 or 18: those that a release of Debian has (15 is this machine's own)
# A root that is there already is used again. Needs root, debootstrap (installed when it is missing) and the mirror that
# apt uses here. TEAL_TEST_ROOTS (/var/cache/teal-tests) is where the roots are kept: some 500 MB each.
set -euo pipefail

major=${1:?usage: server_root.sh MAJOR}
case $major in
  13) suite=bullseye script=bullseye ;;
  17) suite=trixie script=trixie ;;
  18) suite=forky script=sid ;;  # debootstrap of Debian 12 does not know that name yet
  *) echo "server_root.sh: no release of Debian has PostgreSQL $major; there are 13, 17 and 18" >&2; exit 2 ;;
esac
roots=${TEAL_TEST_ROOTS:-/var/cache/teal-tests}
root=$roots/pg$major
if [[ -e $root.complete ]]; then
  echo "$root"
  exit 0
fi
((EUID == 0)) || { echo "server_root.sh: other server versions need root" >&2; exit 1; }

# The first mirror of Debian proper that apt is configured with.
mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 2>/dev/null | awk '$2 ~ /^bookworm$/ { print $1; exit }')
[[ -n $mirror ]] || { echo "server_root.sh: apt knows no mirror of Debian bookworm" >&2; exit 1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() { "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; echo "server_root.sh: failed: $*" >&2; exit 1; }; }
command -v debootstrap >/dev/null ||
  quietly env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends debootstrap
echo "server_root.sh: making $root from $suite" >&2
mkdir -p "$roots"
rm -rf "$root"
# The server's package would make and start a cluster; the file has to be there before it.
quietly debootstrap --variant=minbase --include=postgresql-common "$suite" "$root" "$mirror" \
  "/usr/share/debootstrap/scripts/$script"
mkdir -p "$root/etc/postgresql-common"
echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
cp /etc/resolv.conf "$root/etc/resolv.conf"
quietly chroot "$root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  apt-get -q -y -o Dpkg::Options::=--force-confold install --no-install-recommends "postgresql-$major"
quietly chroot "$root" apt-get clean
touch "$root.complete"
echo "$root"
