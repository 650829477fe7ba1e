/* engine/flow/watermark: the smallest of those that count, and never less than before.
 * Method: cases one can read, then random sayings against the definition computed afresh. */
#include "engine/flow/watermark.h"

#include <CUnit/Basic.h>
#include <stdlib.h>

static struct eng_watermark_input inputs[8];
static struct eng_watermark watermark;

static void the_smallest_counts_once_all_have_spoken(void)
{
    eng_watermark_open(&watermark, inputs, 2);
    CU_ASSERT_FALSE(eng_watermark_hear(&watermark, 0, 100));
    CU_ASSERT_EQUAL(watermark.watermark_us, ENG_WATERMARK_NONE);
    CU_ASSERT_TRUE(eng_watermark_hear(&watermark, 1, 50));
    CU_ASSERT_EQUAL(watermark.watermark_us, 50);
    CU_ASSERT_FALSE(eng_watermark_hear(&watermark, 0, 200));
    CU_ASSERT_TRUE(eng_watermark_hear(&watermark, 1, 150));
    CU_ASSERT_EQUAL(watermark.watermark_us, 150);
}

static void an_idle_input_is_left_out_until_it_speaks(void)
{
    eng_watermark_open(&watermark, inputs, 2);
    eng_watermark_hear(&watermark, 0, 100);
    CU_ASSERT_TRUE(eng_watermark_hear(&watermark, 1, ENG_WATERMARK_IDLE));
    CU_ASSERT_EQUAL(watermark.watermark_us, 100);
    /* It comes back far behind: the watermark waits for it, and does not fall. */
    CU_ASSERT_FALSE(eng_watermark_hear(&watermark, 1, 10));
    CU_ASSERT_EQUAL(watermark.watermark_us, 100);
    CU_ASSERT_FALSE(eng_watermark_hear(&watermark, 0, 300));
    CU_ASSERT_EQUAL(watermark.watermark_us, 100);
    CU_ASSERT_TRUE(eng_watermark_hear(&watermark, 1, 250));
    CU_ASSERT_EQUAL(watermark.watermark_us, 250);
}

static void all_idle_is_idle_and_one_that_speaks_ends_it(void)
{
    eng_watermark_open(&watermark, inputs, 2);
    eng_watermark_hear(&watermark, 0, 100);
    eng_watermark_hear(&watermark, 1, 100);
    CU_ASSERT_FALSE(eng_watermark_hear(&watermark, 0, ENG_WATERMARK_IDLE));
    CU_ASSERT_TRUE(eng_watermark_hear(&watermark, 1, ENG_WATERMARK_IDLE));
    CU_ASSERT_TRUE(watermark.idle);
    CU_ASSERT_EQUAL(watermark.watermark_us, 100);
    CU_ASSERT_TRUE(eng_watermark_hear(&watermark, 0, 120));
    CU_ASSERT_FALSE(watermark.idle);
    CU_ASSERT_EQUAL(watermark.watermark_us, 120);
}

static void who_became_idle_first_makes_no_difference(void)
{
    for (uint32_t first = 0; first < 2; first++) {
        eng_watermark_open(&watermark, inputs, 2);
        eng_watermark_hear(&watermark, 0, 1000);
        eng_watermark_hear(&watermark, 1, 50);
        eng_watermark_hear(&watermark, first, ENG_WATERMARK_IDLE);
        CU_ASSERT_EQUAL(watermark.watermark_us, first == 0 ? 50 : 1000);
        CU_ASSERT_TRUE(eng_watermark_hear(&watermark, 1 - first, ENG_WATERMARK_IDLE));
        CU_ASSERT_EQUAL(watermark.watermark_us, 1000);
        CU_ASSERT_TRUE(watermark.idle);
    }
}

static void an_input_that_has_ended_holds_nobody_back(void)
{
    eng_watermark_open(&watermark, inputs, 3);
    eng_watermark_hear(&watermark, 0, 100);
    eng_watermark_hear(&watermark, 1, 10);
    eng_watermark_hear(&watermark, 2, 50);
    CU_ASSERT_TRUE(eng_watermark_end(&watermark, 1));
    CU_ASSERT_EQUAL(watermark.watermark_us, 50);
    CU_ASSERT_TRUE(eng_watermark_end(&watermark, 2));
    CU_ASSERT_EQUAL(watermark.watermark_us, 100);
    /* Stopped, not drained: the end raises nothing. */
    CU_ASSERT_FALSE(eng_watermark_end(&watermark, 0));
    CU_ASSERT_EQUAL(watermark.watermark_us, 100);
}

static void infinity_of_all_is_infinity(void)
{
    eng_watermark_open(&watermark, inputs, 2);
    eng_watermark_hear(&watermark, 0, ENG_WATERMARK_END);
    eng_watermark_end(&watermark, 0);
    eng_watermark_hear(&watermark, 1, ENG_WATERMARK_END);
    CU_ASSERT_EQUAL(watermark.watermark_us, ENG_WATERMARK_END);
}

/* The definition, from what was said. */
static int64_t definition(uint32_t count)
{
    int64_t smallest = ENG_WATERMARK_END, largest = ENG_WATERMARK_NONE;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        if (inputs[i].ended) continue;
        if (inputs[i].watermark_us > largest) largest = inputs[i].watermark_us;
        if (inputs[i].idle) continue;
        any = true;
        if (inputs[i].watermark_us < smallest) smallest = inputs[i].watermark_us;
    }
    return any ? smallest : largest;
}

static void random_sayings_agree_with_the_definition(void)
{
    srand(1);
    for (int round = 0; round < 2000; round++) {
        uint32_t count = 1 + (uint32_t)rand() % 8, ended = 0;
        int64_t highest = ENG_WATERMARK_NONE;
        eng_watermark_open(&watermark, inputs, count);
        for (int say = 0; say < 100 && ended + 1 < count; say++) {
            uint32_t input = (uint32_t)rand() % count;
            int what = rand() % 20;
            if (inputs[input].ended) continue;
            int64_t before = watermark.watermark_us;
            bool idle_before = watermark.idle, news;
            if (what == 0) {
                news = eng_watermark_end(&watermark, input);
                ended++;
            } else {
                news = eng_watermark_hear(&watermark, input,
                                          what < 4 ? ENG_WATERMARK_IDLE : rand() % 1000 + say * 10);
            }
            int64_t now = definition(count);
            if (now > highest) highest = now;
            CU_ASSERT_EQUAL_FATAL(watermark.watermark_us, highest);
            CU_ASSERT_EQUAL_FATAL(news, before != watermark.watermark_us ||
                                            idle_before != watermark.idle);
        }
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("engine/flow/watermark", NULL, NULL);
    CU_ADD_TEST(suite, the_smallest_counts_once_all_have_spoken);
    CU_ADD_TEST(suite, an_idle_input_is_left_out_until_it_speaks);
    CU_ADD_TEST(suite, all_idle_is_idle_and_one_that_speaks_ends_it);
    CU_ADD_TEST(suite, who_became_idle_first_makes_no_difference);
    CU_ADD_TEST(suite, an_input_that_has_ended_holds_nobody_back);
    CU_ADD_TEST(suite, infinity_of_all_is_infinity);
    CU_ADD_TEST(suite, random_sayings_agree_with_the_definition);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
