#!/bin/sh
# Jobs that die: what is told, the exit status, and that nothing is left. Kills included.
. "$(dirname "$0")/cli.sh"

job() { # arguments of the job; runs without end, in the background, as process $supervisor
    hearing "$penstock" run job.so --quiet ${more-} -- --count 0 --rate 20000 "$@" >background.out 2>background.err &
    supervisor=$!
    wait_until running
}
running() { "$penstock" top job --once --json | grep -q '"command":"running"'; }
ended() { # status
    said=0
    wait "$supervisor" || said=$?
    [ "$said" -eq "$1" ] || fail "exit status $said of the job in the background, not $1"
    cp background.err err
    nothing_left job
}
worker() { "$penstock" top job --once --json | sed -n "s/.*\"worker\":$1,\"pid\":\([0-9]*\),.*/\1/p"; }

# ---- By its own doing
expect 1 "$penstock" run job.so -- --how segv
in_err "job job failed: worker "
in_err " died of SIGSEGV at address 0x8, in operator map(touch) ("
in_err ", at its record "
in_err "backtrace:"
[ "$(grep -c ' failed: ' err)" -eq 1 ] || fail "not one report"
command -v addr2line >/dev/null && { in_err "strike at cli_job.c:" && in_err "touch at cli_job.c:"; }
nothing_left job
expect 1 "$penstock" run job.so -- --how abort && in_err " died of SIGABRT, in operator map(touch) ("
nothing_left job
expect 1 "$penstock" run job.so -- --how exit && in_err " exited with status 3, though nobody told it to"
nothing_left job
expect 1 "$penstock" run job.so -- --how fail && in_err "map(touch)" && in_err "the disk 7 is full"
one_message
nothing_left job
expect 1 "$penstock" run job.so -- --how open && in_err "cannot open the door" && one_message
nothing_left job
said=0
"$penstock" run job.so -- --how describe >out 2>err || said=$?
[ "$said" -gt 0 ] || fail "a crash in pen_job is not noticed"
in_err "the job crashed while it was being described"
in_err "pen_job"
nothing_left job

# ---- By others
job
kill -9 "$(worker 0)"
ended 1 && in_err " died of SIGKILL" && one_message
job
kill -9 "$supervisor"
wait "$supervisor"
wait_until no_workers_of job
[ "$(ls run | wc -l)" -eq 1 ] || fail "a killed supervisor leaves one region: $(ls run)"
expect 0 "$penstock" top job --once && in_out "dead, begun"
expect 0 "$penstock" run job.so -- --count 10 # sweeps
nothing_left job

# ---- By signals
job
kill -INT "$supervisor"
ended 0
job
kill -TERM "$supervisor"
ended 0
"$penstock" top job --once --json >/dev/null 2>&1 && fail "a job that has stopped is still there"
more=--drain
job
more=
kill -TERM "$supervisor"
ended 0
job --how hang
sleep 0.2
kill -INT "$supervisor"
sleep 0.3
kill -0 "$supervisor" 2>/dev/null || fail "a job that hangs cannot have stopped"
kill -INT "$supervisor"
ended 130 && in_err "killed by a second signal"

# Who was started with SIGINT ignored, as by a shell in the background, goes on.
env --ignore-signal=INT "$penstock" run job.so -- --count 0 --rate 20000 >background.out 2>background.err &
supervisor=$!
wait_until running
kill -INT "$supervisor"
kill -INT "$supervisor"
sleep 0.3
kill -0 "$supervisor" 2>/dev/null || fail "SIGINT is heard though it was ignored"
kill -HUP "$supervisor"
ended 0 && in_err "stopping job; a second signal kills it" && in_err "job stopped after"
# Who was started with the deaths of children ignored hears of them all the same.
expect 0 env --ignore-signal=CHLD "$penstock" run job.so -- --count 10
nothing_left job

# ---- The reader of its output goes away
said=0
{ "$penstock" run job.so --quiet -- --count 1000000 2>err || echo "$?" >status; } | head -n 1 >out
wait_until test -s status
[ "$(cat status 2>/dev/null)" = 1 ] || fail "a job whose output is not read any more goes on"
in_err "print"
nothing_left job

# ---- Two jobs of one name
job
expect 1 "$penstock" run job.so && in_err "a job named job runs already, as process $supervisor" && one_message
expect 0 "$penstock" run job.so --name second -- --count 10
kill -INT "$supervisor"
ended 0
finish
