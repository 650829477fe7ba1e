#include "engine/record/loglog.h"

#include <math.h>
#include <string.h>

#include "shm/check.h"

enum {
    LOGLOG_PLACE_BITS = 14,
    LOGLOG_PLACES = 1 << LOGLOG_PLACE_BITS,
    LOGLOG_LEVEL_MAX = 64 - LOGLOG_PLACE_BITS + 1, /* no bit is set */
    LOGLOG_TOKEN_BITS = 26,                        /* of the hash that a token keeps */
};
_Static_assert((int)LOGLOG_PLACES == (int)ENG_LOGLOG_BYTES_MAX, "a register is a byte");

/* ---- Tokens ---------------------------------------------------------------------------------- */

/* The upper 26 bits, and the zeros at the head of the other 38, plus one: 1 to 39. Never 0. */
static uint32_t loglog_token(uint64_t hash)
{
    uint64_t rest = hash << LOGLOG_TOKEN_BITS;
    uint32_t zeros = rest ? (uint32_t)__builtin_clzll(rest) : 64 - LOGLOG_TOKEN_BITS;

    return (uint32_t)(hash >> (64 - LOGLOG_TOKEN_BITS)) << 6 | (zeros + 1);
}

static void loglog_token_parts(uint32_t token, uint32_t *place, uint32_t *level)
{
    uint32_t head_bits = LOGLOG_TOKEN_BITS - LOGLOG_PLACE_BITS;
    uint32_t head = token >> 6 & ((1u << head_bits) - 1);

    *place = token >> (32 - LOGLOG_PLACE_BITS);
    *level = head ? (uint32_t)__builtin_clz(head) - (32 - head_bits) + 1 : head_bits + (token & 63);
}

/* True: it is there, or has been put in. False: too full. */
static bool loglog_put(struct eng_loglog *sketch, uint32_t token)
{
    uint32_t *slots = sketch->bytes, capacity = sketch->size_bytes / 4;

    if (capacity == 0) return false;
    /* Tokens of one place are neighbours in their upper bits: mix. */
    for (uint32_t i = token * 0x9e3779b1u >> 8 & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
        if (slots[i] == token) return true;
        if (slots[i] != 0) continue;
        if (sketch->tokens >= capacity / 4 * 3) return false;
        slots[i] = token;
        sketch->tokens++;
        return true;
    }
}

/* ---- Registers ------------------------------------------------------------------------------- */

/* A register: the highest level in the upper six bits, then whether the one below it was there,
 * then the one below that. 0: nothing yet. As a set of levels it is the three top bits of a number
 * whose bit k stands for level k; levels 0 and -1 do not exist, hence the 2. */
static uint64_t loglog_levels(uint8_t cell)
{
    uint32_t level = cell >> 2;

    if (level == 0) return 0;
    return ((uint64_t)(4 | (cell & 3)) << level) >> 2; /* bit `level`, and the two below */
}

static uint8_t loglog_cell(uint64_t levels)
{
    if (levels == 0) return 0;
    uint32_t level = 63 - (uint32_t)__builtin_clzll(levels);
    uint32_t below =
        level >= 2 ? (uint32_t)(levels >> (level - 2)) & 3 : (uint32_t)(levels << (2 - level)) & 3;
    return (uint8_t)(level << 2 | below);
}

static void loglog_raise(struct eng_loglog *sketch, uint32_t place, uint32_t level)
{
    uint8_t *cell = (uint8_t *)sketch->bytes + place;

    *cell = loglog_cell(loglog_levels(*cell) | (uint64_t)1 << level);
}

bool eng_loglog_add(struct eng_loglog *sketch, uint64_t hash)
{
    if (!sketch->dense) return loglog_put(sketch, loglog_token(hash));
    uint64_t rest = hash << LOGLOG_PLACE_BITS;
    uint32_t level = rest ? (uint32_t)__builtin_clzll(rest) + 1 : LOGLOG_LEVEL_MAX;
    loglog_raise(sketch, (uint32_t)(hash >> (64 - LOGLOG_PLACE_BITS)), level);
    return true;
}

