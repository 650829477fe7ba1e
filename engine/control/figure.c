#include "engine/control/figure.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "engine/record/out.h"
#include "engine/record/value.h"
#include "shm/check.h"

const char *eng_figure_count(char *text, uint64_t count)
{
    char digits[ENG_FIGURE_BYTES];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *to = text;

    CHECK(size > 0);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return text;
}

/* Three digits that count: 1.23, 12.3, 123. */
static void figure_three_digits(char *text, double value, const char *unit)
{
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text, ENG_FIGURE_BYTES, "%.*f %s", decimals, value, unit);
}

const char *eng_figure_rate(char *text, double per_second)
{
    if (!isfinite(per_second) || per_second < 0) per_second = 0;
    if (per_second < 999.5)
        snprintf(text, ENG_FIGURE_BYTES, "%.0f /s", per_second);
    else if (per_second < 999.5e3)
        figure_three_digits(text, per_second / 1e3, "k/s");
    else if (per_second < 999.5e6)
        figure_three_digits(text, per_second / 1e6, "M/s");
    else
        figure_three_digits(text, per_second / 1e9, "G/s");
    return text;
}

const char *eng_figure_bytes(char *text, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    unsigned unit = 0;

    while (value >= 1023.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(text, ENG_FIGURE_BYTES, "%.0f B", value);
    else
        figure_three_digits(text, value, units[unit]);
    return text;
}

const char *eng_figure_duration(char *text, uint64_t ns)
{
    double seconds = (double)ns / 1e9;

    if (seconds < 1e-3)
        figure_three_digits(text, seconds * 1e6, "us");
    else if (seconds < 0.9995)
        figure_three_digits(text, seconds * 1e3, "ms");
    else if (seconds < 119.5)
        snprintf(text, ENG_FIGURE_BYTES, "%.2f s", seconds);
    else if (seconds < 7170)
        snprintf(text, ENG_FIGURE_BYTES, "%.0f min %02.0f s", floor(seconds / 60),
                 floor(fmod(seconds, 60)));
    else
        snprintf(text, ENG_FIGURE_BYTES, "%.0f h %02.0f min", floor(seconds / 3600),
                 floor(fmod(seconds, 3600) / 60));
    return text;
}

const char *eng_figure_time(char *text, int64_t us)
{
    time_t seconds = (time_t)(us >= 0 ? us / 1000000 : (us - 999999) / 1000000);
    struct tm parts;

    if (!gmtime_r(&seconds, &parts) ||
        strftime(text, ENG_FIGURE_BYTES, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        snprintf(text, ENG_FIGURE_BYTES, "%lld us", (long long)us);
    return text;
}

const char *eng_figure_signal(char *text, int signal)
{
    const char *name = sigabbrev_np(signal);

    if (name)
        snprintf(text, ENG_FIGURE_BYTES, "SIG%s", name);
    else
        snprintf(text, ENG_FIGURE_BYTES, "signal %d", signal);
    return text;
}

void eng_figure_json(FILE *out, const char *text, size_t bytes_max)
{
    struct eng_text_out json = {0};

    eng_json_string_put(&json, (pen_view){text, (uint32_t)strnlen(text, bytes_max)});
    fwrite(json.bytes, 1, json.size_bytes, out);
    eng_text_out_close(&json);
}
