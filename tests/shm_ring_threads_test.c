/* shm/ring as two threads of one program, so that the thread sanitizer, which does not see across
 * processes, checks the orders of shm/ring.h and shm/atomic.h. */
#include "shm/ring.h"

#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_BYTES = 4096 };

struct pipe_of_frames {
    struct shm_ring ring;
    _Alignas(SHM_CACHELINE) char data[CAPACITY_BYTES];
    uint64_t frames;
};

static uint32_t size_of(uint64_t number)
{
    return 24 + 8 * (uint32_t)(number * 2654435761u >> 7 & 15);
}

static void *produce(void *arg)
{
    struct pipe_of_frames *pipe = arg;
    struct shm_ring_writer writer;
    shm_ring_writer_open(&writer, &pipe->ring, pipe->data);
    for (uint64_t i = 0; i < pipe->frames; i++) {
        struct shm_frame *frame;
        while (!(frame = shm_ring_claim(&writer, size_of(i))))
            if (!shm_ring_publish(&writer)) sched_yield();
        *frame = (struct shm_frame){.size_bytes = size_of(i), .hash = i};
        memset(frame + 1, (int)(i & 0xff), size_of(i) - sizeof *frame);
        if (i % 5 == 0) shm_ring_publish(&writer);
    }
    shm_ring_publish(&writer);
    return NULL;
}

/* The number of frames that were right. */
static uint64_t consume(struct pipe_of_frames *pipe)
{
    struct shm_ring_reader reader;
    shm_ring_reader_open(&reader, &pipe->ring, pipe->data);
    uint64_t seen = 0, right = 0;
    while (seen < pipe->frames) {
        const char *at;
        uint64_t readable = shm_ring_peek(&reader, &at);
        if (readable == 0) sched_yield();
        while (readable > 0) {
            const struct shm_frame *frame = (const struct shm_frame *)(const void *)at;
            uint32_t size_bytes = shm_frame_size(frame, readable);
            if (frame->kind != SHM_FRAME_SKIP) {
                const char *bytes = at + sizeof *frame;
                bool same = frame->hash == seen && size_bytes == size_of(seen);
                for (uint32_t i = 0; same && i < size_bytes - sizeof *frame; i++)
                    same = bytes[i] == (char)(seen & 0xff);
                right += same;
                seen++;
            }
            at += size_bytes;
            readable -= size_bytes;
            shm_ring_advance(&reader, size_bytes);
        }
        shm_ring_release(&reader);
    }
    return right;
}

static void frames_cross_threads_whole_and_in_order(void)
{
    struct pipe_of_frames *pipe = aligned_alloc(SHM_CACHELINE, sizeof *pipe);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    memset(pipe, 0, sizeof *pipe);
    pipe->ring.capacity_bytes = CAPACITY_BYTES;
    pipe->frames = 300000;
    pthread_t producer;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&producer, NULL, produce, pipe), 0);
    CU_ASSERT_EQUAL(consume(pipe), pipe->frames);
    CU_ASSERT_EQUAL(pthread_join(producer, NULL), 0);
    free(pipe);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"frames cross threads whole and in order", frames_cross_threads_whole_and_in_order},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/ring", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
