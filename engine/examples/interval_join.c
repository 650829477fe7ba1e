/* interval_join: bids that came within ten seconds after their auction opened.
 *
 *   penstock run ./interval_join.so -- --events nexmark.csv.gz
 *
 * Shows: two streams from one reader, and an interval join. Each bid meets the auction that it is
 * for if their event times are close, whichever of the two arrives first; what is too old to match
 * anything is dropped.
 */
#include "nexmark.h"

struct early_bid {
    int64_t auction;
    int64_t bidder;
    int64_t price;
    int64_t after_us; /* since the auction opened */
    pen_string item_name;
};
PEN_RECORD(early_bid, auction, bidder, price, after_us, item_name);

static void match(pen_context *ctx, const struct auction *auction, const struct bid *bid)
{
    pen_emit(ctx, early_bid, .auction = auction->id, .bidder = bid->bidder, .price = bid->price,
             .after_us = pen_time_since(bid->at, auction->at),
             .item_name = pen_put(ctx, &auction->item_name));
}
PEN_JOIN(match, auction, bid, early_bid);

void pen_job(pen_graph *graph)
{
    const char *out = pen_arg_text(graph, "out", "-", "file to write; - is standard output");
    struct nexmark nexmark = nexmark_open(graph);

    pen_stream early =
        pen_interval_join(pen_key_by(nexmark.auctions, "id"), pen_key_by(nexmark.bids, "auction"),
                          match, .id = "early", .from = 0, .to = PEN_SECONDS(10));
    pen_write_json(early, out);
}
