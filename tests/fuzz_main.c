/* The fuzz targets without a fuzzer: feeds every file of a corpus to LLVMFuzzerTestOneInput, and
 * then mutations of it that a seed determines. So each target runs in every tree, under each
 * compiler and sanitizer, and a corpus file that once broke something stays a test.
 *
 *     fuzz_NAME CORPUS [mutations per file] [seed]
 *
 * In the fuzz tree the same targets are linked with libFuzzer instead. An empty corpus is a
 * failure: it would test nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/random.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes);

/* One to four of: flip a bit, set a byte, cut the end off, repeat a part, write a large number. */
static size_t fuzz_mutate(uint8_t *bytes, size_t size_bytes, size_t room_bytes,
                          struct shm_random_stream *chance)
{
    uint64_t changes = 1 + shm_random_below(chance, 4);
    while (changes-- > 0 && size_bytes > 0) {
        size_t at = shm_random_below(chance, size_bytes);
        size_t rest = size_bytes - at;
        switch (shm_random_below(chance, 5)) {
        case 0:
            bytes[at] = (uint8_t)(bytes[at] ^ (1u << shm_random_below(chance, 8)));
            break;
        case 1:
            bytes[at] = (uint8_t)shm_random_next(chance);
            break;
        case 2:
            size_bytes = at;
            break;
        case 3: {
            size_t from = shm_random_below(chance, size_bytes);
            size_t part = 1 + shm_random_below(chance, size_bytes - from);
            if (part > room_bytes - size_bytes) part = room_bytes - size_bytes;
            memmove(bytes + at + part, bytes + at, rest);
            size_bytes += part;
            memmove(bytes + at, bytes + (from < at ? from : at), part);
            break;
        }
        default: {
            uint64_t value = shm_random_next(chance) >> (shm_random_below(chance, 64));
            if (shm_random_below(chance, 2)) value = ~value;
            memcpy(bytes + at, &value, rest < sizeof value ? rest : sizeof value);
            break;
        }
        }
    }
    return size_bytes;
}

/* From a block of exactly the input's size, so that a sanitizer sees the first byte too far. */
static void fuzz_feed(const uint8_t *bytes, size_t size_bytes)
{
    uint8_t *exact = malloc(size_bytes ? size_bytes : 1);
    if (!exact) abort();
    memcpy(exact, bytes, size_bytes);
    LLVMFuzzerTestOneInput(exact, size_bytes);
    free(exact);
}

static void fuzz_file(const char *path, uint64_t mutations, uint64_t seed)
{
    enum { SIZE_BYTES_MAX = 1 << 20 };
    static uint8_t original[SIZE_BYTES_MAX], changed[SIZE_BYTES_MAX];

    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    size_t size_bytes = fread(original, 1, SIZE_BYTES_MAX, file);
    fclose(file);

    fuzz_feed(original, size_bytes);
    for (uint64_t i = 0; i < mutations; i++) {
        struct shm_random_stream chance;
        shm_random_seed(&chance, seed * 1000003u + i);
        memcpy(changed, original, size_bytes);
        fuzz_feed(changed, fuzz_mutate(changed, size_bytes, SIZE_BYTES_MAX, &chance));
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS [mutations per file] [seed]\n", argv[0]);
        return 2;
    }
    uint64_t mutations = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    struct dirent **entries = NULL;
    int count = scandir(argv[1], &entries, NULL, alphasort);
    unsigned files = 0;

    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
            fuzz_file(path, mutations, seed);
            files++;
        }
        free(entries[i]);
    }
    free(entries);
    printf("%s: %u files, %llu mutations of each, seed %llu\n", argv[1], files,
           (unsigned long long)mutations, (unsigned long long)seed);
    if (files == 0) fprintf(stderr, "%s: no files; a fuzz target needs a corpus\n", argv[1]);
    return files == 0;
}
