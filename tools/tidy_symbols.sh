#!/bin/sh
# usage: tidy_symbols.sh PREFIX LIB.a     every global that the library defines starts with its prefix
#        tidy_symbols.sh 'eng_|pen_' build/lib/libeng_flow.a
set -eu
nm -g --defined-only "$2" | awk -v prefix="$1" -v library="${2##*/}" '
/^[^ ]+\.o:$/ { object = substr($1, 1, length($1) - 1) }
NF == 3 && $3 !~ "^(" prefix ")" { print library ": " object ": " $3 " does not begin with " prefix; bad = 1 }
END { exit bad }'
