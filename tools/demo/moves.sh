# shellcheck shell=bash disable=SC2154,SC2034
# The second half of tools/demo.sh, which sources this: a pooler, and writes that move to green and back. Needs its
# settings and helpers; sets the counters that its summary prints.

# The tables that teal has made belong to it: the application gets them, and teal the rights that it has on blue.
hand_over() {
  psql_on green postgres -c "DO \$\$ DECLARE t regclass; BEGIN FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace =
    'public'::regnamespace AND c.relkind IN ('r', 'p') LOOP EXECUTE format('ALTER TABLE %s OWNER TO shop_owner', t); END LOOP;
    FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S' AND c.relowner =
    'teal'::regrole LOOP EXECUTE format('ALTER SEQUENCE %s OWNER TO shop_owner', t); END LOOP; END \$\$"
  psql_on green postgres -v owner_role=shop_owner -f docs/roles.sql
  say "green's tables belong to shop_owner now, who is the application"
}

start_pooler() {
  local deadline=$((SECONDS + 20))
  port_pooler=$(free_port)
  printf '"shop_owner" ""\n"pooler_admin" ""\n' >"$directory/pooler.users"
  cat >"$directory/pooler.ini" <<INI
[databases]
shop = host=$directory port=$port_blue dbname=shop pool_size=20

[pgbouncer]
listen_port = $port_pooler
unix_socket_dir = $directory
auth_type = trust
auth_file = $directory/pooler.users
admin_users = pooler_admin
pool_mode = transaction
ignore_startup_parameters = extra_float_digits
INI
  ((EUID != 0)) || chown postgres: "$directory/pooler.users" "$directory/pooler.ini"
  (exec_as_server_user setpriv --pdeathsig=TERM "$(command -v pgbouncer || echo /usr/sbin/pgbouncer)" "$directory/pooler.ini") \
    >>"$directory/pooler.log" 2>&1 &
  pid_pooler=$!
  until "$pg_bin/pg_isready" -q -h "$directory" -p "$port_pooler" -U shop_owner -d shop; do
    { alive "$pid_pooler" && ((SECONDS < deadline)); } || fail "PgBouncer did not start" "$directory/pooler.log"
    sleep 0.1
  done
  say "a PgBouncer in front of blue; the application's clients come through it from now on"
}

add_cutover_to_config() {
  sed -i 's/^direction: forward$/direction: both/' "$directory/teal.yml"
  cat >>"$directory/teal.yml" <<YAML
cutover:
  pgbouncer:
    - admin: host=$directory port=$port_pooler user=pooler_admin dbname=pgbouncer
      database: shop
      config: $directory/pooler.ini
      blue: host=$directory port=$port_blue dbname=shop
      green: host=$directory port=$port_green dbname=shop
YAML
}

wait_for_both_links() {
  local deadline=$((SECONDS + 60))
  until run_teal status --json | pick links.0.phase links.1.phase 2>/dev/null | grep -c streaming | grep -q 2; do
    alive "$pid_teal" || fail "teal ended" "$directory/teal.log"
    ((SECONDS < deadline)) || fail "the links did not both stream within 60 s" "$directory/teal.log"
    sleep 0.2
  done
}

# move COMMAND: cutover or rollback, while the clients write.
move() {
  local pause
  say "\$ teal $1 --yes"
  if run_teal "$1" --yes --report "$directory/$1.json" >"$directory/$1.txt" 2>>"$directory/teal.log"; then
    pause=$(pick pause_ms <"$directory/$1.json")
    is_less "$pause" "$longest_pause" || longest_pause=$pause
    moves=$((moves + 1))
  else
    problems+=("teal $1 ended with $?")
  fi
  fold -s -w 108 "$directory/$1.txt" | sed 's/ *$//' | indent
}

# Side by side: what each has had of the application's own transactions.
written_on() { psql_on "$1" postgres -At -c "SELECT xact_commit FROM pg_stat_database WHERE datname = 'shop'"; }

move_there_and_back() {
  moves=0 longest_pause=0
  start_writers "$port_pooler" moved_
  sleep 3
  move cutover
  say "$(run_teal status | grep '^writes ')"
  sleep 4
  move rollback
  say "$(run_teal status | grep '^writes ')"
  count_clients moved_
}
