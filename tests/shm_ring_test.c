/* shm/ring: one producer, one consumer.
 * Method: random operations against a model that is a plain queue, with capacities so small that
 * every case wraps; then the corner cases one by one; then a million frames across a fork; then
 * peers that lie, each in a child that must abort. */
#include "shm/ring.h"

#include <CUnit/Basic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/random.h"

static struct shm_ring *ring_new(uint64_t capacity_bytes, char **data)
{
    size_t bytes = sizeof(struct shm_ring) + capacity_bytes;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL((void *)memory, MAP_FAILED);
    struct shm_ring *ring = (struct shm_ring *)(void *)memory;
    ring->capacity_bytes = capacity_bytes;
    *data = memory + sizeof(struct shm_ring);
    return ring;
}

static void ring_free(struct shm_ring *ring)
{
    munmap(ring, sizeof *ring + ring->capacity_bytes);
}

/* A frame says by its number what every byte of it must be. */
static void frame_fill(void *memory, uint32_t size_bytes, uint64_t number)
{
    struct shm_frame *frame = memory;
    CHECK(frame);
    *frame = (struct shm_frame){.size_bytes = size_bytes, .kind = 1, .hash = number};
    memset(frame + 1, (int)(number & 0xff), size_bytes - sizeof *frame);
}

static bool frame_is(const void *memory, uint32_t size_bytes, uint64_t number)
{
    const struct shm_frame *frame = memory;
    if (frame->size_bytes != size_bytes || frame->kind != 1 || frame->hash != number) return false;
    const unsigned char *bytes = (const unsigned char *)(frame + 1);
    for (uint32_t i = 0; i < size_bytes - sizeof *frame; i++)
        if (bytes[i] != (number & 0xff)) return false;
    return true;
}

/* ---- Against a model ------------------------------------------------------------------------- */

enum { MODEL_FRAMES = 4096 };

struct model {
    struct shm_ring *ring;
    struct shm_ring_writer writer;
    struct shm_ring_reader reader;
    uint64_t capacity_bytes;

    uint32_t sizes[MODEL_FRAMES]; /* of frame n at n % MODEL_FRAMES */
    uint64_t claimed_frames, published_frames, read_frames;
    uint64_t claimed, published, cursor, released; /* positions */
    uint64_t skips, refused;
    bool wrong;
};

static void model_expect(struct model *model, bool holds)
{
    if (!holds) model->wrong = true;
}

static void model_claim(struct model *model, uint32_t size_bytes)
{
    uint64_t free_bytes = model->capacity_bytes - (model->claimed - model->released);
    uint64_t to_end = model->capacity_bytes - model->claimed % model->capacity_bytes;
    if (size_bytes > to_end && free_bytes >= to_end) { /* the rest is skipped, even if then full */
        model->claimed += to_end;
        free_bytes -= to_end;
        to_end = model->capacity_bytes;
        model->skips++;
    }
    bool fits = size_bytes <= to_end && size_bytes <= free_bytes;

    void *frame = shm_ring_claim(&model->writer, size_bytes);
    model_expect(model, (frame != NULL) == fits);
    if (!fits) model->refused++;
    if (frame) {
        frame_fill(frame, size_bytes, model->claimed_frames);
        model->sizes[model->claimed_frames++ % MODEL_FRAMES] = size_bytes;
        model->claimed += size_bytes;
    }
    model_expect(model, shm_ring_claimed(&model->writer) == model->claimed);
    model_expect(model, model->ring->full_count == model->refused);
}

static void model_publish(struct model *model)
{
    bool something = model->claimed != model->published;
    model_expect(model, shm_ring_publish(&model->writer) == something);
    model->published = model->claimed;
    model->published_frames = model->claimed_frames;
    model_expect(model, model->ring->tail == model->published);
}

