#!/bin/sh
# Reading what is not right: bad records are counted and written down, each once; what cannot be read
# ends the job with a sentence, and nothing is left behind.
. "$(dirname "$0")/cli_connector.sh"

# 3,000 notes of which every hundredth has a text for a number, and every 250th a column too few.
awk 'BEGIN { print "number,text,remark,share"
    for (i = 1; i <= 3000; i++)
        if (i % 250 == 0) print i ",short"
        else if (i % 100 == 0) print "n" i ",text,,"
        else print i ",text " i ",," i / 4 }' >notes.csv
bad_lines=36 # 12 by 250, and 30 by 100 of which 6 are both

# ---- Skipped, written down, or the end
for PAR in 1 3; do
    rm -rf dead copy
    expect 0 "$penstock" run conn.so --parallelism "$PAR" -- --type note --read notes.csv --write copy
    in_err "$bad_lines bad records"
    [ "$(rows_of copy | wc -l)" -eq $((3000 - bad_lines)) ] || fail "good records are lost with the bad ones"
    rm -rf copy
    expect 0 "$penstock" run conn.so --parallelism "$PAR" --on-bad-record skip --quiet -- --type note --read notes.csv --write copy
    expect 0 "$penstock" run conn.so --parallelism "$PAR" --dead-letters dead -- --type note --read notes.csv --to nowhere
    in_err "$bad_lines bad records"
    [ "$(cat dead/*.jsonl | wc -l)" -eq $bad_lines ] || fail "dead letters are not $bad_lines but $(cat dead/*.jsonl | wc -l)"
    [ "$(sed 's/.*"reason":"notes.csv:\([0-9]*\):.*/\1/' dead/*.jsonl | sort -n | tr '\n' ' ')" = \
        "$(awk 'BEGIN { for (i = 1; i <= 3000; i++) if (i % 250 == 0 || i % 100 == 0) printf "%d ", i + 1 }')" ] ||
        fail "dead letters do not name their lines"
    [ "$(grep -c '"record":"n[0-9]*,text,,"}$' dead/*.jsonl | awk -F: '{ n += $NF } END { print n }')" -eq 24 ] ||
        fail "dead letters lack their records"
done
rm -rf copy dead
expect 1 "$penstock" run conn.so --quiet --on-bad-record fail -- --type note --read notes.csv --write copy
in_err "notes.csv:101: " && in_err "number" && one_message
[ -z "$(ls -A copy 2>/dev/null)" ] || fail "a job that failed left $(ls -A copy)"
nothing_left conn
rm -rf copy

# ---- A line of 100 MB is one bad record, and not held in memory
{ printf 'number,text,remark,share\n1,a,,\n2,' && head -c 100000000 /dev/zero | tr '\0' 'x' && printf ',,\n3,c,,\n'; } >long.csv
expect 0 "$penstock" run conn.so --parallelism 2 --summary-json summary.json -- --type note --read long.csv --write copy
in_err "a line of 100000005 bytes" && in_err "1 bad record"
[ "$(rows_of copy | cut -d, -f1 | sort | tr '\n' ' ')" = "1 3 " ] || fail "the lines beside a long one are $(rows_of copy)"
mib=$(sed -n 's/.* \([0-9]*\)[.0-9]* MiB of memory at most.*/\1/p' err)
[ "${mib:-1000}" -lt 150 ] || fail "a long line takes ${mib:-?} MiB of memory"
rm -rf copy long.csv
nothing_left conn

# ---- Dead letters are JSON, whatever the record holds: what is no UTF-8 is U+FFFD, and a long text is
# cut between two characters: 65,536 bytes end within the one that is the 21,846th of three bytes.
json_lines() { python3 -c 'import json, sys
for line in open(sys.argv[1], "rb"):
    json.loads(line.decode("utf-8"))' "$1" >out 2>err || fail "no JSON: $1"; }
euros() { head -c "$1" /dev/zero | sed 's/\x00/\xe2\x82\xac/g'; }
{ printf 'number,text,remark,share\nn1,\377\303\050 "\\\t\177,\355\240\200,\nn' && euros 21844 && printf 'x,,\n' &&
    printf 'nn' && euros 30000 && printf ',,\nn3,' && head -c 70000 /dev/zero | sed 's/\x00/\x80/g' && printf ',,\n'; } >bytes.csv
expect 0 "$penstock" run conn.so --quiet --dead-letters dead -- --type note --read bytes.csv --write copy
cat dead/*.jsonl >letters
[ "$(wc -l <letters)" -eq 4 ] || fail "not four dead letters but $(wc -l <letters)"
command -v python3 >/dev/null && json_lines letters
fffd=$(printf '\357\277\275')
grep -qF "\"record\":\"n1,$fffd$fffd( \\\"\\\\\\t\\u007f,$fffd$fffd$fffd,\"}" letters || fail "bytes that are no UTF-8: $(head -n 1 letters)"
euro=$(euros 1)
texts() { sed -n "$1s/.*\"record\":\"\(.*\)\"}\$/\1/p" letters; }
texts 2 | grep -q "^n\($euro\)*x,,\$" || fail "a text of 65,536 bytes is not whole"
texts 3 | grep -q "^nn\($euro\)*\$" || fail "a cut leaves other than characters: $(texts 3 | tail -c 8 | od -c)"
[ "$(texts 3 | wc -c)" -eq 65535 ] || fail "a text is cut to $(texts 3 | wc -c) bytes"
[ "$(texts 4 | tr -d '\357\275')" = "n3,$(head -c 65533 /dev/zero | sed 's/\x00/\xbf/g')" ] || fail "bytes in the middle of nothing are cut elsewhere"
rm -rf copy dead

# ---- A quoted line end: one record with .multiline, two bad ones without
printf 'number,text,remark,share\n1,"two\nlines, ""quoted""",,0.5\n2,plain,"",\n' >quoted.csv
expect 0 conn --type note --read quoted.csv --multiline --to json --write copy
[ "$(cat copy/*)" = '{"number":1,"text":"two\nlines, \"quoted\"","remark":null,"share":0.5}
{"number":2,"text":"plain","remark":"","share":null}' ] || fail "multiline: $(cat copy/*)"
rm -rf copy
expect 0 conn --type note --read quoted.csv --multiline --write copy
expect 0 conn --type note --read copy --multiline --to json --write again
[ "$(grep -c 'two\\nlines, \\"quoted\\"' again/*)" -eq 1 ] || fail "a line end is not written so that it can be read"
rm -rf copy again
expect 0 "$penstock" run conn.so -- --type note --read quoted.csv --write copy && in_err "2 bad records"
[ "$(rows_of copy)" = '2,plain,"",' ] || fail "without multiline: $(rows_of copy)"
rm -rf copy

# ---- Nothing to read: a sentence, status 1, and nothing was made
refuses() { # path, words of the sentence ...
    path=$1
    shift
    expect 1 conn --type note --read "$path" --write copy
    for words in "$@"; do in_err "$words"; done
    one_message
    [ ! -e copy ] || fail "a job without input made its output: $path"
    nothing_left conn
}
refuses missing.csv "cannot read missing.csv: No such file or directory"
refuses missing/notes.csv "cannot read missing/notes.csv: No such file or directory"
refuses 'missing-*.csv' "no file matches missing-*.csv"
mkdir bare && refuses bare "there are no files in the directory bare"
touch bare/.hidden && refuses bare "there are no files in the directory bare (hidden"
refuses /dev/null "neither a file nor a directory"
echo "number,remark" >few.csv && refuses few.csv "few.csv: " "text"
printf '' >empty.csv.gz && refuses empty.csv.gz "empty.csv.gz" "no gzip file"
echo "no gzip" >text.csv.gz && refuses text.csv.gz "text.csv.gz"
if [ "$(id -u)" -ne 0 ]; then
    echo "number,text,remark,share" >locked.csv && chmod 000 locked.csv
    refuses locked.csv "locked.csv: Permission denied" "readable"
elif command -v setpriv >/dev/null; then
    echo "number,text,remark,share" >locked.csv && chmod 600 locked.csv
    chmod 755 . && mkdir -m 700 other && chown 65534 other
    expect 1 env PENSTOCK_RUN_DIR="$work/other" setpriv --reuid=65534 --clear-groups \
        "$penstock" run conn.so --quiet -- --type note --read locked.csv
    in_err "locked.csv: Permission denied" && in_err "readable" && one_message
    [ -z "$(ls -A other)" ] || fail "left in the other run directory: $(ls -A other)"
fi

# ---- An empty file is an input without records
: >empty.csv
head -n 1 notes.csv >names.csv
for input in empty.csv names.csv; do
    expect 0 conn --type note --read $input --write copy
    [ -z "$(ls -A copy)" ] || fail "$input gives a file: $(ls -A copy)"
    expect 0 conn --type note --read $input --write result.csv
    [ "$(cat result.csv)" = "number,text,remark,share" ] || fail "$input gives: $(cat result.csv)"
done
expect 0 conn --type note --read - && [ ! -s out ] || fail "an empty standard input gives something"
rm -rf copy result.csv

# ---- Damage that shows only on the way fails the job, and its output is not there
head -c 100000 "$flights_gz" >cut.csv.gz
expect 1 conn --read cut.csv.gz --write copy
in_err "cut.csv.gz" && in_err "the file ends in the middle" && one_message
[ -z "$(ls -A copy)" ] || fail "a job that failed left $(ls -A copy)"
rm -rf copy
head -n 99 notes.csv >good.csv
expect 0 conn --type note --read good.csv --to binary --write packed
head -c -5 packed/*.bin >cut.bin
expect 0 "$penstock" run conn.so --quiet --dead-letters dead -- --type note --from binary --read cut.bin --write copy
[ "$(rows_of copy | wc -l)" -eq 97 ] || fail "records before the end of a file that was cut: $(rows_of copy | wc -l)"
grep -q '"reason":"cut.bin, byte [0-9]*: the file ends in the middle of a record' dead/*.jsonl || fail "no dead letter of a cut file"
rm -rf copy packed dead
expect 2 conn --type note --read notes.csv.zst && in_err "cannot read .zst yet; .gz it can"
mkdir packed && cp notes.csv packed/notes.csv.zst && refuses packed "cannot read packed/notes.csv.zst yet"
finish
