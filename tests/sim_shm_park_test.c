/* shm/park in the simulator: the real protocol survives every seed; a copy of it that lacks one
 * step is caught. Ringers add work and ring; the sleeper, who has no deadline, must get all of it.
 * A lost wake-up leaves everyone waiting for ever, which the simulator calls stuck. */
#include "shm/park.h"

#include <CUnit/Basic.h>
#include <signal.h>

#include "shm/check.h"
#include "shm/futex.h"
#include "shm/random.h"
#include "shm/ring.h"
#include "shm/sim.h"
#include "shm/spawn.h"

enum { RINGERS = 2, ITEMS = 4 };

enum step { /* of the protocol in shm/park.h, by its letters there */
            STEP_NONE,
            STEP_2, /* the sleeper's fence */
            STEP_3, /* its second look */
            STEP_B, /* the ringer's fence */
            STEP_C, /* waking as one action: here it is killed in between */
};

struct scene {
    struct shm_doorbell bell;
    _Alignas(SHM_CACHELINE) _Atomic uint64_t added[RINGERS];
    _Alignas(SHM_CACHELINE) _Atomic uint64_t taken;
    enum step lacks;
    bool real, with_fd, kill;
    uint64_t parks; /* summed over runs: the generator reaches what it is for */
};

struct ringer {
    struct scene *scene;
    unsigned number;
};

static uint64_t scene_added(struct scene *scene)
{
    uint64_t added = 0;
    for (unsigned i = 0; i < RINGERS; i++)
        added += shm_load_acquire(&scene->added[i]);
    return added;
}

static bool scene_has_work(void *arg)
{
    struct scene *scene = arg;
    return scene_added(scene) > shm_load_own(&scene->taken);
}

/* shm_park(), without what `lacks` says. */
static void scene_park(struct scene *scene)
{
    _Atomic uint32_t *sleeping = &scene->bell.sleeping;
    shm_store_release32(sleeping, 1);
    if (scene->lacks != STEP_2) shm_fence();
    if (scene->lacks == STEP_3 || !scene_has_work(scene))
        shm_futex_wait(sleeping, 1, SHM_CLOCK_NEVER);
    shm_store_release32(sleeping, 0);
}

/* The fence and shm_ring_bell(), without what `lacks` says. */
static void scene_ring(struct scene *scene)
{
    _Atomic uint32_t *sleeping = &scene->bell.sleeping;
    if (scene->lacks != STEP_B) shm_fence();
    if (scene->real) {
        shm_ring_bell(&scene->bell);
    } else if (shm_load_acquire32(sleeping) != 0) {
        if (scene->lacks == STEP_C) { /* two actions instead of one */
            shm_store_release32(sleeping, 0);
            shm_sim_yield();
            shm_sim_flush();
            shm_sim_wake(sleeping);
        } else {
            shm_futex_clear_and_wake(sleeping);
        }
    }
}

static void ringer_main(void *arg)
{
    struct ringer *ringer = arg;
    struct scene *scene = ringer->scene;
    _Atomic uint64_t *added = &scene->added[ringer->number];
    if (scene->kill) scene_ring(scene); /* for a predecessor who died before it could */
    while (shm_load_own(added) < ITEMS) {
        shm_store_release(added, shm_load_own(added) + 1);
        scene_ring(scene);
    }
}

static void sleeper_main(void *arg)
{
    struct scene *scene = arg;
    while (shm_load_own(&scene->taken) < RINGERS * ITEMS) {
        if (scene_has_work(scene)) {
            shm_store_release(&scene->taken, scene_added(scene));
            continue;
        }
        scene->parks++;
        if (scene->real)
            shm_park(&scene->bell, SHM_CLOCK_NEVER, scene_has_work, scene);
        else
            scene_park(scene);
    }
}

