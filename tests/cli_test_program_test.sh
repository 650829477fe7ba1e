#!/bin/sh
# A stranger's test program: built against what `cmake --install` has put somewhere, with pkg-config and with
# find_package, linked with the shared library and with the archive. Nothing else of ours is on its way.
. "${PENSTOCK_SOURCE:-$(dirname "$0")/..}/tests/cli.sh"
build=${PENSTOCK_BUILD:-$source_dir/build}

cat >even.c <<'END'
#include <stdio.h>
#include <penstock/test.h>

struct number { int64_t value; };
PEN_RECORD(number, value);

static bool is_even(const struct number *number)
{
    return number->value % 2 == 0;
}
PEN_FILTER(is_even, number);

int main(void)
{
    pen_test *test = pen_test_open();
    pen_stream numbers = pen_test_input(test, number, NULL);
    pen_stream even = pen_test_output(test, pen_filter(numbers, is_even));
    pen_test_start(test);
    for (int64_t i = 1; i <= 4; i++)
        pen_test_push(test, numbers, number, .value = i);
    for (const struct number *number; (number = pen_test_next(test, even, number));)
        printf("%lld\n", (long long)number->value);
    pen_test_close(test);
    return 0;
}
END
printf '2\n4\n' >wanted
runs() { # what, program
    expect 0 "$2"
    cmp -s out wanted || fail "$1: it says something else"
}

expect 0 cmake --install "$build" --prefix "$work/prefix"
[ -f "$work/prefix/include/penstock/test.h" ] || fail "penstock/test.h is not installed"
library_dir=$(dirname "$(find "$work/prefix" -name libpenstock.so | head -n 1)")
PKG_CONFIG_PATH=$library_dir/pkgconfig
export PKG_CONFIG_PATH
unset CC CFLAGS LDFLAGS

# Every function of penstock/test.h is in the library.
nm -D --defined-only "$library_dir/libpenstock.so" | awk '{ print $3 }' | sort >exported
printf '#define PEN_TEST_PLAIN_\n#include <penstock/test.h>\n' |
    cc -E -P -I"$work/prefix/include" - | grep -oE 'pen_test_[a-z_]+\(' | tr -d '(' | sort -u >declared
[ "$(wc -l <declared)" -ge 20 ] || fail "only $(wc -l <declared) functions of penstock/test.h were found"
for name in $(cat declared); do
    grep -qx "$name" exported || fail "$name is not exported"
done

for flags in "-Wall -Wextra -Wpedantic -Werror" "-std=c11 -Wall -Werror"; do
    # shellcheck disable=SC2046,SC2086
    expect 0 cc $flags even.c -o even $(pkg-config --cflags --libs penstock) -Wl,-rpath,"$library_dir"
    runs "pkg-config, $flags" ./even
done
# shellcheck disable=SC2046
expect 0 cc even.c -o even_static $(pkg-config --cflags penstock) "$library_dir/libpenstock.a" \
    $(pkg-config --static --libs penstock | tr ' ' '\n' | grep -vx -e -lpenstock)
runs "pkg-config, the archive" ./even_static
! ldd even_static | grep -q libpenstock || fail "the archive was not used"

mkdir project && cp even.c project/
cat >project/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.16)
project(even C)
find_package(penstock REQUIRED)
add_executable(even even.c)
target_link_libraries(even penstock::penstock)
add_executable(even_static even.c)
target_link_libraries(even_static penstock::penstock_static)
END
expect 0 cmake -G Ninja -S project -B project/build -DCMAKE_PREFIX_PATH="$work/prefix"
expect 0 cmake --build project/build
runs "find_package" project/build/even
runs "find_package, the archive" project/build/even_static
finish
