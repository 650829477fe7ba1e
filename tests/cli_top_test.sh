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
if command -v python3 >/dev/null; then
    cp out top.json
    expect 0 python3 - top.json "$supervisor" <<'END'
import json, sys
job = json.load(open(sys.argv[1]))
assert job["job"] == "job" and job["pid"] == int(sys.argv[2]) and job["alive"], job
assert job["command"] == "running" and job["records"] > 0 and job["records_per_second"] > 0, job
assert [w["state"] for w in job["workers"]] == ["running"] * 3 and job["workers"][2]["helper"], job["workers"]
assert len({w["pid"] for w in job["workers"]}) == 3, job["workers"]
for w in job["workers"]:
    assert 99 < w["busy_percent"] + w["blocked_percent"] + w["idle_percent"] < 101, w
assert [o["title"] for o in job["operators"]][:3] == ["generate(make)", "event_time(at)", "map(touch)"], job["operators"]
assert {(r["from_worker"], r["to_worker"]) for r in job["rings"]} >= {(0, 1), (1, 0), (0, 2), (1, 2)}, job["rings"]
END
fi
expect 1 "$penstock" top jbo --once && in_err "there is no job jbo" && in_err "job (process $supervisor)"

# Records go up from one look to the next.
records() { "$penstock" top job --once --json | sed -n 's/.*"records":\([0-9]*\),.*/\1/p' | head -n 1; }
first=$(records)
more() { [ "$(records)" -gt "$first" ]; }
wait_until more

# Who waits for its next record is idle, not busy.
"$penstock" run job.so --quiet --name lazy -- --count 0 --rate 20 >/dev/null 2>&1 &
lazy=$!
slow() { "$penstock" top lazy --once --json | grep -q '"records":[1-9]'; }
wait_until slow
expect 0 "$penstock" top lazy --once --json
sed -n 's/.*"idle_percent":\([0-9]*\).*/\1/p' out | awk '$1 < 50 { bad++ } END { exit bad > 0 || NR < 2 }' ||
    fail "a worker that waits is not idle"
kill "$lazy"
wait "$lazy"

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