static void scene_main(void *arg)
{
    struct scene *scene = arg;
    struct shm_process sleeper, processes[RINGERS];
    struct ringer ringers[RINGERS];
    struct shm_ending ending;
    CHECK(shm_doorbell_init(&scene->bell, scene->with_fd) == 0);
    CHECK(shm_spawn(&sleeper, sleeper_main, scene) == 0);
    for (unsigned i = 0; i < RINGERS; i++) {
        ringers[i] = (struct ringer){scene, i};
        CHECK(shm_spawn(&processes[i], ringer_main, &ringers[i]) == 0);
    }
    /* A ringer is killed anywhere and a successor does the rest of its work. */
    for (unsigned i = 0; scene->kill && i < RINGERS; i++) {
        for (uint64_t steps = shm_sim_random() % 40; steps > 0; steps--)
            shm_sim_yield();
        shm_process_kill(&processes[i], SIGKILL);
        CHECK(shm_process_wait(&processes[i], &ending, SHM_CLOCK_NEVER));
        CHECK(shm_spawn(&processes[i], ringer_main, &ringers[i]) == 0);
    }
    for (unsigned i = 0; i < RINGERS; i++)
        CHECK(shm_process_wait(&processes[i], &ending, SHM_CLOCK_NEVER));
    CHECK(shm_process_wait(&sleeper, &ending, SHM_CLOCK_NEVER));
    CHECK(scene->taken == RINGERS * ITEMS);
    shm_doorbell_close(&scene->bell);
}

/* The first seed that fails, or `seeds`. */
static uint64_t first_failure(const struct scene *pattern, uint64_t seeds, uint64_t *parks)
{
    for (uint64_t seed = 0; seed < seeds; seed++) {
        struct scene scene = *pattern;
        struct shm_sim_result result = shm_sim_try(seed, 0, scene_main, &scene);
        *parks += scene.parks;
        if (result.outcome == SHM_SIM_DONE) continue;
        CU_ASSERT_EQUAL(result.outcome, SHM_SIM_STUCK);
        if (result.outcome != SHM_SIM_STUCK) fprintf(stderr, "%s\n", result.failure);
        shm_doorbell_close(&scene.bell);
        return seed;
    }
    return seeds;
}

static void the_real_protocol_survives_every_seed(void)
{
    enum { SEEDS = 5000 };
    for (unsigned with_fd = 0; with_fd < 2; with_fd++) {
        uint64_t parks = 0;
        struct scene pattern = {.real = true, .with_fd = with_fd};
        uint64_t seed = first_failure(&pattern, SEEDS, &parks);
        CU_ASSERT_EQUAL(seed, SEEDS);
        if (seed != SEEDS) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        CU_ASSERT_TRUE(parks > SEEDS);
    }
}

/* A ringer that is killed between publishing and ringing has told nobody: its work waits for the
 * next bell. So its successor rings first of all. */
static void killed_ringers_do_not_silence_the_bell(void)
{
    enum { SEEDS = 5000 };
    for (unsigned with_fd = 0; with_fd < 2; with_fd++) {
        uint64_t parks = 0;
        struct scene pattern = {.real = true, .with_fd = with_fd, .kill = true};
        CU_ASSERT_EQUAL(first_failure(&pattern, SEEDS, &parks), SEEDS);
        CU_ASSERT_TRUE(parks > SEEDS);
    }
}

static void each_missing_step_is_found(void)
{
    enum { SEEDS = 2000 };
    uint64_t parks = 0;
    CU_ASSERT_EQUAL(first_failure(&(struct scene){.lacks = STEP_NONE}, SEEDS, &parks), SEEDS);
    CU_ASSERT_TRUE(first_failure(&(struct scene){.lacks = STEP_2}, SEEDS, &parks) < SEEDS);
    CU_ASSERT_TRUE(first_failure(&(struct scene){.lacks = STEP_3}, SEEDS, &parks) < SEEDS);
    CU_ASSERT_TRUE(first_failure(&(struct scene){.lacks = STEP_B}, SEEDS, &parks) < SEEDS);
    struct scene killed = {.lacks = STEP_C, .kill = true};
    CU_ASSERT_TRUE(first_failure(&killed, SEEDS, &parks) < SEEDS);
}

/* ---- Rings and bells together ---------------------------------------------------------------- */

enum { FRAMES = 60, CAPACITY_BYTES = SHM_RING_BYTES_MIN };

