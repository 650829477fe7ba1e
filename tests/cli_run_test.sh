#!/bin/sh
# `penstock run`, `check`, `help`: what a user types, and every mistake in it.
. "$(dirname "$0")/cli.sh"

# ---- The program
expect 0 "$penstock" help && in_out "penstock top"
expect 0 "$penstock" version && in_out "penstock 0."
expect 2 "$penstock" && in_err "usage: penstock COMMAND"
expect 2 "$penstock" runn && in_err "Did you mean run?" && one_message

# ---- A run from end to end, and what it says
expect 0 "$penstock" run job.so --parallelism 2 -- --count 5000
[ "$(grep -c 'value=' out)" -ge 1000 ] || fail "fewer results than keys"
# The last count of every key is what one would count by hand.
sum=$(sed -n 's/.*value=\([0-9]*\) count=\([0-9]*\).*/\1 \2/p' out |
    awk '{ if ($2 > most[$1]) most[$1] = $2 } END { for (k in most) { n++; s += most[k] } print n, s }')
[ "$sum" = "1000 5000" ] || fail "keys and records are $sum, not 1000 5000"
in_err "job ended after"
in_err "5,000 records"
in_err "hundreds 50"
not_in_err "$(printf '\r')" # no progress line when it is not a terminal
nothing_left job

expect 0 "$penstock" run job.so --quiet -- --count 10
[ ! -s err ] || fail "--quiet is not quiet"

# ---- Plans
expect 0 "$penstock" run job.so --explain && in_out "map(touch)"
expect 0 "$penstock" run job.so --dry-run --parallelism 3 && in_out "in all"
# Every byte: the lines add up to the sum, within the rounding to pages.
awk '/^ *[0-9]+  / { if (/in all/) all = $1; else sum += $1 } END { exit !(sum > 0 && all >= sum && all - sum < 4096) }' out ||
    fail "the bytes of a dry run do not add up"
expect 0 "$penstock" run job.so --explain --cores 0 && in_out "worker 0 on 0"
expect 0 "$penstock" run job.so -- --help && in_out "--count"
nothing_left job

# ---- The summary as JSON: its figures agree with each other
expect 0 "$penstock" run job.so --quiet --summary-json summary.json -- --count 4000
grep -q '"outcome":"ended","exit_status":0,"failure":null' summary.json || fail "summary.json: outcome"
grep -q '"records":4000,' summary.json || fail "summary.json: records"
grep -q '"title":"map(touch)","parallelism":[0-9]*,"records_in":4000,"records_out":4000' summary.json ||
    fail "summary.json: operator"
grep -q '"counters":{"hundreds":40}' summary.json || fail "summary.json: counters"
if command -v python3 >/dev/null; then
    expect 0 python3 - summary.json <<'END'
import json, sys
summary = json.load(open(sys.argv[1]))
operators, workers = summary["operators"], summary["workers"]
assert summary["records"] == 4000 and summary["rejected"] == 0 and summary["job"] == "job", summary
assert summary["seconds_total"] >= summary["seconds_running"] > 0 and summary["cpu_seconds"] > 0, summary
assert [o["id"] for o in operators][2:4] == ["touch", "counts"], operators
assert operators[2]["counters"] == {"hundreds": 40}, operators[2]
assert sum(w["steps"] for w in workers) > 0 and all(w["memory_peak_bytes"] > 0 for w in workers), workers
END
fi
[ "$(ls)" = "$(printf 'err\njob.so\nout\nrun\nsummary.json')" ] || fail "files are left: $(ls)"
expect 2 "$penstock" run job.so --summary-json missing/summary.json
in_err "cannot write the summary to missing/summary.json" && one_message
expect 2 "$penstock" run job.so --summary-json run && in_err "Is a directory. Nothing was run" && one_message
nothing_left job

# ---- Mistakes of the command line: one message, what to do, status 2
expect 2 "$penstock" run && in_err "which job?" && one_message
expect 2 "$penstock" run job.so --paralelism 2 && in_err "Did you mean --parallelism?" && one_message
expect 2 "$penstock" run job.so --parallelism 0 && in_err "1 to 256 workers" && one_message
expect 2 "$penstock" run job.so --parallelism 10000 && in_err "1 to 256 workers" && one_message
expect 2 "$penstock" run job.so --parallelism abc && in_err "1 to 256 workers" && one_message
expect 2 "$penstock" run job.so --parallelism && in_err "needs a value" && one_message
expect 2 "$penstock" run job.so --name a/b && in_err "a name has 1 to 63" && one_message
expect 2 "$penstock" run job.so --on-bad-record maybe && in_err "fail, skip or dead-letter" && one_message
expect 2 "$penstock" run job.so --cores 0,x && in_err "0,2-5" && one_message
expect 2 "$penstock" run job.so --cores 4096 && in_err "may not run on core 4096" && one_message
expect 2 "$penstock" run job.so input.csv && in_err "come behind --" && one_message
expect 2 "$penstock" run job.so -- --cuont 5 && in_err "did you mean --count?"
expect 2 "$penstock" run job.so -- --count many && in_err "--count"
expect 2 "$penstock" run job.so --on-bad-record dead-letter && in_err "--dead-letters DIR" && one_message

