#!/bin/sh
# A disk that is full: a sentence that says which file and what to do, and nothing left on it. Needs a
# small file system of its own; where none can be had, the test is skipped.
. "$(dirname "$0")/cli_connector.sh"

unshare -rm true 2>/dev/null || { echo "skipped: no file system of its own can be mounted" && exit 77; }
gzip -dc "$flights_gz" | head -n 60001 >flights.csv
mkdir small

# A run with 1 MiB at small/; then what is there.
on_a_small_disk() {
    unshare -rm sh -c 'mount -t tmpfs -o size=1m none small || exit 99
        "$@"
        said=$?
        ls -A small small/parts >listed 2>/dev/null
        df --output=used small | tail -n 1 >used
        exit $said' sh "$@"
}

for to in csv json binary; do
    expect 1 on_a_small_disk "$penstock" run conn.so --quiet --parallelism 2 -- --read flights.csv --to $to --write small/parts
    in_err "cannot write small/parts/part-" && in_err "No space left on device; make room" && one_message
    ! grep -q part- listed || fail "$to: left on the disk: $(cat listed)"
    [ "$(cat used)" -lt 16 ] || fail "$to: $(cat used) KiB of the disk are still taken"
    nothing_left conn
done
expect 1 on_a_small_disk "$penstock" run conn.so --quiet -- --read flights.csv --write small/one.csv
in_err "cannot write small/one.csv: No space left on device" && one_message
! grep -q one listed || fail "left on the disk: $(cat listed)"

# What was shown before stays, and can be read.
expect 1 on_a_small_disk sh -c '"$@"; said=$?; cp -r small/parts kept; exit $said' sh \
    "$penstock" run conn.so --quiet --parallelism 1 -- --read flights.csv --roll-bytes 200000 --write small/parts
in_err "No space left on device" && one_message
only_parts kept '^part-0-[0-9]+[.]csv$'
[ "$(ls kept | wc -l)" -ge 2 ] || fail "nothing of what was shown before is there: $(ls kept)"
tail -n +2 flights.csv | sort >wanted
rows_of kept | sort | comm -23 - wanted >strange
[ ! -s strange ] || fail "a part holds what is no whole record: $(head -n 1 strange)"

# Standard output that goes to such a disk, and dead letters that do.
expect 1 on_a_small_disk sh -c '"$@" >small/out' sh "$penstock" run conn.so --quiet -- --read flights.csv
in_err "cannot write to standard output: No space left on device; make room" && one_message
sed 's/^2013/when/' flights.csv >bad.csv
expect 1 on_a_small_disk "$penstock" run conn.so --quiet --dead-letters small/dead -- --read bad.csv --to nowhere
grep -q 'cannot write the dead letter to small/dead/dead-letters-[0-9]*.jsonl: ' err || fail "a full disk of dead letters is not told"
nothing_left conn
finish
