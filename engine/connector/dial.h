/* engine/connector/dial.h: a TCP connection to somebody, made without waiting.
 *
 *                  refused, unreachable: the next address, then
 *              +---------------- WAITING <---------------+      (fails instead, without `again`)
 *              v   a second has passed                   |
 *     CLOSED --+--> CONNECTING --------------------------+--> CONNECTED
 *        ^          eng_dial_step                                 |
 *        +--------------------------------------------------------+
 *                            eng_dial_hang_up
 *
 * Names are looked up when the dial is opened, which may take as long as a name server; everything
 * after that returns at once. Sources and sinks that use one call eng_dial_step whenever they are
 * called, until it says that they are connected.
 */
#ifndef ENG_CONNECTOR_DIAL_H
#define ENG_CONNECTOR_DIAL_H

#include "engine/record/reason.h"

enum eng_dial_state {
    ENG_DIAL_CLOSED,
    ENG_DIAL_CONNECTING,
    ENG_DIAL_WAITING,
    ENG_DIAL_CONNECTED,
    ENG_DIAL_FAILED, /* reason says why */
};

struct addrinfo;

struct eng_dial {
    const char *address; /* host:port, [::1]:port; the caller's, stays */
    bool again;          /* tries for ever */
    enum eng_dial_state state;
    int fd; /* -1: none. Does not block */
    struct addrinfo *addresses, *current;
    uint64_t retry_ns; /* WAITING: when to try again */
    int error;         /* of the last try */
};

/* Whether the text is host:port; for a graph. */
bool eng_dial_address_good(const char *address, struct eng_reason *reason);

/* 0, or -errno with a reason; then nothing is open. */
int eng_dial_open(struct eng_dial *dial, const char *address, bool again,
                  struct eng_reason *reason);
enum eng_dial_state eng_dial_step(struct eng_dial *dial, uint64_t now_ns,
                                  struct eng_reason *reason);
void eng_dial_hang_up(struct eng_dial *dial); /* then eng_dial_step connects anew */
/* The other side has gone: hang up, and with `again` let a second pass before the next try. */
void eng_dial_lost(struct eng_dial *dial, uint64_t now_ns);
void eng_dial_close(struct eng_dial *dial); /* accepts zeros */

#endif
