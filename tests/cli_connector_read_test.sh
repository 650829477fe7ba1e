#!/bin/sh
# Reading: whatever way the flights come in, the records are the same, however many workers read them.
# They are compared line by line with the input and, as sums, with what awk finds there.
. "$(dirname "$0")/cli_connector.sh"

gzip -dc "$flights_gz" >flights.csv
tail -n +2 flights.csv | sort >wanted
records=$(wc -l <wanted)
[ "$records" -eq 336776 ] || fail "the flights are $records"

came_in() { # how
    rows_of copy | sort >got
    same "$1" wanted got
    only_parts copy '^part-[0-9]+-[0-9]+[.]csv$'
    rm -rf copy
}

# ---- A file, by one worker to eight: its ranges give each record once
for PAR in 1 2 3 5 8; do
    expect 0 conn --read flights.csv --write copy
    came_in "a file, $PAR workers"
done
PAR=4
expect 0 "$penstock" run conn.so --parallelism 4 --quiet --summary-json summary.json -- --read flights.csv --to nowhere
grep -q '"records":336776,' summary.json || fail "not every record of the file is counted"
nothing_left conn

cp "$flights_gz" flights.csv.gz
expect 0 conn --read flights.csv.gz --write copy && came_in "a compressed file"

# ---- From here on a part of them: through standard input, as a pattern and a directory of pieces
head -n 80001 flights.csv >part.csv && mv part.csv flights.csv
tail -n +2 flights.csv | sort >wanted
gzip -dc "$flights_gz" | head -n 80001 | conn --read - --write copy 2>err || fail "standard input"
came_in "standard input"
conn --read - --write copy <flights.csv 2>err || fail "a file as standard input"
came_in "a file as standard input"

# Pieces with a header each, one of them in another order of columns, one compressed, one of nothing
# but names; what is hidden and what is a directory do not count.
mkdir pieces pieces/deeper && echo "not a flight" >pieces/.hidden && echo "nor this" >pieces/deeper/file.csv
awk 'NR == 1 { names = $0; next }
     { file = "pieces/" NR % 5 ".csv"; if (!(file in seen)) { print names >file; seen[file] } print >file }' flights.csv
awk -F, -v OFS=, '{ print $10, $2, $3, $4, $6, $5, $7, "x", $8, $9, $1 }' pieces/1.csv |
    sed '1s/x/a column of no field/' >pieces/other.csv && rm pieces/1.csv
gzip pieces/2.csv && head -n 1 flights.csv >pieces/names.csv
expect 0 conn --read pieces --write copy && came_in "a directory"
mv pieces/2.csv.gz pieces/2.csv.keep.gz
expect 0 conn --read 'pieces/[a-z0-9]*' --write copy && came_in "a pattern"
# Members of gzip one after the other are one file.
{ head -n 30000 flights.csv | gzip -1 && tail -n +30001 flights.csv | gzip -1; } >members.csv.gz
expect 0 conn --read members.csv.gz --write copy && came_in "a file of two gzip members"

# ---- Other line ends, a byte order mark, no end after the last line, another separator, no names
{ printf '\357\273\277' && sed 's/$/\r/' flights.csv; } | head -c -2 >windows.csv
expect 0 conn --read windows.csv --write copy && came_in "a file with \\r\\n"
tail -n +2 flights.csv | tr ',' ';' >bare.csv
expect 0 conn --read bare.csv --no-header --separator ';' --write copy && came_in "a file without names"

# ---- Lines, empty ones included, against awk
sed 's/^\(.*[135],.*\)$/\n\1/' flights.csv >lines.txt
awk '{ n[$0 == "" ? "-" : substr($0, 1, 1)]++ } END { for (c in n) print c "," n[c] }' lines.txt | sort >wanted_letters
for PAR in 1 3; do
    expect 0 conn --read lines.txt --from lines --count --row-column op --write letters
    # Rows taken back and put in their place: what remains is the result.
    rows_of letters | awk -F, '$1 ~ /[+]/ && $3 > n[$2] { n[$2] = $3 } END { for (c in n) print c "," n[c] }' | sort >got
    same "lines, $PAR workers" wanted_letters got
    rm -rf letters
done

# ---- JSON and binary: written from CSV, read again, the same
PAR=3
for format in json binary; do
    expect 0 conn --read flights.csv --to "$format" --write packed
    only_parts packed '^part-[0-9]+-[0-9]+[.](jsonl|bin)$'
    expect 0 conn --read packed --from "$format" --write copy && came_in "$format"
    for file in packed/*; do gzip -1 "$file"; done
    expect 0 conn --read 'packed/*.gz' --from "$format" --write copy && came_in "compressed $format"
    rm -rf packed
done

# ---- Against awk: departures, delays and distance of each carrier
awk -F, 'NR > 1 { n[$2]++; d[$2] += $10; if ($7 != "") { k[$2]++; s[$2] += $7 } }
         END { for (c in n) print c, n[c], k[c], s[c], d[c] }' flights.csv | sort >wanted
expect 0 conn --read flights.csv --to json --write copy
sed -n 's/.*"carrier":"\([^"]*\)".*"dep_delay_min":\([^,]*\),.*"distance_mi":\([0-9]*\).*/\1 \2 \3/p' copy/*.jsonl |
    awk '{ n[$1]++; d[$1] += $3; if ($2 != "null") { k[$1]++; s[$1] += $2 } }
         END { for (c in n) print c, n[c], k[c], s[c], d[c] }' | sort >got
same "sums by carrier" wanted got
finish
