#!/usr/bin/env bash
# Shows teal at work on two throwaway PostgreSQL servers, from nothing but a Debian 12 with root or sudo:
#   tools/demo.sh          builds teal, fills blue, starts the sidecar, writes on blue for 20 seconds, kills the sidecar
#                          with SIGKILL in the middle, compares both sides row by row; then moves clients that write
#                          through PgBouncer to green and back, compares again, and removes everything
#   tools/demo.sh --keep   leaves the two servers running and says how to connect and how to clean up
# About two minutes after the build. Exit code 0 only when every row arrived, no client failed, and nothing was left behind.
# --teal FILE uses that program instead of building one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD
exec </dev/null
for variable in "${!PG@}" "${!TEAL_@}"; do unset "$variable"; done

readonly writing_seconds=20 kill_at=9 down_seconds=2 memory_limit_mib=96
readonly tpcb_clients=4 shop_clients=2 pgbench_scale=5
keep=0
teal=""
while (($#)); do
  case $1 in
    --keep) keep=1 ;;
    --teal) teal=$(realpath "${2:?--teal needs a file}") && shift ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    *) echo "demo.sh: unknown argument $1; see --help" >&2 && exit 2 ;;
  esac
  shift
done

directory="" pg_bin="" port_blue="" port_green="" pid_blue="" pid_green="" pid_teal="" pids_writers=()
port_pooler="" pid_pooler="" client_failures=0 client_transactions=0 moves=0 longest_pause=0
problems=()

step() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
indent() { sed 's/^/   /'; }
number() { sed -e :a -e 's/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta' <<<"$1"; }
size() {
  awk -v bytes="$1" 'BEGIN { if (bytes < 1048576) printf "%.0f KiB", bytes / 1024; else printf "%.1f MiB", bytes / 1048576 }'
}
now() { printf %s "$EPOCHREALTIME"; }
seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }
is_less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }
pick() { "$repository/tools/demo/pick.py" "$@"; }

# fail TEXT [LOG]: the demo cannot go on.
fail() {
  echo "demo.sh: $1" >&2
  [[ -z ${2:-} || ! -e $2 ]] || tail -n 20 "$2" >&2
  exit 1
}

# expect TEXT COMMAND...: notes a problem when the command says no; the demo goes on.
expect() {
  local text=$1
  shift
  "$@" || problems+=("$text")
}

# shellcheck source=tools/demo/servers.sh
source tools/demo/servers.sh
# shellcheck source=tools/demo/load.sh
source tools/demo/load.sh
# shellcheck source=tools/demo/moves.sh
source tools/demo/moves.sh

# --------------------------------------------------------------------------------------------------- end of all

clean_up() {
  local code=$?
  trap - EXIT INT TERM
  set +e
  for pid in "${pids_writers[@]}"; do stop_process "$pid" TERM 10; done
  stop_process "$pid_teal" TERM 20
  stop_process "$pid_pooler" TERM 10
  if ((keep)) && alive "$pid_blue" && alive "$pid_green"; then
    tell_how_to_go_on
  else
    # Immediately: their files go anyway.
    stop_process "$pid_blue" QUIT 30
    stop_process "$pid_green" QUIT 30
    [[ -z $directory ]] || rm -rf "$directory"
  fi
  exit "$code"
}

tell_how_to_go_on() {
  cat <<TEXT

The servers go on running:
  blue       $pg_bin/psql -h $directory -p $port_blue -U shop_owner shop
  green      $pg_bin/psql -h $directory -p $port_green -U shop_owner shop
  teal       $teal -c $directory/teal.yml check
clean up:
  kill -INT $pid_blue $pid_green; while kill -0 $pid_blue || kill -0 $pid_green; do sleep 0.2; done 2>/dev/null; rm -rf $directory
TEXT
}

# ------------------------------------------------------------------------------------------------------ set-up

build() {
  if [[ -n $teal ]]; then
    [[ -x $teal ]] || fail "$teal is not a program"
    return
  fi
  export HOME=${HOME:-$(getent passwd "$EUID" | cut -d: -f6)}  # where ccache keeps its files
  local log=build/release/demo_build.log
  mkdir -p build/release
  say "the first time this takes some minutes; log: $log"
  cmake -S . -B build/release -G Ninja >"$log" 2>&1 || fail "cmake failed" "$log"
  cmake --build build/release --target teal >>"$log" 2>&1 || fail "the build failed" "$log"
  teal=$PWD/build/release/teal
}

make_servers() {
  find_pg_bin
  directory=$(mktemp -d /tmp/teal-demo.XXXXXX)
  ((EUID != 0)) || chown postgres: "$directory"
  local side
  for side in blue green; do
    make_cluster "$side"
    start_server "$side"
  done
  say "$("$pg_bin/postgres" --version), blue on port $port_blue, green on port $port_green"
}

