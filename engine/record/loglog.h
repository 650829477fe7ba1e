/* engine/record/loglog.h: how many different values there were, about, in at most 16 KiB.
 *
 * A sketch of hashes, for pen_count_about. It knows nothing but the 64-bit hashes it is given, and
 * the order and the repetition of these do not matter; two sketches can be merged, and the result
 * is the sketch of both inputs. Two forms:
 *
 *     sparse   a hash set of tokens, 32 bits each: 26 bits of the hash and how many zeros follow
 *              them. The count is as good as exact: 3072 values are off by one in a thousand cases.
 *     dense    2^14 registers of one byte, made from the tokens when these are too many
 *
 * A hash has a place, its upper 14 bits, and a level: the number of the first bit that is set in
 * the other 50, from 1; 51 when there is none. So one hash in 2^k is of level k. A register holds
 * the highest level of its place, and for the two levels below it whether they were there: the
 * UltraLogLog of Ertl, "UltraLogLog: A Practical and More Space-Efficient Alternative to
 * HyperLogLog for Approximate Distinct Counting" (2023), which descends from HyperLogLog: Flajolet,
 * Fusy, Gandouet and Meunier (2007), with the sparse form of Heule, Nunkesser and Hall,
 * "HyperLogLog in Practice" (2013). The estimate is the most likely number of values given all
 * registers (Ertl 2017), so it needs no table of corrections. Its standard error is 0.76 /
 * sqrt(2^14) = 0.6 %, where HyperLogLog has 0.8 % in registers of 6 bits.
 *
 * Memory is the caller's: when eng_loglog_add says that there is no room, the caller gets
 * eng_loglog_wanted_bytes and calls eng_loglog_move. All zeros is an empty sketch without memory.
 * The struct may be moved; what `bytes` points to is a run of bytes that says nothing without it.
 */
#ifndef ENG_RECORD_LOGLOG_H
#define ENG_RECORD_LOGLOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ENG_LOGLOG_BYTES_MIN = 64,
    ENG_LOGLOG_BYTES_MAX = 16 << 10,
};

struct eng_loglog {
    void *bytes;         /* a multiple of 4 */
    uint32_t size_bytes; /* 0, or a power of two from ENG_LOGLOG_BYTES_MIN to _MAX */
    uint32_t tokens : 31;
    uint32_t dense : 1;
};

/* False: there is no room, and nothing has changed; cannot happen to a dense one. */
bool eng_loglog_add(struct eng_loglog *sketch, uint64_t hash);

/* Adds all that other has. False: there is no room; part of it has been added, so make room and
 * begin again. */
bool eng_loglog_merge(struct eng_loglog *sketch, const struct eng_loglog *other);

/* The memory that the sketch needs to go on. */
uint32_t eng_loglog_wanted_bytes(const struct eng_loglog *sketch);
/* Goes over to new memory of that size; returns the old one, which the caller frees (NULL: none; of
 * the old size_bytes). */
void *eng_loglog_move(struct eng_loglog *sketch, void *bytes);

double eng_loglog_estimate(const struct eng_loglog *sketch);

#endif
