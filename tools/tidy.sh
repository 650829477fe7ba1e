#!/bin/sh
# What a reviewer should not have to look for. Run by ctest as `tidy`; prints file:line and what is
# wrong there.
#
#   tools/tidy.sh [SOURCE [LIBRARIES]]      LIBRARIES is where the lib*.a are; build/lib if it is there
#
# Lines that begin with "warning:" are for people; everything else makes it fail.
set -eu
cd "${1:-$(dirname "$0")/..}"
libraries=${2:-build/lib}
# shellcheck disable=SC2046
layers=$(tr '\n' ' ' <CMakeLists.txt | sed -E 's/.*set\(PENSTOCK_LAYERS ([^)]*)\).*/\1/')
out=$(mktemp)
trap 'rm -f "$out"' EXIT

code() { # folders that exist, and all C in them
    for folder in "$@"; do [ ! -d "$folder" ] || find "$folder" -name '*.[ch]'; done | sort
}
all=$(code shm iouring engine bench tools tests)
product=$(code shm iouring engine bench tools)

# 1. Layers. A folder includes itself and those before it in CMakeLists.txt's list; the public
#    headers belong above the lowest engine layer; examples have the public headers and each other.
# shellcheck disable=SC2086
grep -HnE '^#[ ]*include ' $all | awk -F: -v layers="$layers bench tools tests" '
function folder_of(path) {
    if (path ~ /^engine\/penstock(\.h|\/)/) return "public"
    if (path ~ /^engine\/[^\/]*$/) return "engine/record"
    if (path ~ /^engine\//) { split(path, part, "/"); return part[1] "/" part[2] }
    split(path, part, "/"); return part[1]
}
BEGIN { count = split(layers, name, " "); for (i = 1; i <= count; i++) rank[name[i]] = i }
{
    from = folder_of($1); text = $3; for (i = 4; i <= NF; i++) text = text ":" $i
    target = text; gsub(/^#[ ]*include[ ]*["<]|[">].*$/, "", target)
    quoted = text ~ /include[ ]*"/
    why = ""
    if (!quoted) {
        if (target ~ /^penstock/ && (from == "shm" || from == "iouring")) why = from " is below the engine"
        if (target ~ /^(shm|iouring|engine)\//) why = "written with <>, but it is not public"
    } else if (from == "public") {
        why = "a public header includes public headers only, with <>"
    } else if (from == "engine/examples") {
        if (target ~ /\//) why = "an example has the public headers only"
    } else if (target !~ /\//) {
        why = "includes are written from the root"
    } else {
        to = folder_of(target)
        if (to == "engine/examples") why = from == "tests" ? "" : "examples are for readers and tests"
        else if (to == "public") why = "public headers are included as <penstock...>"
        else if (!(to in rank)) why = to " is no layer"
        else if (!(from in rank)) why = from " is no layer"
        else if (rank[to] > rank[from]) why = from " lies below " to
    }
    if (why != "") print $1 ":" $2 ": " target ": " why
}' >>"$out"

# 2. Facts with one home. Tests may look behind it.
only() { # pattern, the files that may, as a pattern
    # shellcheck disable=SC2086
    grep -HnE "$1" $product | grep -vE "^($2):" | sed "s#\$#    <- only $2#" >>"$out" || true
}
only 'memory_order_|__atomic_|__sync_[a-z]|atomic_(load|store|exchange|fetch|compare|thread|signal|flag)' 'shm/atomic\.h'
only 'include <liburing' 'iouring/[a-z_]*\.c'
only 'clock_gettime *\(|clock_nanosleep *\(|gettimeofday *\(|[^a-z_.]time\(NULL\)|rdtsc' 'shm/clock\.c|bench/jobs/latency\.c'
only 'xxhash\.h' 'shm/hash\.h'

# 3. Prefixes of globals, as the linker sees them.
for folder in $layers; do
    library=$libraries/lib$(echo "$folder" | sed 's|engine/|eng_|').a
    case "$folder" in
    shm) prefix=shm_ ;;
    iouring) prefix=iou_ ;;
    *) prefix='eng_|pen_' ;;
    esac
    [ ! -f "$library" ] || tools/tidy_symbols.sh "$prefix" "$library" >>"$out" || true
done

# 4. Formatting.
if command -v clang-format-14 >/dev/null; then
    # shellcheck disable=SC2086
    clang-format-14 --dry-run $all 2>&1 | grep -E '^[^ ]+:[0-9]+:[0-9]+: ' | awk -F: '
        !($1 in first) || $2 + 0 < first[$1] { first[$1] = $2 + 0 }
        { places[$1]++ }
        END { for (file in first)
                  print file ":" first[file] ": clang-format-14 -i changes " places[file] " places, here first" }' |
        sort >>"$out" || true
else
    echo "clang-format-14 is missing: tools/setup test" >>"$out"
fi

# 5. A module with a body has a test: X.h with X.c, and what lies beside it as X_part.c without a
#    header of its own. A simulated body is tested with the real one, or by a sim_ program. A test may
#    show several modules: then its opening comment names them, as engine/operator/map or
#    engine/operator/{map,filter}.
for file in $(code shm iouring engine | grep '\.c$' | grep -v '^engine/examples/'); do
    folder=$(dirname "$file")
    layer=${folder##*/}
    module=$(basename "$file" .c)
    wanted=${module%_sim}
    while [ ! -f "$folder/$wanted.h" ] && [ "$wanted" != "${wanted%_*}" ]; do wanted=${wanted%_*}; done
    [ -f "$folder/$wanted.h" ] || wanted=${module%_sim}
    found=""
    for name in "$wanted" "${module%_sim}"; do
        for test in "tests/${layer}_${name}_test.c" "tests/sim_${layer}_${name}_test.c" \
            "tests/${layer}_${name}_threads_test.c"; do
            [ ! -f "$test" ] || found=$test
        done
    done
    [ -n "$found" ] || grep -lqE "$folder/($wanted|${module%_sim})\\b|$folder/\\{[^}]*\\b($wanted|${module%_sim})\\b" \
        -r tests --include=*.c --include=*.sh && found=named
    [ -n "$found" ] || echo "$file:1: no tests/${layer}_${wanted}_test.c" >>"$out"
done

# 6. Sizes: functions over 70 lines are a warning, over 100 wrong; files over 1,000 are wrong.
# shellcheck disable=SC2086
awk '
FNR == 1 { head = ""; open = 0 }
FNR == 1001 { print FILENAME ":1001: a file of more than 1,000 lines" }
/^[A-Za-z_].*\(/ && !/;[ ]*$/ { head = $0 }
/^{/ { open = FNR }
/^}/ {
    size = FNR - open - 1
    if (open && head != "" && size > 70) {
        sub(/\(.*/, "", head); sub(/.*[ *]/, "", head)
        print (size > 100 ? "" : "warning: ") FILENAME ":" open ": " head "() has " size " lines"
    }
    open = 0; head = ""
}' $all >>"$out"

# 7. No machine's paths, no hosts of package registries. What is generated is not looked at.
find . -name .git -prune -o -name 'build*' -type d -prune -o -type f -size -1024k -print | sed 's|^\./||' |
    tr '\n' '\0' | xargs -0 grep -HnIE \
    '(^|[^A-Za-z0-9_./}-])/(wor[k]|tmp/pensto[c]k)(/|[^A-Za-z0-9_-]|$)|(deb|security)[.]debian[.]org|pypi[.]org|crates[.]io|registry[.]npmjs|proxy[.]golang|repo1[.]maven' |
    sed 's|$|    <- a path or a host of one machine|' >>"$out" || true

cat "$out"
! grep -qv '^warning: ' "$out"
