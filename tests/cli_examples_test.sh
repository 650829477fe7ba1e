#!/bin/sh
# Every example runs, and what it says is what awk, sort and uniq say about the same input.
. "$(dirname "$0")/cli.sh"
LC_ALL=C
export LC_ALL
examples=${PENSTOCK_BUILD:-$source_dir/build}/examples
flights_gz=$source_dir/engine/examples/data/flights-2013.csv.gz
gzip -dc "$flights_gz" >flights.csv

same() { # what, file, file
    cmp -s "$2" "$3" && [ -s "$2" ] && return
    fail "$1: $2 and $3 differ"
    diff "$2" "$3" | head -n 6 | cut -c1-200
}
ran="" # an example whose source is here and that is not run below is a hole in this test
example() { # name, options and arguments
    name=$1
    shift
    ran="$ran $name"
    "$penstock" run "$examples/$name.so" --quiet "$@"
}

# ---- Every job can be built as its reader would, without a warning
for source in "$source_dir"/engine/examples/*.c; do
    name=$(basename "$source" .c)
    grep -q '^void pen_job(' "$source" || continue # a test of one, which ctest runs
    expect 0 "$penstock" build "$source" -o "$name.so" && [ ! -s err ] || fail "$name.c is built with warnings"
    expect 0 "$penstock" run "$name.so" -- --help
    rm -f "$name.so"
done

# ---- flights: all of its result, at any parallelism
awk -F, 'NR > 1 { k = $5 " " $6 " " $2; n[k]++; if ($7 == "") next
                  d[k]++; s[k] += $7; if (!(k in w) || $7 + 0 > w[k]) w[k] = $7 + 0 }
         END { for (k in n) if (d[k]) printf "%s %d %d %.1f min %d min\n", k, d[k], n[k] - d[k], s[k] / d[k], w[k]
                            else printf "%s 0 %d - -\n", k, n[k] }' flights.csv | sort >wanted
rows() { awk '$1 + 0 > 0 && $1 == ++n { $1 = ""; print substr($0, 2) }' out; }
for parallelism in 1 2 4; do
    for input in flights.csv "$flights_gz"; do
        expect 0 example flights --parallelism $parallelism -- --flights "$input" --least 0 --limit 100000
        rows | sort >got
        same "flights, $parallelism workers" wanted got
        in_out "worst mean delay of departure: $(wc -l <wanted) of $(wc -l <wanted) with 0 departures or more"
        in_out "All $(wc -l <wanted) routes: 336776 flights, 328521 departures, 8255 cancelled"
    done
done
nothing_left flights
# The worst first; as many as asked; the same table in every run; columns under their names.
expect 0 example flights --parallelism 1 -- --flights flights.csv --limit 20
mv out first
expect 0 example flights --parallelism 3 -- --flights flights.csv --limit 20
same "the table of another run" first out
rows | awk '$4 < 100' | grep -q . && fail "a route with few departures is shown"
awk '$4 >= 100' wanted | sort -k6,6rn -k1,1 -k2,2 -k3,3 | head -n 20 | awk '{ print $6 }' >means
rows | awk '{ print $6 }' >got
same "the worst means" means got
[ "$(sed -n '3,23p' out | awk '{ print length }' | sort -u | wc -l)" -eq 1 ] || fail "the columns are not aligned"
sed -n 1p out | grep -q '^Routes and carriers with the worst mean delay of departure: 20 of ' || fail "no title"
sed -n 3p out | grep -q '^rank  origin  dest  carrier  departures  cancelled  mean delay  worst delay$' || fail "no header"
expect 0 example flights -- --flights flights.csv --limit 0 && in_out "delay of departure: 0 of"
head -n 1 flights.csv >names.csv
expect 0 example flights -- --flights names.csv && in_out "All 0 routes: 0 flights"
# No half of a table: not of a file that is damaged, nor without a word on a disk that is full.
head -c 500000 "$flights_gz" >cut.csv.gz
expect 1 example flights -- --flights cut.csv.gz && in_err "the file ends in the middle" && one_message
[ ! -s out ] || fail "a job that failed printed a table"
said=0
example flights -- --flights flights.csv >/dev/full 2>err || said=$?
[ $said -eq 1 ] || fail "a table that could not be written: exit status $said"
in_err "cannot write the table to standard output"
expect 2 example flights && in_err "--flights"

# ---- word_count: on standard input, against sort and uniq
tr -cs 'A-Za-z' ' ' <"$source_dir/engine/README.md" | fold -s -w 60 >words.txt
tr -s ' \t' '\n' <words.txt | grep -v '^$' | sort | uniq -c | awk '{ print $2, $1 }' | sort >wanted
for parallelism in 1 2 4; do
    example word_count --parallelism $parallelism <words.txt >out 2>err || fail "word_count fails"
    # Rows of a word come in order: the last +I or +U is its count.
    sed -n 's/^+[IU] text="\(.*\)" count=\([0-9]*\)$/\1 \2/p' out | awk '{ n[$1] = $2 } END { for (k in n) print k, n[k] }' | sort >got
    same "word_count, $parallelism workers" wanted got
done
expect 0 example word_count -- --input words.txt
nothing_left word_count

# ---- flights_by_route: rows that take back and replace, folded
awk -F, 'NR > 1 { k = $5 "," $6; n[k]++; m[k] += $10; if ($7 != "") d[k]++ }
         END { for (k in n) print k "," n[k] "," d[k] + 0 "," m[k] }' flights.csv | sort >wanted
expect 0 example flights_by_route --parallelism 2 -- --flights flights.csv --out routes
cat routes/part-*.csv | awk -F, '$1 ~ /^[+][IU]$/ { k = $2 "," $3; r[k] = $4 "," $5 "," $7 } END { for (k in r) print k "," r[k] }' | sort >got
same "flights_by_route" wanted got
nothing_left flights_by_route

# ---- first_job: the flights that were over four hours late
awk -F, 'NR > 1 && $7 != "" && $7 > 240 { print substr($1, 1, 19) "Z", $2 " from " $5 " to " $6 }' flights.csv | sort >wanted
expect 0 example first_job --parallelism 2 -- --flights flights.csv
sed -n 's/^scheduled_at=\([^ ]*\) what="\(.*\)" hours_late=.*/\1 \2/p' out | sort >got
same "first_job" wanted got

