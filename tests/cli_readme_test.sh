#!/bin/sh
# The README's first job and its test: taken out of the README, built and run as it says there. What the
# job finds is compared with awk over the same file.
. "${PENSTOCK_SOURCE:-$(dirname "$0")/..}/tests/cli.sh"

# The n-th C program of the README.
program() {
    awk -v wanted="$1" '/^```c$/ { n++; inside = n == wanted; next } /^```/ { inside = 0 } inside' "$source_dir/README.md"
}

program 1 >late.c
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

# ---- Its test, by the README's own command, from the tree that ctest is run in
program 2 >late_test.c
ln -s "$source_dir/engine" engine
ln -s "${PENSTOCK_BUILD:-$source_dir/build}" build
command=$(sed -n 's/^    \(cc -Iengine late_test.c .*\)$/\1/p' "$source_dir/README.md")
[ -n "$command" ] || fail "the README has no command for its test"
expect 0 sh -c "$command"
[ ! -s err ] || fail "the README's test says something"
# It tests something: one late flight less, and it fails.
sed -i 's/{241, true}/{239, true}/' late_test.c
said=0
sh -c "ulimit -c 0; $command" >out 2>err || said=$?
[ $said -ne 0 ] || fail "a wrong result passes"
in_err "first && first->late == 1"
finish
