/* silent_sensor_test: a unit test of silent_sensor.c under virtual time, with CUnit.
 *
 *   cc silent_sensor_test.c -lpenstock -lcunit && ./a.out
 *
 * Nothing moves but what a test pushes, time included: five silent minutes take microseconds and
 * end the same way every time.
 */
#include <CUnit/Basic.h>

#include <penstock/test.h>

#include "silent_sensor.c" /* what is tested is static there */

static pen_test *test;
static pen_stream readings, alerts;

static void open_test(void)
{
    test = pen_test_open();
    readings = pen_test_input(test, reading, "at");
    alerts = pen_test_output(test, watch(readings));
    pen_test_start(test);
}

static void close_test(void)
{
    pen_test_close(test);
}

static pen_time minute(int64_t minutes)
{
    return pen_time_plus((pen_time){0}, PEN_MINUTES(minutes));
}

static void a_sensor_that_speaks_is_not_reported(void)
{
    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(0));
    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(4));
    pen_test_watermark(test, readings, minute(8));
    CU_ASSERT_PTR_NULL(pen_test_next(test, alerts, alert));
}

static void silence_is_reported_once_and_so_is_its_end(void)
{
    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(0));
    pen_test_watermark(test, readings, minute(60));

    const struct alert *silence = pen_test_next(test, alerts, alert);
    CU_ASSERT_PTR_NOT_NULL_FATAL(silence);
    CU_ASSERT_EQUAL(silence->sensor, 7);
    CU_ASSERT_TRUE(silence->silent);
    CU_ASSERT_PTR_NULL(pen_test_next(test, alerts, alert));

    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(61));
    const struct alert *back = pen_test_next(test, alerts, alert);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    CU_ASSERT_FALSE(back->silent);
    CU_ASSERT_EQUAL(pen_test_state(test, "hear", sensor, pen_int(7))->readings, 2);
}

static void five_minutes_are_counted_from_the_latest_reading(void)
{
    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(3));
    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(1)); /* out of order */
    pen_test_watermark(test, readings, pen_time_plus(minute(8), -1));
    CU_ASSERT_PTR_NULL(pen_test_next(test, alerts, alert));
    pen_test_watermark(test, readings, minute(8));
    const struct alert *silence = pen_test_next(test, alerts, alert);
    CU_ASSERT_PTR_NOT_NULL_FATAL(silence);
    CU_ASSERT_EQUAL(silence->heard_at.us, minute(3).us);
}

static void sensors_are_told_apart(void)
{
    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(0));
    pen_test_push(test, readings, reading, .sensor = 8, .at = minute(4));
    pen_test_watermark(test, readings, minute(6));
    CU_ASSERT_EQUAL(pen_test_next(test, alerts, alert)->sensor, 7);
    CU_ASSERT_PTR_NULL(pen_test_next(test, alerts, alert));
    CU_ASSERT_FALSE(pen_test_state(test, "hear", sensor, pen_int(8))->silent);
}

static void a_sensor_is_forgotten_after_a_week(void)
{
    pen_test_push(test, readings, reading, .sensor = 7, .at = minute(0));
    pen_test_watermark(test, readings, pen_time_plus(minute(0), PEN_DAYS(8)));
    CU_ASSERT_PTR_NOT_NULL(pen_test_next(test, alerts, alert)); /* its silence came before that */
    CU_ASSERT_PTR_NULL(pen_test_state(test, "hear", sensor, pen_int(7)));
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite =
        CU_add_suite_with_setup_and_teardown("silent_sensor", NULL, NULL, open_test, close_test);
    CU_ADD_TEST(suite, a_sensor_that_speaks_is_not_reported);
    CU_ADD_TEST(suite, silence_is_reported_once_and_so_is_its_end);
    CU_ADD_TEST(suite, five_minutes_are_counted_from_the_latest_reading);
    CU_ADD_TEST(suite, sensors_are_told_apart);
    CU_ADD_TEST(suite, a_sensor_is_forgotten_after_a_week);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures == 0 ? 0 : 1;
}
