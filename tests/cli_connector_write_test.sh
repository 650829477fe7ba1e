#!/bin/sh
# Writing files: shown whole, rolled as asked, read back as they were written; a disk that is full, a
# reader that goes away, and what must not be written over.
. "$(dirname "$0")/cli_connector.sh"

gzip -dc "$flights_gz" | head -n 100001 >flights.csv
tail -n +2 flights.csv | sort >wanted

# ---- Rolled by size: files of about that size, all of them whole, numbered from 0
for format in csv json binary; do
    expect 0 conn --read flights.csv --to $format --roll-bytes 500000 --write parts
    only_parts parts '^part-[01]-[0-9]+[.](csv|jsonl|bin)$'
    [ "$(ls parts | wc -l)" -ge 8 ] || fail "$format: $(ls parts | wc -l) files of 500,000 bytes"
    [ -e "$(echo parts/part-?-0.*| cut -d' ' -f1)" ] || fail "$format: files do not begin with number 0"
    [ "$(stat -c %s parts/* | sort -n | tail -n 1)" -lt 700000 ] || fail "$format: a file is too large"
    expect 0 conn --read parts --from $format --write copy
    rows_of copy | sort >got
    same "$format in parts" wanted got
    rm -rf parts copy
done

in_background() { # arguments of the job; reads slow; the process is $supervisor
    "$penstock" run conn.so --quiet --parallelism "$PAR" -- "$@" <slow 2>background.err &
    supervisor=$!
}

# ---- Rolled by time: parts appear while the job runs, and every one that can be seen is whole
mkfifo slow
PAR=1
in_background --read - --roll-every 200ms --write parts
exec 3>slow
head -n 10 flights.csv >&3
sleep 0.5
sed -n 11p flights.csv >&3
wait_until test -s parts/part-0-0.csv
[ "$(wc -l <parts/part-0-0.csv)" -eq 10 ] || fail "the first part holds $(wc -l <parts/part-0-0.csv) lines"
[ "$(ls -A parts)" = part-0-0.csv ] || fail "a part that is not whole is seen: $(ls -A parts)"
exec 3>&-
wait "$supervisor" || fail "a job that rolls by time fails"
rows_of parts | sort >got
sed -n 2,11p flights.csv | sort >few
same "rolled by time" few got
[ "$(ls parts | wc -l)" -eq 2 ] || fail "files after the end: $(ls parts)"
rm -rf parts
nothing_left conn
PAR=2

# ---- Hidden until complete: a job that is killed half way leaves nothing to be seen
in_background --read - --write parts
exec 3>slow
cat flights.csv >&3
wait_until test -d parts
kill -9 "$supervisor"
wait "$supervisor" 2>/dev/null
exec 3>&-
! wait_until sh -c '! pgrep "^pen:conn:"' || true
[ -z "$(ls -A parts)" ] || fail "a job that was killed left $(ls -A parts)"
rm -rf parts run/*
# One that is stopped in order shows what it has.
in_background --read - --write parts
exec 3>slow
cat flights.csv >&3
wait_until sh -c "'$penstock' top conn --once --json | grep -q '\"records\":100000,'"
kill -TERM "$supervisor"
wait "$supervisor" || fail "a job that is stopped fails"
exec 3>&-
for file in parts/*; do
    [ "$(tail -c 1 "$file" | od -An -c | tr -d ' ')" = '\n' ] || fail "$file is cut"
done
rm -rf parts slow
nothing_left conn

# ---- One file: takes the place of the one before, whole; with its parts in one process
expect 0 conn --read flights.csv --write one.csv
tail -n +2 one.csv | sort >got && same "one file" wanted got
head -n 4 flights.csv >four.csv
expect 0 conn --read four.csv --write one.csv
[ "$(wc -l <one.csv)" -eq 4 ] || fail "a file that is replaced has $(wc -l <one.csv) lines"
cp one.csv kept.csv
echo "x" >bad.csv.gz
expect 1 conn --read bad.csv.gz --write one.csv
same "the file of a run before one that failed" kept.csv one.csv

# ---- What is there already is not written over, and what cannot be written is said
expect 0 conn --read four.csv --write parts
expect 1 conn --read four.csv --write parts
in_err "parts/part-" && in_err "earlier run" && one_message
rm -rf parts
expect 1 conn --read four.csv --write missing/parts && in_err "make the one it lies in first" && one_message
expect 1 conn --read four.csv --write missing/one.csv && in_err "make the directory first" && one_message
expect 1 conn --read four.csv --write four.csv/parts && in_err "cannot make the directory four.csv/parts" && one_message
nothing_left conn

# ---- An updating stream needs a column for its rows
expect 2 conn --read flights.csv --from lines --count --write parts
in_err "updating" && in_err "row_column" && in_err "cli_connector_job.c:"
expect 2 conn --read flights.csv --from lines --count --to binary --write parts
in_err "updating"
expect 2 conn --read flights.csv --from lines --count --row-column letter --write parts
in_err '"letter", which is a field'
[ ! -e parts ] || fail "a graph that was refused made a directory"
expect 0 conn --read flights.csv --from lines --count --row-column op --to json --write rows.json
grep -qx '{"op":"+U","letter":"2","count":100000}' rows.json || fail "JSON rows: $(tail -n 2 rows.json)"
expect 0 conn --read flights.csv --from lines --count --row-column op --write -
head -n 1 out | grep -qx 'op,letter,count' || fail "CSV rows on standard output: $(head -n 1 out)"
grep -qx '+U,2,100000' out || fail "CSV rows on standard output lack the last one"

# ---- A reader that goes away
said=0
{ conn --read flights.csv 2>err || echo $? >status; } | head -n 1 >out
wait_until test -s status
[ "$(cat status 2>/dev/null)" = 1 ] || fail "a job without a reader goes on"
in_err "standard output was closed: whoever reads the job's output has ended" && one_message
[ "$(wc -l <out)" -eq 1 ] || fail "the reader saw $(wc -l <out) lines"
nothing_left conn
finish