# Roles first, by the administrator; then the application's tables, by their owner.
make_roles() {
  local side port password
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  (umask 077 && : >"$directory/passfile")
  for side in blue green; do
    psql_on "$side" postgres -d postgres -c 'CREATE ROLE shop_owner LOGIN' -c 'CREATE DATABASE shop OWNER shop_owner'
    local more=()
    [[ $side == blue ]] || more=(-v make_tables=on)
    psql_on "$side" postgres -v owner_role=shop_owner "${more[@]}" -f docs/roles.sql
    # By standard input: an argument could be read by every user of the machine.
    printf "ALTER ROLE teal PASSWORD '%s';\n" "$password" | psql_on "$side" postgres
    port=port_$side
    printf '127.0.0.1:%s:shop:teal:%s\n' "${!port}" "$password" >>"$directory/passfile"
  done
  say "shop_owner owns the application, teal has the rights of docs/roles.sql; neither is a superuser"
}

load_blue() {
  psql_on blue shop_owner -f tools/demo/shop.sql
  timeout 120 "$pg_bin/pgbench" -i -q -s "$pgbench_scale" -h "$directory" -p "$port_blue" -U shop_owner shop \
    >"$directory/pgbench_init.log" 2>&1 || fail "pgbench -i failed" "$directory/pgbench_init.log"
  psql_on blue shop_owner -c 'ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY'
  say "a shop (customers, products, stock, orders, order_items, payments) and pgbench's four tables, on blue only"
}

write_config() {
  cat >"$directory/teal.yml" <<YAML
name: shop
blue: postgresql://teal@127.0.0.1:$port_blue/shop?passfile=$directory/passfile
green: postgresql://teal@127.0.0.1:$port_green/shop?passfile=$directory/passfile
direction: forward
pg_bindir: $pg_bin
copy: { jobs: 2, schema: true }
YAML
}

run_teal() { timeout 60 "$teal" -c "$directory/teal.yml" "$@"; }

# check_and_publish SIDE: publishing a table is its owner's right; check prints the SQL, the owner runs it.
check_and_publish() {
  local side=$1 code=0 sql
  say "\$ teal check"
  run_teal check >"$directory/check.txt" || code=$?
  fold -s -w 108 "$directory/check.txt" | sed 's/ *$//' | indent
  ((code == 1)) || fail "teal check should have missed the publication (exit code $code)"
  run_teal check --json >"$directory/check.json" || true
  sql=$(pick 'findings.*.mend' <"$directory/check.json" | sed -n 's/^as shop_owner .*: \(CREATE PUBLICATION .*;\)$/\1/p')
  [[ -n $sql ]] || fail "teal check asked for something else than the publication"
  psql_on "$side" shop_owner -c "$sql"
  say "(the owner runs that statement)"
  say "\$ teal check"
  run_teal check | indent || fail "teal check is still not content"
}

# -------------------------------------------------------------------------------------------- sidecar and writers

start_teal() {
  setpriv --pdeathsig=TERM "$teal" -c "$directory/teal.yml" run >>"$directory/teal.log" 2>&1 &
  pid_teal=$!
  started_at=$(now)
}

wait_for_link() {
  local deadline=$((SECONDS + 30))
  until run_teal status --json >"$directory/status.json" 2>/dev/null; do
    alive "$pid_teal" || fail "teal ended" "$directory/teal.log"
    ((SECONDS < deadline)) || fail "teal did not set itself up in 30 s" "$directory/teal.log"
    sleep 0.1
  done
}

stop_teal() {
  local code=0 deadline=$((SECONDS + 20))
  kill -s TERM "$pid_teal"
  while alive "$pid_teal" && ((SECONDS < deadline)); do sleep 0.05; done
  ! alive "$pid_teal" || fail "teal did not end within 20 s of SIGTERM" "$directory/teal.log"
  wait "$pid_teal" || code=$?
  pid_teal=""
  expect "teal ended with exit code $code after SIGTERM" test "$code" -eq 0
}

# ---------------------------------------------------------------------------------------------- proof and end

readonly tables_sql="SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname <> 'teal' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1"

dump_rows() {
  psql_on "$1" postgres -c "COPY (SELECT t::text FROM $2 AS t) TO STDOUT" | LC_ALL=C sort >"$directory/rows.$1"
}

# Every row of every table as text, from both sides, by psql and sort: nothing of teal takes part in this.
compare_sides() {
  local table rows difference
  rows_compared=0 rows_different=0 tables_compared=0
  expect "green has other tables than blue" \
    test "$(psql_on blue postgres -At -c "$tables_sql")" == "$(psql_on green postgres -At -c "$tables_sql")"
  while read -r table; do
    dump_rows blue "$table"
    dump_rows green "$table"
    rows=$(wc -l <"$directory/rows.blue")
    difference=$(LC_ALL=C comm -3 "$directory/rows.blue" "$directory/rows.green" | wc -l)
    printf '   %-26s %10s rows  %s\n' "$table" "$(number "$rows")" \
      "$( ((difference == 0)) && echo identical || echo "$difference DIFFER")"
    rows_compared=$((rows_compared + rows)) rows_different=$((rows_different + difference))
    tables_compared=$((tables_compared + 1))
  done < <(psql_on blue postgres -At -c "$tables_sql")
}

