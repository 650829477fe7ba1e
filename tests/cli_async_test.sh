#!/bin/sh
# Look-ups in helper processes, with the real program: dead letters, and that no helper outlives its job,
# whoever is killed.
. "$(dirname "$0")/cli.sh"
"$penstock" build "$source_dir/tests/cli_async_job.c" -g -o async.so >out 2>err || { fail "cannot build cli_async_job.c"; exit 1; }

helpers() { workers_of async | while read -r pid; do
    name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
    case $name in pen:*:*h[0-9]*) echo "$pid" ;; esac
done; }
nurseries() { workers_of async | while read -r pid; do
    name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
    case $name in pen:*:*n) echo "$pid" ;; esac
done; }
running() { [ "$(helpers | wc -l)" -eq 8 ]; }
job() { # in the background, as process $supervisor, with all of its helpers
    hearing "$penstock" run async.so --quiet --parallelism 2 ${more-} -- --sleep 2ms >background.out 2>background.err &
    supervisor=$!
    wait_until running
}
ended() { # status
    said=0
    wait "$supervisor" || said=$?
    [ "$said" -eq "$1" ] || fail "exit status $said of the job in the background, not $1"
    cp background.err err
    wait_until no_workers_of async
    nothing_left async
}
worker() { "$penstock" top async --once --json | sed -n "s/.*\"worker\":$1,\"pid\":\([0-9]*\),.*/\1/p"; }

# ---- To the end
for parallelism in 1 2; do
    expect 0 "$penstock" run async.so --quiet --parallelism $parallelism -- --count 3000
    [ "$(sort -u out | wc -l)" -eq 3000 ] && [ "$(wc -l <out)" -eq 3000 ] || fail "$(wc -l <out) of 3000 results"
    [ ! -s err ] || fail "it says something"
    nothing_left async
done
seq -f 'value=%.0f' 0 2999 >wanted
expect 0 "$penstock" run async.so --quiet --parallelism 1 -- --count 3000
cmp -s wanted out || fail "the results are not in order"

# ---- Dead letters
letter() { # how, reason
    rm -rf letters
    expect 0 "$penstock" run async.so --quiet --parallelism 2 --on-bad-record dead-letter --dead-letters letters -- --count 100 --how "$1"
    [ "$(wc -l <out)" -eq 99 ] && ! grep -qx "value=5" out || fail "$1: $(wc -l <out) results"
    in_err "async(look_up): bad record: $2"
    [ "$(cat letters/* | wc -l)" -eq 1 ] || fail "$1: not one dead letter"
    grep -qF "\"reason\":\"$2\",\"record\":{\"value\":5}}" letters/* || fail "$1: $(cat letters/*)"
    nothing_left async
}
letter hang "timed out after 2 tries of 300ms"
letter segv "its helper process died of SIGSEGV in try 2 of 2"
letter exit "its helper process exited with status 3 in try 2 of 2"
expect 1 "$penstock" run async.so --quiet --on-bad-record fail -- --count 100 --how segv
in_err "bad record: its helper process died of SIGSEGV in try 2 of 2"
wait_until no_workers_of async
nothing_left async

# ---- Kills
job
kill -9 "$(worker 0)"
ended 1 && in_err " died of SIGKILL" && one_message
job
kill -9 "$supervisor"
wait "$supervisor"
wait_until no_workers_of async
expect 0 "$penstock" run async.so --quiet -- --count 10 # sweeps
nothing_left async
job
kill -9 "$(nurseries | head -n 1)"
ended 1 && in_err "async(look_up)" && in_err "the process that makes its helpers was killed by signal 9" && one_message
job
kill -9 "$(helpers | head -n 1)" # two tries: nothing is lost, the job goes on. One: else both may be hit
wait_until running
kill -INT "$supervisor"
ended 0
[ ! -s err ] || fail "a helper that is killed once is a matter of its operator"

# ---- A stop finishes what is in flight, and a terminal's signal does not kill helpers
job
kill -INT "$supervisor" $(helpers)
ended 0
sort background.out | uniq -d | grep -q . && fail "results twice"
[ "$(wc -l <background.out)" -eq "$(grep -c '^value=[0-9]*$' background.out)" ] || fail "half a line"

finish
