/* flights: which routes out of New York are the worst, by carrier?
 *
 *   penstock run ./flights.so -- --flights flights-2013.csv.gz --limit 20
 *
 * For each route (origin and dest) and carrier: departures, cancelled flights, mean and worst
 * delay. The stream of results is updating: whenever a route's figures change, a row takes the
 * place of the one before. At the end `show` prints the routes with the worst mean delay as a
 * table.
 *
 *   flights.csv -> worker 0 --\  /-> worker 0: EWR-IAH UA, ... -\
 *                              ><                                >-> show: one table
 *   flights.csv -> worker 1 --/  \-> worker 1: JFK-SFO DL, ... -/
 *
 * Shows: optional fields, a key of three fields, aggregates as data, an argument, and a sink of
 * one's own that folds an updating stream. A sink belongs to the outside world, so it may use what
 * C has: memory, qsort, stdio. It runs in a process of its own (.blocking), since a terminal may be
 * slow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flight.h"

struct route {
    pen_code origin;
    pen_code dest;
    pen_code carrier;
    int64_t departures; /* flights that have a delay, early ones included */
    int64_t flights;    /* the cancelled ones too */
    pen_opt_double mean_delay_min;
    pen_opt_int32 worst_delay_min;
};
PEN_RECORD(route, origin, dest, carrier, departures, flights, mean_delay_min, worst_delay_min);

/* ---- The table ------------------------------------------------------------------------------- */

struct settings {
    int64_t limit;
    int64_t least; /* departures that a route must have to be shown */
};

/* The newest row of each route. There are some hundred routes: looking through them all is quick,
 * but a table by hash is as short, and stays quick when there are more. */
struct table {
    struct route *routes; /* a power of two of places; a free one has no carrier */
    size_t count, room;
};

static size_t place_of(const struct table *table, const struct route *route)
{
    uint64_t words[3], hash = 0;

    memcpy(&words[0], &route->origin, 8);
    memcpy(&words[1], &route->dest, 8);
    memcpy(&words[2], &route->carrier, 8);
    for (int i = 0; i < 3; i++)
        hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u ^ hash >> 29;
    for (size_t place = (hash >> 32) & (table->room - 1);;
         place = (place + 1) & (table->room - 1)) {
        const struct route *other = &table->routes[place];
        if (other->carrier.text[0] == '\0') return place;
        if (pen_code_equal(other->origin, route->origin) &&
            pen_code_equal(other->dest, route->dest) &&
            pen_code_equal(other->carrier, route->carrier))
            return place;
    }
}

static bool grow(struct table *table)
{
    struct table larger = {.room = table->room ? 2 * table->room : 1024};

    larger.routes = calloc(larger.room, sizeof *larger.routes);
    if (!larger.routes) return false;
    for (size_t i = 0; i < table->room; i++)
        if (table->routes[i].carrier.text[0] != '\0')
            larger.routes[place_of(&larger, &table->routes[i])] = table->routes[i];
    larger.count = table->count;
    free(table->routes);
    *table = larger;
    return true;
}

/* Rows are inserted and updated, never deleted: a route that has flights keeps them. */
static enum pen_taken show(pen_context *ctx, const struct route *route)
{
    struct table *table = pen_local(ctx, sizeof *table);

    if (pen_row(ctx) == PEN_UPDATE_BEFORE) return PEN_TAKEN; /* the row after it says all */
    if (2 * table->count >= table->room && !grow(table)) {
        pen_fail(ctx, "out of memory with %zu routes", table->count);
        return PEN_TAKEN;
    }
    struct route *place = &table->routes[place_of(table, route)];
    if (place->carrier.text[0] == '\0') table->count++;
    *place = *route;
    return PEN_TAKEN;
}
PEN_SINK(show, route);

/* The worst first, those of which nothing ever left last. Equal ones by name, so that every run
 * prints the same. */
