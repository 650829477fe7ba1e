#include "engine/connector/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/check.h"

enum {
    DIAL_RETRY_NS = 1000 * 1000 * 1000,
    DIAL_HOST_BYTES = 256, /* a name has at most 253 */
    DIAL_PORT_BYTES = 32,
};

struct dial_parts {
    char host[DIAL_HOST_BYTES], port[DIAL_PORT_BYTES];
};

static bool dial_copy(char *to, size_t to_bytes, const char *from, size_t bytes)
{
    if (bytes == 0 || bytes >= to_bytes) return false;
    memcpy(to, from, bytes);
    to[bytes] = '\0';
    return true;
}

/* The last colon parts host and port; an IPv6 address has more of them and stands in brackets. */
static bool dial_split(const char *address, struct dial_parts *parts)
{
    const char *colon = strrchr(address, ':');
    const char *host = address, *end = colon;

    if (!colon) return false;
    if (*host == '[') {
        if (colon == address || colon[-1] != ']') return false;
        host++;
        end--;
    } else if (memchr(host, ':', (size_t)(colon - host))) {
        return false;
    }
    return dial_copy(parts->host, sizeof parts->host, host, (size_t)(end - host)) &&
           dial_copy(parts->port, sizeof parts->port, colon + 1, strlen(colon + 1));
}

bool eng_dial_address_good(const char *address, struct eng_reason *reason)
{
    struct dial_parts parts;

    if (dial_split(address, &parts)) return true;
    eng_reason_set(reason, "the address is not like localhost:9999 or [::1]:9999");
    return false;
}

int eng_dial_open(struct eng_dial *dial, const char *address, bool again, struct eng_reason *reason)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct dial_parts parts;

    *dial = (struct eng_dial){.address = address, .again = again, .fd = -1};
    if (!eng_dial_address_good(address, reason)) return -EINVAL;
    CHECK(dial_split(address, &parts));
    int result = getaddrinfo(parts.host, parts.port, &hints, &dial->addresses);
    if (result == 0) return 0;
    eng_reason_set(reason, "cannot find %s: %s", address,
                   result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
    dial->addresses = NULL;
    return -EHOSTUNREACH;
}

void eng_dial_hang_up(struct eng_dial *dial)
{
    if (dial->fd >= 0) close(dial->fd);
    dial->fd = -1;
    dial->current = NULL;
    dial->state = ENG_DIAL_CLOSED;
}

void eng_dial_lost(struct eng_dial *dial, uint64_t now_ns)
{
    eng_dial_hang_up(dial);
    dial->retry_ns = now_ns + DIAL_RETRY_NS;
    dial->state = ENG_DIAL_WAITING;
}

void eng_dial_close(struct eng_dial *dial)
{
    if (!dial->addresses) return;
    eng_dial_hang_up(dial);
    freeaddrinfo(dial->addresses);
    *dial = (struct eng_dial){.fd = -1};
}

/* Begins to connect to the current address. */
static void dial_begin(struct eng_dial *dial)
{
    const struct addrinfo *to = dial->current;
    int on = 1;

    dial->state = ENG_DIAL_CONNECTING;
    dial->fd =
        socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    if (dial->fd < 0) {
        dial->error = errno;
        return;
    }
    setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    dial->error = connect(dial->fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
}

/* 0: connected. EINPROGRESS: not yet. Else why not. */
static int dial_look(struct eng_dial *dial)
{
    struct pollfd wait = {.fd = dial->fd, .events = POLLOUT};
    socklen_t size = sizeof dial->error;

    if (dial->error != EINPROGRESS) return dial->error;
    if (poll(&wait, 1, 0) <= 0) return EINPROGRESS;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &dial->error, &size) < 0) dial->error = errno;
    return dial->error;
}

/* All addresses have been tried. */
static enum eng_dial_state dial_give_up(struct eng_dial *dial, uint64_t now_ns,
                                        struct eng_reason *reason)
{
    eng_reason_set(
        reason, "cannot connect to %s: %s; start the other side first, or write .reconnect = true",
        dial->address, strerror(dial->error));
    if (dial->again) {
        eng_dial_lost(dial, now_ns);
        return dial->state;
    }
    eng_dial_hang_up(dial);
    return dial->state = ENG_DIAL_FAILED;
}

enum eng_dial_state eng_dial_step(struct eng_dial *dial, uint64_t now_ns, struct eng_reason *reason)
{
    CHECK(dial->addresses != NULL);
    if (dial->state == ENG_DIAL_CONNECTED || dial->state == ENG_DIAL_FAILED) return dial->state;
    if (dial->state == ENG_DIAL_WAITING) {
        if (now_ns < dial->retry_ns) return ENG_DIAL_WAITING;
        dial->state = ENG_DIAL_CLOSED;
    }
    if (dial->state == ENG_DIAL_CLOSED) {
        dial->current = dial->addresses;
        dial_begin(dial);
    }
    for (;;) {
        CHECK(dial->state == ENG_DIAL_CONNECTING);
        int error = dial_look(dial);
        if (error == 0) return dial->state = ENG_DIAL_CONNECTED;
        if (error == EINPROGRESS) return ENG_DIAL_CONNECTING;
        if (dial->fd >= 0) close(dial->fd);
        dial->fd = -1;
        dial->current = dial->current->ai_next;
        if (!dial->current) return dial_give_up(dial, now_ns, reason);
        dial_begin(dial);
    }
}
