/* weather_join: each departure with the weather that was known at its airport at that time.
 *
 *   penstock run ./weather_join.so -- --flights flights-2013.csv.gz --weather weather-2013.csv.gz
 *
 * Shows: a temporal join. The right side is a history of versions; the left side asks for the one
 * that was valid at its own event time, whatever the order in which the two arrived.
 */
#include "flight.h"

struct weather {
    pen_time observed_at;
    pen_code origin;
    pen_opt_double temp_f;
    pen_opt_double wind_mph;
    pen_opt_double visibility_mi;
};
PEN_RECORD(weather, observed_at, origin, temp_f, wind_mph, visibility_mi);

struct flown {
    pen_time scheduled_at;
    pen_code carrier;
    int32_t flight;
    pen_code origin;
    pen_opt_int32 dep_delay_min;
    pen_opt_time observed_at; /* null: nothing was observed in the hours before */
    pen_opt_double wind_mph;
    pen_opt_double visibility_mi;
};
PEN_RECORD(flown, scheduled_at, carrier, flight, origin, dep_delay_min, observed_at, wind_mph,
           visibility_mi);

/* weather is NULL when nothing was observed in the hours before. */
static void add_weather(pen_context *ctx, const struct flight *flight,
                        const struct weather *weather)
{
    struct flown flown = {
        .scheduled_at = flight->scheduled_at,
        .carrier = flight->carrier,
        .flight = flight->flight,
        .origin = flight->origin,
        .dep_delay_min = flight->dep_delay_min,
    };
    if (weather) {
        flown.observed_at = (pen_opt_time){weather->observed_at, true};
        flown.wind_mph = weather->wind_mph;
        flown.visibility_mi = weather->visibility_mi;
    }
    pen_send(ctx, flown, &flown);
}
PEN_JOIN(add_weather, flight, weather, flown);

void pen_job(pen_graph *graph)
{
    const char *flights_path = pen_arg_text(graph, "flights", NULL, "CSV file of flights");
    const char *weather_path = pen_arg_text(graph, "weather", NULL, "CSV file of observations");
    const char *out = pen_arg_text(graph, "out", "-", "file to write; - is standard output");

    pen_stream flights = pen_event_time(pen_read_csv(graph, flight, flights_path), "scheduled_at");
    pen_stream weather = pen_event_time(pen_read_csv(graph, weather, weather_path), "observed_at");

    pen_stream joined =
        pen_temporal_join(pen_key_by(flights, "origin"), pen_key_by(weather, "origin"), add_weather,
                          .id = "weather", .outer = PEN_OUTER_LEFT, .valid_for = PEN_HOURS(3));
    pen_write_csv(joined, out);
}
