#!/bin/sh
# `penstock top`: on a job that runs, one that is stopped, and what a dead one left.
. "$(dirname "$0")/cli.sh"

expect 1 "$penstock" top && in_err "no job of yours is running" && one_message
expect 1 "$penstock" top missing --once && in_err "no job of yours is running"
expect 2 "$penstock" top --onec && in_err "Did you mean --once?" && one_message
expect 2 "$penstock" top a b && in_err "one word too many" && one_message
expect 0 "$penstock" top --help && in_out "usage: penstock top"

hearing "$penstock" run job.so --quiet --parallelism 2 -- --count 0 --rate 20000 >/dev/null 2>background.err &
supervisor=$!
running() { "$penstock" top job --once --json | grep -q '"command":"running".*"records":[1-9]'; }
wait_until running

# ---- It runs
expect 0 "$penstock" top --once
in_out "job, process $supervisor, running for"
in_out "map(touch)"
in_out "map(touch) -> aggregate(counted)"
in_out "2 helper"
grep -qE '^0 +[0-9]+ +(0|1|[0-9]+|-) running ' out || fail "worker 0 is not shown as running"
grep -qE '^map\(touch\) +2 +[0-9,]+ +[0-9.]+ k?/s' out || fail "the map's rate is not shown"
expect 0 "$penstock" top "$supervisor" --json
[ "$(grep -c '"worker":' out)" -eq 3 ] || fail "not three workers in JSON"
[ "$(grep -c '"from_worker":' out)" -ge 4 ] || fail "fewer than four rings in JSON"
expect 1 "$penstock" top jbo --once && in_err "there is no job jbo" && in_err "job (process $supervisor)"

# Records go up from one look to the next.
records() { "$penstock" top job --once --json | sed -n 's/.*"records":\([0-9]*\),.*/\1/p' | head -n 1; }
first=$(records)
more() { [ "$(records)" -gt "$first" ]; }
wait_until more

# ---- On a terminal: a screen of its own, given back at q
if command -v script >/dev/null; then
    (sleep 1.5 && printf q) | TERM=xterm script -qec "'$penstock' top job" typescript >/dev/null 2>&1
    grep -q 'q: quit' typescript || fail "no live view on a terminal"
    grep -q '\[?1049l' typescript || fail "the terminal is not given back"
fi

# ---- It is stopped, all of it: nobody there could help
workers=$("$penstock" top job --once --json | sed -n 's/.*"worker":[0-9]*,"pid":\([0-9]*\),.*/\1/p')
# shellcheck disable=SC2086
kill -STOP "$supervisor" $workers
stopped() { [ "$("$penstock" top job --once | grep -c ' stopped ')" -eq 3 ]; }
wait_until stopped
# shellcheck disable=SC2086
kill -CONT "$supervisor" $workers
wait_until running

# ---- It is dead
kill -9 "$supervisor"
wait "$supervisor" 2>/dev/null
gone() { [ "$("$penstock" top job --once | grep -c ' gone ')" -eq 3 ]; }
wait_until gone
expect 0 "$penstock" top job --once && in_out "dead, begun"
expect 0 "$penstock" top job --json && in_out '"alive":false'

# A region that is cut off or overwritten is refused, not believed.
region=$(ls run/*.region)
cp "$region" kept
truncate -s 1000 "$region"
expect 1 "$penstock" top job --once && one_message
cp kept "$region"
dd if=/dev/zero of="$region" bs=1 seek=256 count=64 conv=notrunc 2>/dev/null # where the board begins
expect 1 "$penstock" top job --once && in_err "damaged"
rm -f "$region"
finish