static void model_read(struct model *model, uint64_t frames_max)
{
    const char *at = NULL;
    uint64_t readable = shm_ring_peek(&model->reader, &at);
    /* It may show less than there is: up to the wrap, or what it saw the last time. Never more. */
    model_expect(model, readable <= model->published - model->cursor);
    model_expect(model, readable > 0 || model->cursor == model->published);

    uint64_t frames = 0;
    while (readable > 0 && frames < frames_max) {
        const struct shm_frame *frame = (const void *)at;
        uint32_t size_bytes = shm_frame_size(frame, readable);
        if (frame->kind == SHM_FRAME_SKIP) {
            model_expect(model, size_bytes == readable); /* it is the last before the end */
        } else {
            model_expect(model, model->read_frames < model->published_frames);
            model_expect(model, frame_is(frame, model->sizes[model->read_frames % MODEL_FRAMES],
                                         model->read_frames));
            model->read_frames++;
            frames++;
        }
        at += size_bytes;
        readable -= size_bytes;
        model->cursor += size_bytes;
        shm_ring_advance(&model->reader, size_bytes);
    }
}

static void model_release(struct model *model)
{
    shm_ring_release(&model->reader);
    model->released = model->cursor;
    model_expect(model, model->ring->head == model->released);
}

static void model_step(struct model *model, struct shm_random_stream *random)
{
    uint32_t limit = (uint32_t)model->capacity_bytes / 4;
    if (shm_random_below(random, 4) == 0) limit = 128; /* many small ones, too */
    switch (shm_random_below(random, 8)) {
    case 0:
        model_publish(model);
        break;
    case 1:
        model_read(model, shm_random_below(random, 20));
        break;
    case 2:
        model_release(model);
        break;
    default:
        model_claim(model, 24 + 8 * (uint32_t)shm_random_below(random, (limit - 24) / 8 + 1));
    }
}

static void model_run(uint64_t seed, uint64_t capacity_bytes, uint64_t start, uint64_t *skips,
                      uint64_t *refused)
{
    struct shm_random_stream random;
    shm_random_seed(&random, seed);
    char *data;
    struct model model = {.ring = ring_new(capacity_bytes, &data),
                          .capacity_bytes = capacity_bytes,
                          .claimed = start,
                          .published = start,
                          .cursor = start,
                          .released = start};
    model.ring->tail = start;
    model.ring->head = start;
    shm_ring_writer_open(&model.writer, model.ring, data);
    shm_ring_reader_open(&model.reader, model.ring, data);

    for (unsigned i = 0; i < 20000 && !model.wrong; i++)
        model_step(&model, &random);
    model_publish(&model);
    while (model.cursor != model.published && !model.wrong)
        model_read(&model, UINT64_MAX);
    model_expect(&model, model.read_frames == model.claimed_frames);
    if (model.wrong) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    CU_ASSERT_FALSE(model.wrong);
    *skips += model.skips;
    *refused += model.refused;
    ring_free(model.ring);
}

static void it_agrees_with_a_plain_queue(void)
{
    uint64_t skips = 0, refused = 0;
    for (uint64_t seed = 1; seed <= 60; seed++)
        model_run(seed, 4096u << seed % 3, 0, &skips, &refused);
    CU_ASSERT_TRUE(skips > 1000); /* the generator reaches what it is for */
    CU_ASSERT_TRUE(refused > 1000);
}

static void positions_may_start_anywhere(void)
{
    uint64_t skips = 0, refused = 0;
    model_run(1, 4096, UINT64_MAX / 16 * 8 + 8 * 77, &skips, &refused);
    model_run(2, 4096, (uint64_t)0 - 4096u * 3, &skips, &refused); /* and even wrap */
}

/* ---- Corner cases ---------------------------------------------------------------------------- */

struct ends {
    struct shm_ring *ring;
    char *data;
    struct shm_ring_writer writer;
    struct shm_ring_reader reader;
};

static struct ends ends_new(void)
{
    struct ends ends;
    ends.ring = ring_new(4096, &ends.data);
    shm_ring_writer_open(&ends.writer, ends.ring, ends.data);
    shm_ring_reader_open(&ends.reader, ends.ring, ends.data);
    return ends;
}

