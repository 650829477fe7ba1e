/* shm/park with shm/ring, as threads of one program for the thread sanitizer: several producers
 * with a ring each and one consumer, who parks as soon as nothing is there, with no deadline. A
 * lost wake-up hangs, and the alarm ends the test. The fence of a producer serves its ring's tail
 * and its ready bit. */
#include "shm/park.h"

#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/ring.h"

enum { PRODUCERS = 3, CAPACITY_BYTES = 4096 };

struct mill {
    struct shm_doorbell bell;             /* the consumer's */
    struct shm_doorbell rooms[PRODUCERS]; /* the producers', who park when their ring is full */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t ready;
    struct shm_ring rings[PRODUCERS];
    char data[PRODUCERS][CAPACITY_BYTES];
    uint64_t frames;
};

struct producer {
    struct mill *mill;
    unsigned number;
    uint64_t parks;
    struct shm_ring_writer writer;
};

static bool producer_has_room(void *arg)
{
    struct producer *producer = arg;
    struct shm_ring *ring = &producer->mill->rings[producer->number];
    return shm_ring_claimed(&producer->writer) - shm_load_acquire(&ring->head) < CAPACITY_BYTES / 2;
}

static void producer_show(struct producer *producer)
{
    if (!shm_ring_publish(&producer->writer)) return;
    shm_or(&producer->mill->ready, (uint64_t)1 << producer->number);
    shm_fence();
    shm_ring_bell(&producer->mill->bell);
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    struct mill *mill = producer->mill;
    for (uint64_t i = 0; i < mill->frames; i++) {
        struct shm_frame *frame;
        while (!(frame = shm_ring_claim(&producer->writer, 32))) {
            producer_show(producer);
            shm_park(&mill->rooms[producer->number], SHM_CLOCK_NEVER, producer_has_room, producer);
            producer->parks++;
        }
        *frame = (struct shm_frame){.size_bytes = 32, .hash = i};
        if (i % 3 == 0) producer_show(producer);
    }
    producer_show(producer);
    return NULL;
}

static bool mill_has_grain(void *arg)
{
    return shm_load_acquire(&((struct mill *)arg)->ready) != 0;
}

/* How many frames of one ring came in order; CHECKs the rest. */
static uint64_t mill_read(struct shm_ring_reader *reader, uint64_t next)
{
    uint64_t count = 0;
    const char *at;
    for (uint64_t readable; (readable = shm_ring_peek(reader, &at)) > 0;)
        while (readable > 0) {
            const struct shm_frame *frame = (const struct shm_frame *)(const void *)at;
            uint32_t size_bytes = shm_frame_size(frame, readable);
            if (frame->kind != SHM_FRAME_SKIP) CHECK(frame->hash == next + count++);
            at += size_bytes;
            readable -= size_bytes;
            shm_ring_advance(reader, size_bytes);
        }
    return count;
}

static uint64_t mill_grind(struct mill *mill)
{
    struct shm_ring_reader readers[PRODUCERS];
    uint64_t next[PRODUCERS] = {0}, seen = 0, parks = 0;
    for (unsigned i = 0; i < PRODUCERS; i++)
        shm_ring_reader_open(&readers[i], &mill->rings[i], mill->data[i]);
    while (seen < PRODUCERS * mill->frames) {
        uint64_t ready = shm_take(&mill->ready);
        for (unsigned i = 0; i < PRODUCERS; i++) {
            if (!(ready >> i & 1)) continue;
            uint64_t count = mill_read(&readers[i], next[i]);
            next[i] += count;
            seen += count;
            shm_ring_release(&readers[i]);
        }
        shm_fence(); /* one for all the bells */
        for (unsigned i = 0; i < PRODUCERS; i++)
            shm_ring_bell(&mill->rooms[i]);
        if (ready != 0 || seen == PRODUCERS * mill->frames) continue;
        shm_park(&mill->bell, SHM_CLOCK_NEVER, mill_has_grain, mill);
        parks++;
    }
    return parks;
}

static void mill_run(bool with_fd)
{
    struct mill *mill = aligned_alloc(SHM_CACHELINE, sizeof *mill);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mill);
    memset(mill, 0, sizeof *mill);
    mill->frames = 100000;
    CU_ASSERT_EQUAL(shm_doorbell_init(&mill->bell, with_fd), 0);
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    for (unsigned i = 0; i < PRODUCERS; i++) {
        CU_ASSERT_EQUAL(shm_doorbell_init(&mill->rooms[i], with_fd), 0);
        mill->rings[i].capacity_bytes = CAPACITY_BYTES;
        producers[i] = (struct producer){.mill = mill, .number = i};
        shm_ring_writer_open(&producers[i].writer, &mill->rings[i], mill->data[i]);
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    uint64_t parks = mill_grind(mill), producers_parks = 0;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        producers_parks += producers[i].parks;
        shm_doorbell_close(&mill->rooms[i]);
    }
    CU_ASSERT_TRUE(parks + producers_parks > 100); /* or nothing was shown */
    shm_doorbell_close(&mill->bell);
    free(mill);
}

static void nobody_oversleeps_on_a_futex(void)
{
    mill_run(false);
}

static void nobody_oversleeps_in_poll(void)
{
    mill_run(true);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"nobody oversleeps on a futex", nobody_oversleeps_on_a_futex},
        {"nobody oversleeps in poll", nobody_oversleeps_in_poll},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/park", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    alarm(100); /* nothing here has a deadline: what hangs has lost a wake-up */
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
