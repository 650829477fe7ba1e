/* nexmark.h: what happens at an auction house, for the examples that are about it: the records of
 * the Nexmark benchmark, and one reader for two kinds of them. */
#ifndef EXAMPLES_NEXMARK_H
#define EXAMPLES_NEXMARK_H

#include <penstock.h>

struct auction {
    int64_t id;
    pen_string item_name;
    pen_string description;
    int64_t initial_bid;
    int64_t reserve;
    pen_time at;
    pen_time expires;
    int64_t seller;
    int64_t category;
    pen_string extra;
};
PEN_RECORD(auction, id, item_name, description, initial_bid, reserve, at, expires, seller, category,
           extra);

struct bid {
    int64_t auction;
    int64_t bidder;
    int64_t price;
    pen_string channel;
    pen_string url;
    pen_time at;
    pen_string extra;
};
PEN_RECORD(bid, auction, bidder, price, channel, url, at, extra);

struct nexmark {
    pen_stream bids;
    pen_stream auctions;
};

enum { NEXMARK_AUCTIONS = 1 }; /* side output; bids are the main one */

/* The first column of a line says what follows: 0 a person, 1 an auction, 2 a bid. */
static inline void nexmark_sort(pen_context *ctx, const struct pen_line *line)
{
    pen_view rest = pen_view_of(&line->text);
    pen_view kind;

    if (!pen_view_field(&rest, ",", &kind)) return;
    if (pen_text_equal(kind, "1")) pen_emit_csv(ctx, NEXMARK_AUCTIONS, auction, rest);
    if (pen_text_equal(kind, "2")) pen_emit_csv(ctx, PEN_MAIN, bid, rest);
}
PEN_MAP(nexmark_sort, pen_line, bid);

/* Events come up to four seconds out of order. */
static inline struct nexmark nexmark_open(pen_graph *graph)
{
    const char *path = pen_arg_text(graph, "events", NULL, "CSV file of auction house events");
    struct nexmark nexmark;
    pen_stream auctions;

    pen_stream lines = pen_read_lines(graph, path);
    pen_stream bids =
        pen_map(lines, nexmark_sort, .side = PEN_SIDES(PEN_SIDE("auctions", auction, &auctions)));

    nexmark.bids = pen_event_time(bids, "at", .out_of_order = PEN_SECONDS(4));
    nexmark.auctions = pen_event_time(auctions, "at", .out_of_order = PEN_SECONDS(4));
    return nexmark;
}

#endif