static void a_frame_may_be_a_quarter_of_the_ring(void)
{
    struct ends ends = ends_new();
    const char *at = NULL;
    for (uint64_t i = 0; i < 4; i++)
        frame_fill(shm_ring_claim(&ends.writer, 1024), 1024, i);
    CU_ASSERT_PTR_NULL(shm_ring_claim(&ends.writer, 24)); /* full to the last byte */
    CU_ASSERT_EQUAL(shm_ring_peek(&ends.reader, &at), 0); /* and nothing published */
    CU_ASSERT_TRUE(shm_ring_publish(&ends.writer));
    CU_ASSERT_EQUAL_FATAL(shm_ring_peek(&ends.reader, &at), 4096);
    for (uint64_t i = 0; i < 4; i++)
        CU_ASSERT_TRUE(frame_is(at + 1024 * i, 1024, i));
    shm_ring_advance(&ends.reader, 1024);
    CU_ASSERT_PTR_NULL(shm_ring_claim(&ends.writer, 24)); /* read is not released */
    shm_ring_release(&ends.reader);
    CU_ASSERT_PTR_NOT_NULL(shm_ring_claim(&ends.writer, 1024));
    CU_ASSERT_PTR_NULL(shm_ring_claim(&ends.writer, 24));
    CU_ASSERT_EQUAL(ends.ring->full_count, 3);
    ring_free(ends.ring);
}

static void a_skip_of_eight_bytes_fills_the_end(void)
{
    struct ends ends = ends_new();
    const char *at = NULL;
    for (unsigned i = 0; i < 4; i++) /* 4088 bytes */
        frame_fill(shm_ring_claim(&ends.writer, i < 3 ? 1024 : 1016), i < 3 ? 1024 : 1016, i);
    CU_ASSERT_TRUE(shm_ring_publish(&ends.writer));
    CU_ASSERT_EQUAL(shm_ring_peek(&ends.reader, &at), 4088);
    shm_ring_advance(&ends.reader, 4088);
    shm_ring_release(&ends.reader);

    frame_fill(shm_ring_claim(&ends.writer, 24), 24, 4);
    CU_ASSERT_TRUE(shm_ring_publish(&ends.writer));
    CU_ASSERT_EQUAL(shm_ring_peek(&ends.reader, &at), 8);
    CU_ASSERT_EQUAL(((const struct shm_frame *)(const void *)at)->kind, SHM_FRAME_SKIP);
    CU_ASSERT_EQUAL(shm_frame_size((const void *)at, 8), 8);
    shm_ring_advance(&ends.reader, 8);
    CU_ASSERT_EQUAL(shm_ring_peek(&ends.reader, &at), 24);
    CU_ASSERT_PTR_EQUAL(at, ends.data);
    CU_ASSERT_TRUE(frame_is(at, 24, 4));
    ring_free(ends.ring);
}

static void a_successor_goes_on_where_the_words_say(void)
{
    struct ends ends = ends_new();
    frame_fill(shm_ring_claim(&ends.writer, 64), 64, 0);
    CU_ASSERT_TRUE(shm_ring_publish(&ends.writer));
    CU_ASSERT_FALSE(shm_ring_publish(&ends.writer));
    frame_fill(shm_ring_claim(&ends.writer, 64), 64, 1); /* not published: it was never there */

    shm_ring_writer_open(&ends.writer, ends.ring, ends.data);
    frame_fill(shm_ring_claim(&ends.writer, 64), 64, 2);
    CU_ASSERT_TRUE(shm_ring_publish(&ends.writer));

    const char *at = NULL;
    CU_ASSERT_EQUAL_FATAL(shm_ring_peek(&ends.reader, &at), 128);
    CU_ASSERT_TRUE(frame_is(at, 64, 0));
    CU_ASSERT_TRUE(frame_is(at + 64, 64, 2));
    shm_ring_advance(&ends.reader, 64); /* not released: its successor reads it again */
    shm_ring_reader_open(&ends.reader, ends.ring, ends.data);
    CU_ASSERT_EQUAL(shm_ring_peek(&ends.reader, &at), 128);
    ring_free(ends.ring);
}

/* ---- Two processes --------------------------------------------------------------------------- */

static uint32_t size_of(uint64_t number)
{
    return 24 + 8 * (uint32_t)(number * 2654435761u >> 7 & 15);
}

static _Noreturn void produce(struct shm_ring *ring, char *data, uint64_t frames)
{
    struct shm_ring_writer writer;
    shm_ring_writer_open(&writer, ring, data);
    for (uint64_t i = 0; i < frames; i++) {
        void *frame;
        while (!(frame = shm_ring_claim(&writer, size_of(i))))
            if (!shm_ring_publish(&writer)) sched_yield();
        frame_fill(frame, size_of(i), i);
        if (i % 7 == 0) shm_ring_publish(&writer);
    }
    shm_ring_publish(&writer);
    _exit(0);
}

