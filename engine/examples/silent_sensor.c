/* silent_sensor: an alert when a sensor says nothing for five minutes, and when it is back.
 *
 *   penstock run ./silent_sensor.so -- --readings readings.json
 *
 * Shows: a function with state and a timer for each key, and state that expires. The part between
 * source and sink is a function of streams, so that silent_sensor_test.c can test it.
 */
#include <penstock.h>

struct reading {
    pen_time at;
    int64_t sensor;
    double value;
};
PEN_RECORD(reading, at, sensor, value);

/* What is remembered of one sensor. A sensor not heard before has all zeros. */
struct sensor {
    pen_time heard_at;
    int64_t readings;
    bool silent;
};
PEN_RECORD(sensor, heard_at, readings, silent);

struct alert {
    int64_t sensor;
    pen_time heard_at;
    bool silent;
};
PEN_RECORD(alert, sensor, heard_at, silent);

enum { SILENCE }; /* our one timer; with more, pen_timer(ctx) says which one fired */

static void hear(pen_context *ctx, const struct reading *reading, struct sensor *sensor)
{
    if (sensor->silent)
        pen_emit(ctx, alert, .sensor = reading->sensor, .heard_at = reading->at, .silent = false);
    sensor->silent = false;
    sensor->readings++;
    if (pen_time_before(sensor->heard_at, reading->at)) sensor->heard_at = reading->at;

    /* Setting a timer again moves it. */
    pen_timer_set(ctx, SILENCE, pen_time_plus(sensor->heard_at, PEN_MINUTES(5)));
}
PEN_PROCESS(hear, reading, sensor, alert);

static void miss(pen_context *ctx, struct sensor *sensor)
{
    sensor->silent = true;
    pen_emit(ctx, alert, .sensor = pen_key_int(ctx, 0), .heard_at = sensor->heard_at,
             .silent = true);
}
PEN_TIMER(miss, sensor);

static pen_stream watch(pen_stream readings)
{
    return pen_process(pen_key_by(readings, "sensor"), hear, .id = "hear", .on_timer = PEN_FN(miss),
                       .ttl = PEN_DAYS(7));
}

void pen_job(pen_graph *graph)
{
    const char *path = pen_arg_text(graph, "readings", NULL, "JSON lines: at, sensor, value");

    pen_stream readings =
        pen_event_time(pen_read_json(graph, reading, path), "at", .out_of_order = PEN_SECONDS(10));
    pen_print(watch(readings));
}