# What teal may not drop, because it is another's, it prints as SQL; the owner runs that.
finish() {
  local sql statement side
  say "\$ teal finish --yes"
  run_teal finish --yes >"$directory/finish.txt" || true
  indent <"$directory/finish.txt"
  sql=$(sed -n 's/^  mend: \(DROP PUBLICATION .*;\)$/\1/p' "$directory/finish.txt")
  while read -r statement; do
    side=blue
    [[ $statement != *green_to_blue* ]] || side=green
    [[ -z $statement ]] || psql_on "$side" shop_owner -c "$statement"
  done <<<"$sql"
  say "(the owner runs these statements)"
  say "\$ teal finish --yes"
  run_teal finish --yes | indent || problems+=("teal finish left something")
  leftovers=0
  for side in blue green; do
    leftovers=$((leftovers + $(psql_on "$side" postgres -At -c "SELECT (SELECT count(*) FROM pg_replication_slots)
      + (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_origin)
      + (SELECT count(*) FROM pg_namespace WHERE nspname = 'teal')")))
  done
  say "slots, publications, origins and schemas of teal on both sides, counted in the catalogs: $leftovers"
}

judge() {
  expect "$rows_different rows differ" test "$rows_different" -eq 0
  expect "no table was compared" test "$rows_compared" -gt 0
  expect "$client_failures client transactions failed" test "$client_failures" -eq 0
  expect "writes were moved $moves times, not twice" test "$moves" -eq 2
  expect "nothing was streamed" test "$applied" -gt 0
  expect "teal did not catch up with the writers" test -n "$copied_in"
  expect "teal did not catch up after it was killed" test -n "$recovered_in"
  expect "teal used more than $memory_limit_mib MiB" test "$memory_kib" -le $((memory_limit_mib * 1024))
  expect "$leftovers things are left in the catalogs" test "$leftovers" -eq 0
}

summary() {
  local copied=0 problem
  copied=$(awk '/ table copied / { for (i = 1; i <= NF; i++) if (sub(/^rows=/, "", $i)) sum += $i } END { print sum + 0 }' \
    "$directory/teal.log")
  line() { printf '   %-36s %s\n' "$1" "$2"; }
  line "copied" "$(number "$copied") rows in $tables_copied tables, in step with the writers after ${copied_in:-?} s"
  line "streamed" "$(number "$applied") changes in $(number "$transactions") transactions"
  line "peak lag from then on" "$(size "$peak_bytes"), $(printf %.2f "$peak_seconds") s"
  line "killed, started again $down_for s later" "in step ${recovered_in:-never} s after that"
  line "green complete after the last write" "$complete_in s"
  line "compared" "$(number "$rows_compared") rows in $tables_compared tables, $(number "$rows_different") differ"
  line "moved to green and back" "$moves times; writes waited for ${longest_pause%.*} ms at most"
  line "failed client transactions" "$(number "$client_failures") of $(number "$client_transactions")"
  line "teal's peak memory" "$( ((memory_kib > 0)) && size $((memory_kib * 1024)) || echo "unknown, /proc is not there")"
  line "left on the servers" "$( ((leftovers == 0)) && echo nothing || echo "$leftovers things")"
  line "time without the build" "$((SECONDS - demo_begin)) s"
  for problem in "${problems[@]}"; do printf '   FAILED: %s\n' "$problem"; done
}

# -------------------------------------------------------------------------------------------------------- main

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "packages and build"
tools/setup.sh
build
say "$("$teal" version | head -n 1)"
demo_begin=$SECONDS

step "two throwaway servers"
make_servers
make_roles
load_blue
write_config

step "what is missing?"
check_and_publish blue

step "teal run: copies, then streams; $((tpcb_clients + shop_clients)) clients write on blue for $writing_seconds s from the start"
start_teal
wait_for_link
start_writers "$port_blue" ""
watch_writers
count_clients ""

step "the writers have stopped"
wait_until_complete
say "green held everything after $complete_in s"
stop_teal

step "is every row there, once?"
compare_sides

step "the way back, and a pooler"
hand_over
start_pooler
add_cutover_to_config
check_and_publish green
start_teal
wait_for_both_links
say "\$ teal verify"
run_teal verify 2>>"$directory/teal.log" | indent || problems+=("teal verify did not end with 0")

step "the writes move to green and back, while $((tpcb_clients + shop_clients)) clients write through the pooler"
move_there_and_back
wait_until_complete
stop_teal
compare_sides

step "the end of the migration"
finish

step "summary"
judge
summary
((${#problems[@]} == 0))
