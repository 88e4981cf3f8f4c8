# shellcheck shell=bash disable=SC2154
# Throwaway PostgreSQL servers for tools/demo.sh, which sources this. Needs: $directory (ours, to be removed at the end),
# $keep. Sets: $pg_bin, $port_<side>, $pid_<side>. Whoever is root lets user postgres run the servers, because
# PostgreSQL refuses to run as root.

find_pg_bin() {
  local candidate newest=""
  for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V); do
    [[ -x $candidate/initdb && -x $candidate/pgbench ]] && newest=$candidate
  done
  [[ -n $newest ]] || fail "no PostgreSQL server programs under /usr/lib/postgresql"
  pg_bin=$newest
}

# Becomes a program of the servers' user, in a directory that this user may read. To be called in a subshell.
exec_as_server_user() {
  local become=()
  ((EUID != 0)) || become=(setpriv --reuid=postgres --regid=postgres --init-groups --)
  cd "$directory" || exit
  exec "${become[@]}" "$@"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Only the demo's own user reaches the sockets (their directory is closed to others); over TCP there is teal, with a
# password, and only in the application's database: so its REPLICATION allows no base backup.
write_hba() {
  printf '%s\n' 'local all all trust' 'host shop teal 127.0.0.1/32 scram-sha-256' >"$1"
}

make_cluster() {
  local side=$1 data=$directory/$1
  (exec_as_server_user "$pg_bin/initdb" --pgdata="$data" --username=postgres --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync --no-instructions) >"$directory/$side.initdb.log" 2>&1 || fail "initdb failed" "$directory/$side.initdb.log"
  write_hba "$data/pg_hba.conf"
  cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$directory'
wal_level = logical
shared_buffers = 128MB
max_wal_size = 2GB
CONF
}

# Starts the server of a side; tries other ports when somebody else is faster.
start_server() {
  local side=$1 port pid attempts=5
  while ((attempts-- > 0)); do
    port=$(free_port)
    # A server of its own session does not hear a Ctrl-C: it is stopped in order, after its clients. If this script is
    # killed without a word, the server ends too, unless it is meant to stay.
    local last_will=(--pdeathsig=QUIT)
    ((keep)) && last_will=()
    (exec_as_server_user setsid setpriv "${last_will[@]}" "$pg_bin/postgres" -D "$directory/$side" -p "$port") \
      >>"$directory/$side.log" 2>&1 &
    pid=$!
    printf -v "port_$side" %s "$port"
    printf -v "pid_$side" %s "$pid"
    wait_for_server "$port" "$pid" && return
    stop_process "$pid" QUIT 10
    grep -q 'could not bind' "$directory/$side.log" || break
  done
  fail "the server of $side did not start" "$directory/$side.log"
}

wait_for_server() {
  local port=$1 pid=$2 deadline=$((SECONDS + 30))
  until "$pg_bin/pg_isready" -q -h "$directory" -p "$port" -U postgres -d postgres; do
    alive "$pid" && ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

alive() { [[ -n $1 ]] && kill -0 "$1" 2>/dev/null; }

# stop_process PID SIGNAL SECONDS: asks, waits, then insists. Only ever for a process that this script started.
stop_process() {
  local pid=$1 signal=$2 deadline=$((SECONDS + $3))
  alive "$pid" || return 0
  kill -s "$signal" "$pid" 2>/dev/null || true
  while alive "$pid" && ((SECONDS < deadline)); do sleep 0.05; done
  alive "$pid" && kill -s KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null || true
}

# psql_on SIDE USER ARGUMENTS...: psql that stops at the first error and waits at most two minutes.
psql_on() {
  local side=$1 user=$2 port
  port=port_$side
  shift 2
  PGCONNECT_TIMEOUT=10 timeout 120 "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$directory" -p "${!port}" -U "$user" \
    -d shop "$@"
}
