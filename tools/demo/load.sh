# shellcheck shell=bash disable=SC2154,SC2034
# The writers of tools/demo.sh, which sources this, and what is watched while they write. Needs its settings
# and helpers; sets the counters that its summary prints.

# start_writers PORT PREFIX: of a server or a pooler, and of their logs' names.
start_writers() {
  local common=(-n -T "$writing_seconds" -h "$directory" -p "$1" -U shop_owner shop) limit=$((writing_seconds + 60))
  timeout "$limit" "$pg_bin/pgbench" -c "$tpcb_clients" "${common[@]}" >"$directory/${2}tpcb.log" 2>&1 &
  pids_writers+=($!)
  timeout "$limit" "$pg_bin/pgbench" -c "$shop_clients" -f tools/demo/place_order.sql@5 -f tools/demo/pay_order.sql@4 \
    -f tools/demo/change_product.sql@2 -f tools/demo/forget_order.sql@1 "${common[@]}" >"$directory/${2}shop.log" 2>&1 &
  pids_writers+=($!)
}

# Reads where teal is into: phase lag_bytes lag_seconds applied transactions tables_copied
read_status() {
  local fields
  fields=$(run_teal status --json | pick links.0.phase links.0.lag_bytes links.0.lag_seconds \
    links.0.counters.applied links.0.counters.transactions links.0.tables_copied) || fail "teal status failed"
  { read -r phase; read -r lag_bytes; read -r lag_seconds; read -r applied; read -r transactions
    read -r tables_copied; } <<<"$fields"
  applied=${applied:-0} transactions=${transactions:-0}
}

note_memory() {
  local kib
  kib=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid_teal/status" 2>/dev/null) || return 0
  ((${kib:-0} <= memory_kib)) || memory_kib=$kib
}

# Green is in step when what it holds is less than a second old. Peaks count from then on: not the first catching up
# after the copy, nor the one after the kill, which are timed.
note_step() {
  [[ $phase == streaming && -n $started_at ]] || return 0
  if ((in_step)); then
    ((lag_bytes <= peak_bytes)) || peak_bytes=$lag_bytes
    is_less "$lag_seconds" "$peak_seconds" || peak_seconds=$lag_seconds
  elif is_less "$lag_seconds" 1; then
    in_step=1
    if [[ -n $killed_at ]]; then recovered_in=$(seconds_since "$started_at"); else copied_in=$(seconds_since "$started_at"); fi
  fi
}

# One line a second with the rates since the line before.
print_line() {
  local time rows per_second
  time=$(now)
  read -r rows per_second < <(awk -v t="$time" -v t0="$line_time" -v a="$applied" -v a0="$line_applied" \
    -v x="$transactions" -v x0="$line_transactions" 'BEGIN { d = t - t0; printf "%d %d\n", (a - a0) / d, (x - x0) / d }')
  printf '   %3d s  %-10s lag %10s %7.2f s %10s rows/s %8s transactions/s  %s\n' "$1" "$phase" "$(size "$lag_bytes")" \
    "$lag_seconds" "$(number "$rows")" "$(number "$per_second")" "$2"
  line_time=$time line_applied=$applied line_transactions=$transactions
}

kill_teal() {
  note_memory
  kill -s KILL "$pid_teal"
  wait "$pid_teal" 2>/dev/null || true
  killed_at=$(now) started_at="" pid_teal="" in_step=0
}

watch_writers() {
  phase="" lag_bytes=0 lag_seconds=0 applied=0 transactions=0 tables_copied=0
  peak_bytes=0 peak_seconds=0 memory_kib=0 in_step=0 killed_at="" recovered_in="" copied_in="" down_for=""
  line_applied=0 line_transactions=0 line_time=$(now)
  local begin=$line_time elapsed next=1 note=""
  while ((next <= writing_seconds)); do
    elapsed=$(seconds_since "$begin")
    if [[ -z $killed_at ]]; then
      is_less "$elapsed" "$kill_at" || { kill_teal && note="<- kill -9"; }
    elif [[ -z $started_at ]]; then
      down_for=$(seconds_since "$killed_at")
      is_less "$down_for" "$down_seconds" || { start_teal && note="<- started again"; }
    fi
    [[ -z $started_at ]] || alive "$pid_teal" || fail "teal ended by itself" "$directory/teal.log"
    read_status
    note_memory
    note_step
    if ! is_less "$elapsed" "$next"; then
      print_line "${elapsed%.*}" "$note"
      next=$((${elapsed%.*} + 1)) note=""
    fi
    if ((in_step)); then sleep_until "$begin" "$next"; else sleep 0.1; fi
  done
}

# sleep_until BEGIN N: until N seconds after BEGIN.
sleep_until() {
  sleep "$(awk -v from="$1" -v n="$2" -v to="$EPOCHREALTIME" 'BEGIN { d = from + n - to; print (d > 0 ? d + 0.01 : 0) }')"
}

# count_clients PREFIX: adds up what pgbench reports, committed and failed transactions. An aborted client is a failed
# transaction too.
count_clients() {
  local pid file
  for pid in "${pids_writers[@]}"; do
    wait "$pid" || client_failures=$((client_failures + 1))
  done
  pids_writers=()
  for file in "$directory/${1}tpcb.log" "$directory/${1}shop.log"; do
    client_transactions=$((client_transactions + $(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$file")))
    client_failures=$((client_failures + $(sed -n 's/^number of failed transactions: \([0-9]*\).*/\1/p' "$file")))
    grep -q aborted "$file" && tail -n 5 "$file" | indent
  done
  return 0
}

# Everything that blue has committed by now is on green.
wait_until_complete() {
  local end begin deadline=$((SECONDS + 60)) applied_lsn
  begin=$(now)
  end=$(psql_on blue shop_owner -At -c 'SELECT pg_current_wal_insert_lsn()')
  until applied_lsn=$(run_teal status --json | pick links.0.applied_lsn) &&
    [[ $(psql_on blue shop_owner -At -c "SELECT '$applied_lsn'::pg_lsn >= '$end'::pg_lsn") == t ]]; do
    alive "$pid_teal" || fail "teal ended by itself" "$directory/teal.log"
    ((SECONDS < deadline)) || fail "green is not complete after 60 s" "$directory/teal.log"
    sleep 0.1
  done
  complete_in=$(seconds_since "$begin")
  read_status
  note_memory
  note_step
}
