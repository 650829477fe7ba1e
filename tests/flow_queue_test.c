/* engine/flow/queue: frames come out as they went in, whatever the sizes and the order of calls.
 * Method: random claims and reads against two plain counters; each frame carries its number. */
#include "engine/flow/queue.h"

#include <CUnit/Basic.h>
#include <string.h>

static uint64_t state = 1;

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void frame_put(struct eng_queue *queue, uint64_t number, uint32_t size_bytes)
{
    char *at = eng_queue_claim(queue, size_bytes);
    struct shm_frame frame = {.size_bytes = size_bytes, .kind = 1, .hash = number};
    memset(at, (int)(number & 255), size_bytes);
    memcpy(at, &frame, sizeof frame);
}

/* Reads up to `most` frames. Returns how many; *right is false when one is not as it was written.
 */
static uint64_t frames_take(struct eng_queue *queue, uint64_t next, uint64_t most, bool *right)
{
    uint64_t count = 0;
    const char *frames;
    uint64_t bytes;

    while (count < most && (bytes = eng_queue_peek(queue, &frames)) > 0) {
        const struct shm_frame *frame = (const void *)frames;
        if (frame->hash != next + count || frame->size_bytes > bytes) *right = false;
        if (frame->size_bytes > sizeof *frame &&
            (unsigned char)frames[frame->size_bytes - 1] != (frame->hash & 255))
            *right = false;
        eng_queue_advance(queue, frame->size_bytes);
        count++;
    }
    return count;
}

static void frames_come_out_in_order_at_any_size(void)
{
    struct eng_queue queue;
    uint64_t put = 0, taken = 0;
    bool right = true;

    eng_queue_open(&queue);
    for (int round = 0; round < 20000; round++) {
        for (uint64_t n = next_random() % 40; n > 0; n--) {
            uint64_t kind = next_random() % 1000;
            uint32_t words = kind == 0 ? 20000 : (uint32_t)(kind % 30);
            frame_put(&queue, put++, (uint32_t)sizeof(struct shm_frame) + 8 * words);
        }
        taken += frames_take(&queue, taken, next_random() % 45, &right);
    }
    taken += frames_take(&queue, taken, UINT64_MAX, &right);
    CU_ASSERT_TRUE(right);
    CU_ASSERT_EQUAL(put, taken);
    CU_ASSERT_TRUE(eng_queue_is_empty(&queue));
    eng_queue_close(&queue);
}

static void an_emptied_queue_uses_the_same_memory_again(void)
{
    struct eng_queue queue;
    bool right = true;

    eng_queue_open(&queue);
    uint64_t bytes = queue.memory_bytes;
    const char *first = queue.at;
    for (uint64_t i = 0; i < 100000; i++) {
        frame_put(&queue, i, 64);
        CU_ASSERT_EQUAL_FATAL(frames_take(&queue, i, 1, &right), 1);
        CU_ASSERT_EQUAL_FATAL((const void *)queue.at, (const void *)first);
    }
    CU_ASSERT_TRUE(right);
    CU_ASSERT_EQUAL(queue.memory_bytes, bytes);
    eng_queue_close(&queue);
}

static void memory_of_a_flood_is_given_back(void)
{
    struct eng_queue queue;
    bool right = true;

    eng_queue_open(&queue);
    for (uint64_t i = 0; i < 100000; i++)
        frame_put(&queue, i, 1024);
    CU_ASSERT_TRUE(queue.memory_bytes >= 100000u * 1024u);
    CU_ASSERT_EQUAL(frames_take(&queue, 0, UINT64_MAX, &right), 100000);
    CU_ASSERT_TRUE(right);
    CU_ASSERT_TRUE(queue.memory_bytes <=
                   3 * (ENG_QUEUE_CHUNK_BYTES + sizeof(struct eng_queue_chunk)));
    eng_queue_close(&queue);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("engine/flow/queue", NULL, NULL);
    CU_ADD_TEST(suite, frames_come_out_in_order_at_any_size);
    CU_ADD_TEST(suite, an_emptied_queue_uses_the_same_memory_again);
    CU_ADD_TEST(suite, memory_of_a_flood_is_given_back);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