# ---- Mistakes of the object
expect 2 "$penstock" run missing.so && in_err "missing.so: there is no such file" && one_message
echo 'int pen_jab(void); int pen_jab(void) { return 0; }' >empty.c
cc -shared -fPIC -o empty.so empty.c || fail "cannot build empty.c"
expect 2 "$penstock" run empty.so && in_err "pen_job" && one_message
echo 'no object' >text.so
expect 2 "$penstock" run text.so && in_err "shared object" && one_message
expect 2 "$penstock" run . && in_err "penstock build" && one_message
mkdir headers && cp -r "$source_dir/engine/penstock" "$source_dir/engine/penstock.h" headers
sed -i 's/^#define PEN_ABI .*/#define PEN_ABI 99u/' headers/penstock/record.h
PENSTOCK_INCLUDE=$work/headers "$penstock" build "$source_dir/tests/cli_job.c" -o other.so >out 2>err ||
    fail "cannot build against other headers"
expect 2 "$penstock" run other.so && in_err "ABI"
nothing_left other

# ---- Mistakes of the graph: all of them, with file and line; nothing runs
expect 2 "$penstock" check job.so -- --how mistake
in_err "cli_job.c:"
in_err "did you mean value?"
in_err "write another .id"
in_err "2 mistakes"
[ "$(grep -c 'cli_job.c:[0-9]*: ' err)" -eq 2 ] || fail "not every mistake has its line"
expect 2 "$penstock" run job.so -- --how mistake && in_err "nothing was run"
expect 0 "$penstock" check job.so
[ ! -s out ] || fail "a check prints something"
nothing_left job

# ---- Bad records
expect 0 "$penstock" run job.so -- --count 10000 --how reject && in_err "10 bad records"
expect 1 "$penstock" run job.so --on-bad-record fail -- --count 10000 --how reject
in_err "seven is not welcome"
expect 0 "$penstock" run job.so --dead-letters dead -- --count 10000 --how reject
[ "$(cat dead/*.jsonl | wc -l)" -eq 10 ] || fail "not ten dead letters"
grep -q '"reason":"seven is not welcome"' dead/*.jsonl || fail "a dead letter without its reason"
nothing_left job

# ---- Where shared memory cannot be
chmod 755 run
expect 1 "$penstock" run job.so && in_err "chmod 700" && one_message
chmod 700 run
expect 1 env PENSTOCK_RUN_DIR="$work/missing/run" "$penstock" run job.so
in_err "PENSTOCK_RUN_DIR" && one_message
if [ "$(id -u)" -eq 0 ]; then
    mkdir theirs && chown 65534 theirs
    expect 1 env PENSTOCK_RUN_DIR="$work/theirs" "$penstock" run job.so
    in_err "belongs to user 65534, not to you" && one_message
fi
ln -s run link
expect 1 env PENSTOCK_RUN_DIR="$work/link" "$penstock" run job.so && in_err "symbolic link" && one_message
nothing_left job
if unshare -rm true 2>/dev/null; then
    expect 1 unshare -rm sh -c "mount -t tmpfs -o size=8k,mode=700 none '$work/run' && exec '$penstock' run job.so"
    in_err "not enough shared memory" && in_err "KiB, and 8.0 KiB are free there" && one_message
    nothing_left job
fi

# ---- Where processes and descriptors are short
expect 1 sh -c "ulimit -n 30; exec '$penstock' run job.so --parallelism 64"
in_err "cannot make the bells of 65 workers" && in_err "ulimit -n" && one_message
nothing_left job
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null && command -v prlimit >/dev/null; then
    mkdir -m 700 other && chown 65534 other && chmod 755 .
    expect 1 env PENSTOCK_RUN_DIR="$work/other" setpriv --reuid=65534 --clear-groups --inh-caps=-all \
        prlimit --nproc=1 "$penstock" run job.so --parallelism 16
    in_err "cannot start worker 0 of 17" && in_err "--parallelism" && one_message
    [ -z "$(ls other)" ] || fail "left in the run directory: $(ls other)"
    chmod 700 .
fi

# ---- A terminal sees how it gets on
if command -v script >/dev/null; then
    TERM=dumb script -qec "'$penstock' run job.so -- --rate 2000 --count 2000" typescript >/dev/null 2>&1
    grep -q 'records.*/s.*blocked' typescript || fail "no progress line on a terminal"
    grep -q 'event time 2013-01-01 00:00:0' typescript || fail "no event time on a terminal"
fi
nothing_left job
finish
