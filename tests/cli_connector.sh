# Shared by the cli_connector_ tests: cli.sh, the job of cli_connector_job.c as conn.so, and a few words
# for comparing what a job wrote with what it was given. Sourced.
. "$(dirname "$0")/cli.sh"
LC_ALL=C
export LC_ALL
flights_gz=$source_dir/engine/examples/data/flights-2013.csv.gz

"$penstock" build "$source_dir/tests/cli_connector_job.c" -g -I"$source_dir" -o conn.so >out 2>err ||
    { fail "cannot build cli_connector_job.c"; exit 1; }

# A run that says nothing: options of the job; PAR workers.
PAR=2
conn() { "$penstock" run conn.so --quiet --parallelism "$PAR" -- "$@"; }

# What files of a directory hold, without the line of names that each begins with.
rows_of() { for file in "$1"/part-*.csv; do tail -n +2 "$file"; done; }

same() { # what, file, file
    cmp -s "$2" "$3" && [ -s "$2" ] && return
    fail "$1: $2 and $3 differ"
    diff "$2" "$3" | head -n 6 | cut -c1-200
}

# Every part of a result is there, nothing hidden is, and nothing of the run.
only_parts() { # directory, pattern
    [ -z "$(ls -A "$1" | grep -vE "$2")" ] || fail "in $1: $(ls -A "$1" | grep -vE "$2" | head -n 3)"
    nothing_left conn
}
