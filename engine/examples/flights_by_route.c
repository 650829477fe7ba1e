/* flights_by_route: flights, cancellations and distance for each route.
 *
 *   penstock run ./flights_by_route.so -- --flights flights-2013.csv.gz --out routes
 *
 * Shows: a CSV reader driven by the record's fields, fields that may be null, a key of two fields,
 * and an updating stream in files: the column `op` says what each row does to the one before it.
 */
#include "flight.h"

struct route {
    pen_code origin;
    pen_code dest;
    int64_t flights;
    int64_t departed;            /* counts the flights that have a delay, so not the cancelled */
    pen_opt_double mean_air_min; /* null while no flight of the route has arrived */
    int64_t distance_mi;
};
PEN_RECORD(route, origin, dest, flights, departed, mean_air_min, distance_mi);

void pen_job(pen_graph *graph)
{
    const char *path = pen_arg_text(graph, "flights", NULL, "CSV file of flights");
    const char *out = pen_arg_text(graph, "out", "-",
                                   "directory or file to write; - is standard "
                                   "output");

    pen_stream flights = pen_read_csv(graph, flight, path);
    pen_stream routes =
        pen_aggregate(pen_key_by(flights, "origin", "dest"), route, .id = "routes",
                      .aggregates = PEN_AGGREGATES(pen_count("flights"),
                                                   pen_count_of("dep_delay_min", "departed"),
                                                   pen_mean("air_time_min", "mean_air_min"),
                                                   pen_sum("distance_mi", "distance_mi")));
    pen_write_csv(routes, out, .row_column = "op");
}
