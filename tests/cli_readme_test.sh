#!/bin/sh
# The README's first job: taken out of the README, built and run as it says there, and compared with awk
# over the same file.
. "${PENSTOCK_SOURCE:-$(dirname "$0")/..}/tests/cli.sh"

sed -n '/^```c/,/^```/p' "$source_dir/README.md" | sed '1d;$d' >late.c
flights=$source_dir/engine/examples/data/flights-2013.csv.gz
expect 0 "$penstock" build late.c -o late.so
expect 0 "$penstock" run ./late.so --quiet -- --flights "$flights"

# The updating table folded: the last row of each route.
sed -nE 's/^\+[IU] origin="([A-Z]+)" dest="([A-Z]+)" late=([0-9]+) worst_min=(-?[0-9]+)$/\1 \2 \3 \4/p' out |
    awk '{ row[$1 " " $2] = $0 } END { for (key in row) print row[key] }' | sort >got
gzip -dc "$flights" | awk -F, 'NR > 1 && $7 != "" && $7 > 240 {
    key = $5 " " $6; late[key]++; if (!(key in worst) || $7 > worst[key]) worst[key] = $7 + 0 }
    END { for (key in late) print key, late[key], worst[key] }' | sort >wanted
[ "$(wc -l <wanted)" -gt 100 ] || fail "awk found almost nothing"
diff wanted got || fail "not what awk finds"
nothing_left late
finish