# ---- journal_source: binary journals, each record once
mkdir journals
perl -e 'for $f (0..2) { open F, ">journals/$f"; print F pack "q3", 1356998400000000 + $_, $f, $_ for 0..1999 }'
events=6000
expect 0 example journal_source --parallelism 2 -- --dir journals
[ "$(wc -l <out)" -eq $events ] && [ "$(sort -u out | wc -l)" -eq $events ] || fail "journal_source: $(wc -l <out) of $events events"
expect 1 example journal_source -- --dir missing && in_err "cannot list missing: No such file or directory" && one_message
nothing_left journal_source

# ---- silent_sensor: at the end of the readings every sensor falls silent, at the time it was heard last
awk 'BEGIN { for (i = 0; i < 20000; i++) { s = (i * 7919) % 50; t = i % 1440 + 1440 * int(i / 1440)
             printf "{\"at\":\"2013-01-%02dT%02d:%02d:00Z\",\"sensor\":%d,\"value\":%d.5}\n",
                    t / 1440 + 1, t % 1440 / 60, t % 60, s, i } }' >readings.json
awk -F'"' '{ split($7, n, /[:,]/); last[n[2]] = $4 } END { for (s in last) print "sensor=" s, "heard_at=" last[s], "silent=true" }' readings.json | sort >wanted
for parallelism in 1 3; do
    expect 0 example silent_sensor --parallelism $parallelism -- --readings readings.json
    awk '{ last[$1] = $0 } END { for (s in last) print last[s] }' out | sort >got
    same "silent_sensor, $parallelism workers" wanted got
done
nothing_left silent_sensor