bool eng_loglog_merge(struct eng_loglog *sketch, const struct eng_loglog *other)
{
    if (other->dense) {
        if (!sketch->dense) return false;
        uint8_t *cells = sketch->bytes;
        const uint8_t *others = other->bytes;
        for (uint32_t i = 0; i < LOGLOG_PLACES; i++)
            cells[i] = loglog_cell(loglog_levels(cells[i]) | loglog_levels(others[i]));
        return true;
    }
    const uint32_t *slots = other->bytes;
    for (uint32_t i = 0; i < other->size_bytes / 4; i++) {
        uint32_t place, level;
        if (slots[i] == 0) continue;
        if (!sketch->dense) {
            if (!loglog_put(sketch, slots[i])) return false;
            continue;
        }
        loglog_token_parts(slots[i], &place, &level);
        loglog_raise(sketch, place, level);
    }
    return true;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

uint32_t eng_loglog_wanted_bytes(const struct eng_loglog *sketch)
{
    CHECK(!sketch->dense);
    if (sketch->size_bytes == 0) return ENG_LOGLOG_BYTES_MIN;
    if (sketch->size_bytes < ENG_LOGLOG_BYTES_MAX) return 2 * sketch->size_bytes;
    return ENG_LOGLOG_BYTES_MAX; /* the dense form */
}

void *eng_loglog_move(struct eng_loglog *sketch, void *bytes)
{
    struct eng_loglog old = *sketch;

    *sketch = (struct eng_loglog){
        .bytes = bytes,
        .size_bytes = eng_loglog_wanted_bytes(&old),
        .dense = old.size_bytes == ENG_LOGLOG_BYTES_MAX,
    };
    memset(bytes, 0, sketch->size_bytes);
    CHECK(eng_loglog_merge(sketch, &old));
    return old.bytes;
}

/* ---- The estimate ---------------------------------------------------------------------------- */

/* Seen as m places that n values fall on at random, the number of values of level k at one place is
 * a Poisson variable of mean x / 2^k, x = n / m. A level that was there has the probability
 * 1 - exp(-x / 2^k), one that was not exp(-x / 2^k). With b[k] places where level k is known to
 * have been there, and a the sum of 1 / 2^k over all that are known not to have been, the logarithm
 * of the likelihood is
 *
 *     -a x + sum over k of b[k] log(1 - exp(-x / 2^k))
 *
 * and greatest where sum of b[k] (x / 2^k) / (exp(x / 2^k) - 1) = a x. Levels end at 51, where the
 * rest of all levels is: 1 / 2^50 instead of 1 / 2^51. */
struct loglog_likelihood {
    double absent;                        /* a */
    uint32_t there[LOGLOG_LEVEL_MAX + 1]; /* b */
};

static double loglog_rate(uint32_t level)
{
    return ldexp(1, -(int)(level < LOGLOG_LEVEL_MAX ? level : LOGLOG_LEVEL_MAX - 1));
}

static void loglog_count(const uint8_t *cells, struct loglog_likelihood *likelihood)
{
    uint32_t by_cell[256] = {0};

    *likelihood = (struct loglog_likelihood){0};
    for (uint32_t i = 0; i < LOGLOG_PLACES; i++)
        by_cell[cells[i]]++;
    for (uint32_t cell = 0; cell < 256; cell++) {
        uint32_t places = by_cell[cell], level = cell >> 2;
        if (places == 0) continue;
        double above = 1; /* sum of the rates above the level */
        for (uint32_t k = 1; k <= level; k++)
            above -= loglog_rate(k);
        if (above > 0) likelihood->absent += places * above;
        for (uint32_t k = level; k >= 1 && k + 2 >= level; k--) {
            if (loglog_levels((uint8_t)cell) >> k & 1)
                likelihood->there[k] += places;
            else
                likelihood->absent += places * loglog_rate(k);
        }
    }
}

/* Falls as x grows: the root is what is looked for. */
static double loglog_slope(const struct loglog_likelihood *likelihood, double x)
{
    double sum = -likelihood->absent * x;

    for (uint32_t k = 1; k <= LOGLOG_LEVEL_MAX; k++) {
        double y = x * loglog_rate(k);
        if (likelihood->there[k] > 0) sum += likelihood->there[k] * (y > 0 ? y / expm1(y) : 1);
    }
    return sum;
}

double eng_loglog_estimate(const struct eng_loglog *sketch)
{
    struct loglog_likelihood likelihood;

    if (!sketch->dense) {
        /* Two values have one token seldom: as many values as leave so many of 2^26 untouched. */
        double all = (double)(1u << LOGLOG_TOKEN_BITS);
        return -all * log1p(-(double)sketch->tokens / all);
    }
    loglog_count(sketch->bytes, &likelihood);
    double low = 0, high = 1;
    while (loglog_slope(&likelihood, high) > 0 && high < 0x1p60)
        high *= 2;
    for (uint32_t i = 0; i < 60 && high - low > high * 1e-9; i++) {
        double middle = (low + high) / 2;
        if (loglog_slope(&likelihood, middle) > 0)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2 * LOGLOG_PLACES;
}
