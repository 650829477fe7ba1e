/* first_job: a first job, in five minutes. Departures that were more than four hours late.
 *
 *   penstock run ./first_job.so -- --flights flights-2013.csv.gz
 *
 * A record is a struct. PEN_RECORD lists its fields, so that a reader can fill it from the columns
 * of the same names; columns that are no field are left out.
 *
 * A function is about one record, and the line under it says what it is: is_late keeps or drops a
 * record, tell makes one of another type. pen_job wires them together.
 */
#include <penstock.h>

struct flight {
    pen_time scheduled_at;
    pen_code carrier;
    pen_code origin;
    pen_code dest;
    pen_opt_int32 dep_delay_min; /* null when the flight was cancelled */
};
PEN_RECORD(flight, scheduled_at, carrier, origin, dest, dep_delay_min);

struct late_flight {
    pen_time scheduled_at;
    pen_string what;
    double hours_late;
};
PEN_RECORD(late_flight, scheduled_at, what, hours_late);

static bool is_late(const struct flight *flight)
{
    return flight->dep_delay_min.present && flight->dep_delay_min.value > 4 * 60;
}
PEN_FILTER(is_late, flight);

static void tell(pen_context *ctx, const struct flight *flight)
{
    pen_emit(ctx, late_flight, .scheduled_at = flight->scheduled_at,
             .what = pen_putf(ctx, "%.8s from %.8s to %.8s", flight->carrier.text,
                              flight->origin.text, flight->dest.text),
             .hours_late = flight->dep_delay_min.value / 60.0);
}
PEN_MAP(tell, flight, late_flight);

void pen_job(pen_graph *graph)
{
    const char *path = pen_arg_text(graph, "flights", NULL, "CSV file of flights");

    pen_stream flights = pen_read_csv(graph, flight, path);
    pen_stream late = pen_filter(flights, is_late);
    pen_print(pen_map(late, tell));
}