# ---- interval_join: bids and when their auction opened, in seconds of the one day of the file
gzip -dc "$source_dir/engine/examples/data/nexmark.csv.gz" >events.csv
awk -F, 'function us(at) { return (substr(at, 12, 2) * 3600 + substr(at, 15, 2) * 60 + substr(at, 18, 2)) * 1000000 + substr(at, 21, 3) * 1000 }
         $1 == 1 { opened[$2] = us($7); name[$2] = $3 }
         $1 == 2 { auction[++n] = $2; bidder[n] = $3; price[n] = $4; at[n] = us($7) }
         END { for (i = 1; i <= n; i++) if (auction[i] in opened) {
                   after = at[i] - opened[auction[i]]
                   if (after >= 0 && after <= 10000000)
                       printf "{\"auction\":%d,\"bidder\":%d,\"price\":%d,\"after_us\":%d,\"item_name\":\"%s\"}\n",
                              auction[i], bidder[i], price[i], after, name[auction[i]] } }' events.csv | sort >wanted
for parallelism in 1 2 4; do
    expect 0 example interval_join --parallelism $parallelism -- --events events.csv
    sort out >got
    same "interval_join, $parallelism workers" wanted got
done
nothing_left interval_join

# ---- weather_join: the last observation at or before each departure, of the three hours before
gzip -dc "$source_dir/engine/examples/data/weather-2013.csv.gz" >weather.csv
awk -F, 'function minutes(at) { return (before[substr(at, 6, 2) + 0] + substr(at, 9, 2)) * 1440 + substr(at, 12, 2) * 60 + substr(at, 15, 2) \
                                        + (substr(at, 1, 4) - 2013) * 525600 }
         BEGIN { split("0 31 59 90 120 151 181 212 243 273 304 334", before, " ") }
         FNR == 1 { next }
         FILENAME == "weather.csv" { k = $2; n[k]++; at[k, n[k]] = minutes($1); when[k, n[k]] = $1; wind[k, n[k]] = $6; next }
         { k = $5; now = minutes($1); while (last[k] < n[k] && at[k, last[k] + 1] <= now) last[k]++
           i = last[k]; known = i > 0 && at[k, i] + 180 >= now
           print substr($1, 1, 19), $2, $3, k, known ? substr(when[k, i], 1, 19) : "-",
                 known && wind[k, i] != "" ? sprintf("%.3f", wind[k, i]) : "-" }' weather.csv flights.csv | sort >wanted
[ "$(grep -c ' - -$' wanted)" -gt 0 ] || fail "every flight has its weather: nothing outer is seen"
for parallelism in 1 3; do
    expect 0 example weather_join --parallelism $parallelism -- --flights "$flights_gz" --weather weather.csv
    awk -F, 'NR > 1 { print substr($1, 1, 19), $2, $3, $4, $6 == "" ? "-" : substr($6, 1, 19), $7 == "" ? "-" : sprintf("%.3f", $7) }' out | sort >got
    same "weather_join, $parallelism workers" wanted got
done
nothing_left weather_join

# ---- async_lookup: a thousand look-ups of 20 ms, names from files; in order where one worker asks
mkdir customers
awk 'BEGIN { for (c = 0; c < 40; c++) if (c % 7) print "customer " c >("customers/" c)
             print "at,customer,cents"
             for (i = 0; i < 1000; i++) printf "2013-01-01T%02d:%02d:00Z,%d,%d\n", i / 60, i % 60, i * 31 % 40, i }' >orders.csv
awk -F, 'NR > 1 { printf "{\"at\":\"%s\",\"customer\":%d,\"cents\":%d,\"name\":%s}\n", $1, $2, $3,
                         $2 % 7 ? "\"customer " $2 "\"" : "null" }' orders.csv >wanted
expect 0 example async_lookup --parallelism 1 -- --orders orders.csv --directory customers --delay 20ms
same "async_lookup" wanted out
sort wanted >sorted
for parallelism in 2 3; do
    expect 0 example async_lookup --parallelism $parallelism -- --orders orders.csv --directory customers
    sort out >got
    same "async_lookup, $parallelism workers" sorted got
done
nothing_left async_lookup
expect 1 example async_lookup -- --orders orders.csv --directory orders.csv
in_err "cannot read orders.csv/" && in_err ": Not a directory" && one_message

for source in "$source_dir"/engine/examples/*.c; do
    name=$(basename "$source" .c)
    grep -q '^void pen_job(' "$source" || continue
    case " $ran " in *" $name "*) ;; *) fail "$name is not run" ;; esac
done
finish