struct pipe_of_frames {
    struct shm_ring ring;
    struct shm_doorbell reader_bell, writer_bell;
    _Alignas(SHM_CACHELINE) char data[CAPACITY_BYTES];
    struct shm_ring_writer writer;
    uint64_t full;
};

static bool pipe_has_frames(void *arg)
{
    struct shm_ring_reader *reader = arg;
    return shm_load_acquire(&reader->ring->tail) != reader->cursor;
}

static bool pipe_has_room(void *arg)
{
    struct pipe_of_frames *pipe = arg;
    return shm_load_acquire(&pipe->ring.head) != pipe->writer.head_seen;
}

static void pipe_show(struct pipe_of_frames *pipe)
{
    if (!shm_ring_publish(&pipe->writer)) return;
    shm_fence();
    shm_ring_bell(&pipe->reader_bell);
}

static void pipe_writer(void *arg)
{
    struct pipe_of_frames *pipe = arg;
    shm_ring_writer_open(&pipe->writer, &pipe->ring, pipe->data);
    for (uint64_t i = 0; i < FRAMES; i++) {
        uint32_t size_bytes = 24 + 8 * (uint32_t)(i * 37 % 100);
        struct shm_frame *frame;
        while (!(frame = shm_ring_claim(&pipe->writer, size_bytes))) {
            pipe_show(pipe);
            pipe->full++;
            shm_park(&pipe->writer_bell, SHM_CLOCK_NEVER, pipe_has_room, pipe);
        }
        *frame = (struct shm_frame){.size_bytes = size_bytes, .hash = i};
        if (shm_random() % 4 == 0) pipe_show(pipe);
    }
    pipe_show(pipe);
}

static void pipe_release(struct pipe_of_frames *pipe, struct shm_ring_reader *reader)
{
    shm_ring_release(reader);
    shm_fence();
    shm_ring_bell(&pipe->writer_bell);
}

static void pipe_main(void *arg)
{
    struct pipe_of_frames *pipe = arg;
    struct shm_process process;
    struct shm_ring_reader reader;
    pipe->ring.capacity_bytes = CAPACITY_BYTES;
    CHECK(shm_doorbell_init(&pipe->reader_bell, false) == 0);
    CHECK(shm_doorbell_init(&pipe->writer_bell, false) == 0);
    CHECK(shm_spawn(&process, pipe_writer, pipe) == 0);
    shm_ring_reader_open(&reader, &pipe->ring, pipe->data);
    for (uint64_t i = 0; i < FRAMES;) {
        const char *at = NULL;
        uint64_t readable = shm_ring_peek(&reader, &at);
        if (readable == 0) {
            pipe_release(pipe, &reader); /* or both would wait for each other */
            shm_park(&pipe->reader_bell, SHM_CLOCK_NEVER, pipe_has_frames, &reader);
            continue;
        }
        const struct shm_frame *frame = (const void *)at;
        uint32_t size_bytes = shm_frame_size(frame, readable);
        if (frame->kind != SHM_FRAME_SKIP) CHECK(frame->hash == i++);
        shm_ring_advance(&reader, size_bytes);
        if (shm_random() % 2 == 0) pipe_release(pipe, &reader);
    }
    struct shm_ending ending;
    CHECK(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CHECK(ending.status == 0);
}

static void frames_cross_in_every_interleaving(void)
{
    uint64_t full = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        static struct pipe_of_frames pipe;
        pipe = (struct pipe_of_frames){.full = 0};
        struct shm_sim_result result = shm_sim_try(seed, 0, pipe_main, &pipe);
        CU_ASSERT_EQUAL_FATAL(result.outcome, SHM_SIM_DONE);
        full += pipe.full;
    }
    CU_ASSERT_TRUE(full > 2000);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the real protocol survives every seed", the_real_protocol_survives_every_seed},
        {"killed ringers do not silence the bell", killed_ringers_do_not_silence_the_bell},
        {"each missing step is found", each_missing_step_is_found},
        {"frames cross in every interleaving", frames_cross_in_every_interleaving},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/park, simulated", NULL, NULL, NULL, NULL, tests},
                             CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
