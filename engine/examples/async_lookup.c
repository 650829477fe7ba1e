/* async_lookup: orders are completed with the customer's name from a slow directory.
 *
 *   penstock run ./async_lookup.so -- --orders orders.csv --directory customers --delay 20ms
 *
 * Shows: a look-up that blocks. It is ordinary code: the engine runs it in helper processes, up to
 * `.in_flight` of them for each worker, so the stream never waits for one slow answer, and a client
 * library need not know of threads. Results come in the order of the orders. A look-up that takes
 * more than two seconds is given up with its process, tried again, and after the third try its
 * order goes to the dead letters.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <penstock.h>

struct order {
    pen_time at;
    int64_t customer;
    int64_t cents;
};
PEN_RECORD(order, at, customer, cents);

struct named_order {
    pen_time at;
    int64_t customer;
    int64_t cents;
    pen_opt_string name; /* null: nobody knows the customer */
};
PEN_RECORD(named_order, at, customer, cents, name);

struct directory {
    const char *path; /* of a directory with a file for each customer, named by its number */
    pen_duration delay;
};

static void look_up(pen_context *ctx, const struct order *order)
{
    const struct directory *directory = pen_user(ctx);
    struct timespec delay = {directory->delay / 1000000, directory->delay % 1000000 * 1000};
    const char *path = pen_format(ctx, "%s/%lld", directory->path, (long long)order->customer);
    char name[256] = "";
    struct named_order out = {.at = order->at, .customer = order->customer, .cents = order->cents};

    nanosleep(&delay, NULL);
    FILE *file = fopen(path, "re");
    if (!file && errno != ENOENT) {
        pen_fail(ctx, "cannot read %s: %s", path, strerror(errno));
        return;
    }
    if (file) {
        if (fgets(name, sizeof name, file)) {
            name[strcspn(name, "\n")] = '\0';
            out.name = (pen_opt_string){pen_put(ctx, name), true};
        }
        fclose(file);
    }
    pen_send(ctx, named_order, &out);
}
PEN_MAP(look_up, order, named_order);

void pen_job(pen_graph *graph)
{
    static struct directory directory;
    const char *orders_path = pen_arg_text(graph, "orders", NULL, "CSV file of orders");

    directory.path = pen_arg_text(graph, "directory", NULL, "one file a customer");
    directory.delay = pen_arg_duration(graph, "delay", 0, "how slow it is, to try this out");

    pen_stream orders = pen_read_csv(graph, order, orders_path);
    pen_stream named = pen_async(orders, look_up, .user = &directory, .in_flight = 32,
                                 .timeout = PEN_SECONDS(2), .tries = 3, .ordered = true);
    pen_print(named, .format = PEN_JSON);
}