static int by_delay(const void *a_, const void *b_)
{
    const struct route *a = a_, *b = b_;

    if (a->mean_delay_min.present != b->mean_delay_min.present)
        return a->mean_delay_min.present ? -1 : 1;
    if (a->mean_delay_min.value != b->mean_delay_min.value)
        return a->mean_delay_min.value < b->mean_delay_min.value ? 1 : -1;
    int order = memcmp(&a->origin, &b->origin, sizeof a->origin);
    if (order == 0) order = memcmp(&a->dest, &b->dest, sizeof a->dest);
    return order ? order : memcmp(&a->carrier, &b->carrier, sizeof a->carrier);
}

static void print_route(size_t rank, const struct route *route)
{
    char mean[32] = "-", worst[32] = "-"; /* no flight has ever left */

    if (route->mean_delay_min.present)
        snprintf(mean, sizeof mean, "%.1f min", route->mean_delay_min.value);
    if (route->worst_delay_min.present)
        snprintf(worst, sizeof worst, "%d min", route->worst_delay_min.value);
    printf("%4zu  %-6.8s  %-4.8s  %-7.8s  %10lld  %9lld  %10s  %11s\n", rank, route->origin.text,
           route->dest.text, route->carrier.text, (long long)route->departures,
           (long long)(route->flights - route->departures), mean, worst);
}

static void print_routes(const struct table *table, size_t count, const struct settings *settings)
{
    size_t shown = settings->limit < (int64_t)count ? (size_t)settings->limit : count;

    printf("Routes and carriers with the worst mean delay of departure: %zu of %zu with %lld "
           "departures or more\n\n",
           shown, count, (long long)settings->least);
    printf("%4s  %-6s  %-4s  %-7s  %10s  %9s  %10s  %11s\n", "rank", "origin", "dest", "carrier",
           "departures", "cancelled", "mean delay", "worst delay");
    for (size_t i = 0; i < shown; i++)
        print_route(i + 1, &table->routes[i]);
}

/* Called when the input has ended and every row has been written; not when the job fails. */
static void print_table(pen_context *ctx)
{
    struct table *table = pen_local(ctx, sizeof *table);
    const struct settings *settings = pen_user(ctx);
    size_t count = 0;
    int64_t flights = 0, departures = 0;

    for (size_t i = 0; i < table->room; i++) {
        struct route route = table->routes[i];
        if (route.carrier.text[0] == '\0') continue;
        flights += route.flights;
        departures += route.departures;
        if (route.departures >= settings->least) table->routes[count++] = route;
    }
    if (count > 0) qsort(table->routes, count, sizeof *table->routes, by_delay);
    print_routes(table, count, settings);
    printf("\nAll %zu routes: %lld flights, %lld departures, %lld cancelled\n", table->count,
           (long long)flights, (long long)departures, (long long)(flights - departures));
    if (fflush(stdout) != 0 || ferror(stdout))
        pen_fail(ctx, "cannot write the table to standard output");
    free(table->routes);
}

/* ---- The job --------------------------------------------------------------------------------- */

void pen_job(pen_graph *graph)
{
    static struct settings settings; /* read by `show`, in a copy of its own */
    const char *path = pen_arg_text(graph, "flights", NULL, "CSV file of flights");

    settings.limit = pen_arg_int(graph, "limit", 20, "routes to show");
    settings.least = pen_arg_int(graph, "least", 100, "departures that a route must have");
    if (settings.limit < 0) settings.limit = 0;

    pen_stream flights = pen_read_csv(graph, flight, path);
    pen_stream routes =
        pen_aggregate(pen_key_by(flights, "origin", "dest", "carrier"), route, .id = "routes",
                      .aggregates = PEN_AGGREGATES(pen_count_of("dep_delay_min", "departures"),
                                                   pen_count("flights"),
                                                   pen_mean("dep_delay_min", "mean_delay_min"),
                                                   pen_max("dep_delay_min", "worst_delay_min")));
    pen_sink(routes, show, .takes_updates = true, .blocking = true, .parallelism = 1,
             .close = print_table, .user = &settings);
}
