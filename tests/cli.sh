# Shared by the cli_ tests, which run the real program on job objects that it has built itself. Sourced:
# makes a directory to work in with a run directory in it, builds cli_job.c, and removes all at the end.
set -u
source_dir=${PENSTOCK_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)}
penstock=${PENSTOCK_BUILD:-$source_dir/build}/bin/penstock
work=$(mktemp -d)
bad=0
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -m 700 "$work/run" && cd "$work" || exit 1
PENSTOCK_RUN_DIR=$work/run
export PENSTOCK_RUN_DIR

fail() {
    bad=$((bad + 1))
    echo "FAILED: $1"
    [ ! -f out ] || sed 's/^/    out: /' out | head -n 20
    [ ! -f err ] || sed 's/^/    err: /' err | head -n 40
}

# Runs a command and expects an exit status; out and err hold what it wrote.
expect() { # status command ...
    wanted=$1
    shift
    said=0
    "$@" >out 2>err </dev/null || said=$?
    [ "$said" -eq "$wanted" ] || fail "exit status $said, not $wanted: $*"
}

in_out() { grep -qF -e "$1" out || fail "standard output lacks '$1'"; }
in_err() { grep -qF -e "$1" err || fail "standard error lacks '$1'"; }
not_in_err() { ! grep -qF -e "$1" err || fail "standard error has '$1'"; }
one_message() { [ "$(wc -l <err)" -eq 1 ] || fail "not one message but $(wc -l <err) lines"; }

# The workers of a job that use this test's run directory: other tests may run jobs of the same name.
workers_of() { # job
    for pid in $(pgrep "^pen:$(echo "$1" | cut -c1-8)"); do
        ! grep -qaF "PENSTOCK_RUN_DIR=$work/run" "/proc/$pid/environ" 2>/dev/null || echo "$pid"
    done
}
no_workers_of() { [ -z "$(workers_of "$1")" ]; }

# After a run: no region, and no process of the job with this name.
nothing_left() { # job
    [ -z "$(ls run)" ] || fail "left in the run directory: $(ls run)"
    no_workers_of "$1" || fail "workers are left: $(workers_of "$1")"
}

# A command in the background ignores SIGINT when a script starts it, and so would what it executes.
hearing() { exec env --default-signal=INT "$@"; }

# Until a command succeeds; gives up after a minute.
wait_until() {
    tries=600
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { fail "waited in vain for: $*" && return 1; }
        sleep 0.1
    done
}

finish() {
    [ "$bad" -eq 0 ] && echo "passed"
    exit $((bad > 0))
}

"$penstock" build "$source_dir/tests/cli_job.c" -g -o job.so >out 2>err || { fail "cannot build cli_job.c"; exit 1; }