static void frames_cross_a_fork_whole_and_in_order(void)
{
    enum { FRAMES = 1000000 };
    struct ends ends = ends_new();
    pid_t producer = fork();
    if (producer == 0) produce(ends.ring, ends.data, FRAMES);

    bool right = true;
    for (uint64_t i = 0; i < FRAMES && right;) {
        const char *at = NULL;
        uint64_t readable = shm_ring_peek(&ends.reader, &at);
        if (readable == 0) sched_yield();
        while (readable > 0) {
            const struct shm_frame *frame = (const void *)at;
            uint32_t size_bytes = shm_frame_size(frame, readable);
            if (frame->kind != SHM_FRAME_SKIP) {
                right = right && frame_is(frame, size_of(i), i);
                i++;
            }
            at += size_bytes;
            readable -= size_bytes;
            shm_ring_advance(&ends.reader, size_bytes);
        }
        shm_ring_release(&ends.reader);
    }
    CU_ASSERT_TRUE(right);
    if (!right) kill(producer, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(producer, NULL, 0), producer);
    ring_free(ends.ring);
}

/* ---- Peers that lie -------------------------------------------------------------------------- */

static void read_a_frame_of_64_that_says(struct ends *ends, uint32_t size_bytes)
{
    frame_fill(ends->data, 64, 0);
    ((struct shm_frame *)(void *)ends->data)->size_bytes = size_bytes;
    ends->ring->tail = 64;
    const char *at = NULL;
    uint64_t readable = shm_ring_peek(&ends->reader, &at);
    shm_frame_size((const void *)at, readable);
}

static void it_says_64(struct ends *ends)
{
    read_a_frame_of_64_that_says(ends, 64);
}

static void it_says_0(struct ends *ends)
{
    read_a_frame_of_64_that_says(ends, 0);
}

static void it_says_33(struct ends *ends)
{
    read_a_frame_of_64_that_says(ends, 33);
}

static void it_says_72(struct ends *ends)
{
    read_a_frame_of_64_that_says(ends, 72);
}

static void it_says_4_gib(struct ends *ends)
{
    read_a_frame_of_64_that_says(ends, 0xfffffff8u);
}

static void the_tail_is_beyond_the_capacity(struct ends *ends)
{
    ends->ring->tail = 4096 + 8;
    const char *at = NULL;
    shm_ring_peek(&ends->reader, &at);
}

static void the_tail_goes_back(struct ends *ends)
{
    ends->reader.cursor = ends->reader.tail_seen = 4096;
    ends->ring->tail = 4088;
    const char *at = NULL;
    shm_ring_peek(&ends->reader, &at);
}

static void the_head_is_beyond_the_tail(struct ends *ends)
{
    ends->ring->head = 8;
    shm_ring_claim(&ends->writer, 24);
}

static bool aborts(void (*lie)(struct ends *ends))
{
    struct ends ends = ends_new();
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        lie(&ends);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    ring_free(ends.ring);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void lies_of_a_peer_are_noticed(void)
{
    CU_ASSERT_FALSE(aborts(it_says_64)); /* the truth */
    CU_ASSERT_TRUE(aborts(it_says_0));
    CU_ASSERT_TRUE(aborts(it_says_33));
    CU_ASSERT_TRUE(aborts(it_says_72));
    CU_ASSERT_TRUE(aborts(it_says_4_gib));
    CU_ASSERT_TRUE(aborts(the_tail_is_beyond_the_capacity));
    CU_ASSERT_TRUE(aborts(the_tail_goes_back));
    CU_ASSERT_TRUE(aborts(the_head_is_beyond_the_tail));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"it agrees with a plain queue", it_agrees_with_a_plain_queue},
        {"positions may start anywhere", positions_may_start_anywhere},
        {"a frame may be a quarter of the ring", a_frame_may_be_a_quarter_of_the_ring},
        {"a skip of eight bytes fills the end", a_skip_of_eight_bytes_fills_the_end},
        {"a successor goes on where the words say", a_successor_goes_on_where_the_words_say},
        {"frames cross a fork whole and in order", frames_cross_a_fork_whole_and_in_order},
        {"lies of a peer are noticed", lies_of_a_peer_are_noticed},
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
