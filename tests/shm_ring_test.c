/* shm/ring: one producer, one consumer, in one process and across a fork.
 * Method: the smallest capacity, so that every case wraps; a plain counter is the model. */
#include "shm/ring.h"

#include <CUnit/Basic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct pair {
    struct shm_ring *ring;
    char *memory;
};

static struct pair pair_new(uint64_t capacity_bytes)
{
    struct pair pair;
    pair.ring = mmap(NULL, sizeof *pair.ring + capacity_bytes, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL((void *)pair.ring, MAP_FAILED);
    pair.memory = (char *)(pair.ring + 1);
    pair.ring->capacity_bytes = capacity_bytes;
    return pair;
}

/* The i-th frame: a header and i % 20 words, each of them i. */
static uint32_t frame_bytes(uint64_t i)
{
    return (uint32_t)(sizeof(struct shm_frame) + 8 * (i % 20));
}

static bool frame_write(struct shm_ring_writer *writer, uint64_t i)
{
    char *at = shm_ring_claim(writer, frame_bytes(i));
    if (!at) return false;
    struct shm_frame frame = {.size_bytes = frame_bytes(i), .kind = 1, .hash = i};
    memcpy(at, &frame, sizeof frame);
    for (uint32_t b = sizeof frame; b < frame.size_bytes; b += 8)
        memcpy(at + b, &i, 8);
    return true;
}

/* Reads what is there; returns how many frames, and checks each. */
static uint64_t frames_read(struct shm_ring_reader *reader, uint64_t next, bool *right)
{
    const char *frames;
    uint64_t bytes, count = 0;

    while ((bytes = shm_ring_peek(reader, &frames)) > 0) {
        uint64_t at = 0;
        while (at < bytes) {
            const struct shm_frame *frame = (const void *)(frames + at);
            uint32_t size = shm_frame_size(frame, bytes - at);
            if (frame->kind != SHM_FRAME_SKIP) {
                uint64_t i = next + count, word;
                if (frame->hash != i || size != frame_bytes(i)) *right = false;
                for (uint32_t b = sizeof *frame; b < size; b += 8) {
                    memcpy(&word, frames + at + b, 8);
                    if (word != i) *right = false;
                }
                count++;
            }
            at += size;
        }
        shm_ring_advance(reader, bytes);
        shm_ring_release(reader);
    }
    return count;
}

static void full_refuses_and_loses_nothing(void)
{
    struct pair pair = pair_new(SHM_RING_BYTES_MIN);
    struct shm_ring_writer writer;
    struct shm_ring_reader reader;
    uint64_t written = 0, read = 0;
    bool right = true;

    shm_ring_writer_open(&writer, pair.ring, pair.memory);
    shm_ring_reader_open(&reader, pair.ring, pair.memory);
    for (int round = 0; round < 1000; round++) {
        while (frame_write(&writer, written))
            written++;
        shm_ring_publish(&writer);
        read += frames_read(&reader, read, &right);
        CU_ASSERT_EQUAL_FATAL(read, written);
    }
    CU_ASSERT_TRUE(right);
    CU_ASSERT_TRUE(written > 20000);
    CU_ASSERT_TRUE(shm_load_own(&pair.ring->full_count) >= 1000);
}

static void what_is_not_published_is_not_there(void)
{
    struct pair pair = pair_new(SHM_RING_BYTES_MIN);
    struct shm_ring_writer writer;
    struct shm_ring_reader reader;
    const char *frames;

    shm_ring_writer_open(&writer, pair.ring, pair.memory);
    shm_ring_reader_open(&reader, pair.ring, pair.memory);
    CU_ASSERT_FALSE(shm_ring_publish(&writer));
    CU_ASSERT_TRUE(frame_write(&writer, 0));
    CU_ASSERT_EQUAL(shm_ring_peek(&reader, &frames), 0);
    CU_ASSERT_TRUE(shm_ring_publish(&writer));
    CU_ASSERT_EQUAL(shm_ring_peek(&reader, &frames), frame_bytes(0));
}

static void frames_cross_a_fork_in_order(void)
{
    enum { FRAMES = 1000000 };
    struct pair pair = pair_new(16384);
    pid_t producer = fork();

    if (producer == 0) {
        struct shm_ring_writer writer;
        shm_ring_writer_open(&writer, pair.ring, pair.memory);
        for (uint64_t i = 0; i < FRAMES; i++) {
            while (!frame_write(&writer, i))
                shm_ring_publish(&writer);
            if (i % 7 == 0) shm_ring_publish(&writer);
        }
        shm_ring_publish(&writer);
        _exit(0);
    }
    struct shm_ring_reader reader;
    uint64_t read = 0;
    bool right = true;
    shm_ring_reader_open(&reader, pair.ring, pair.memory);
    while (read < FRAMES)
        read += frames_read(&reader, read, &right);
    CU_ASSERT_TRUE(right);
    CU_ASSERT_EQUAL(read, FRAMES);
    CU_ASSERT_EQUAL(waitpid(producer, NULL, 0), producer);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("shm/ring", NULL, NULL);
    CU_ADD_TEST(suite, full_refuses_and_loses_nothing);
    CU_ADD_TEST(suite, what_is_not_published_is_not_there);
    CU_ADD_TEST(suite, frames_cross_a_fork_in_order);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
