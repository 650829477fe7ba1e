/* The other side of a connection, for cli_connector_tcp_test.sh: listens on a port of 127.0.0.1
 * that the kernel chooses, writes it to the file PORT, and serves one connection after the other:
 *
 *   peer PORT send FILE       sends the file and closes
 *   peer PORT cut FILE N      sends the first N bytes and closes; to the next one the rest
 *   peer PORT take FILE       writes to the file what comes, until the other side closes
 *   peer PORT slow FILE       the same, but reads nothing in the first second
 *   peer PORT leave           closes when the first bytes have come
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(bool good, const char *what)
{
    if (good) return;
    perror(what);
    exit(1);
}

static int peer_listen(const char *port_file)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char hidden[4096];

    must(fd >= 0, "socket");
    must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(listen(fd, 8) == 0, "listen");
    must(getsockname(fd, (struct sockaddr *)&address, &bytes) == 0, "getsockname");
    snprintf(hidden, sizeof hidden, "%s.tmp", port_file);
    FILE *file = fopen(hidden, "w");
    must(file != NULL, hidden);
    fprintf(file, "%d\n", ntohs(address.sin_port));
    must(fclose(file) == 0 && rename(hidden, port_file) == 0, port_file);
    return fd;
}

static int peer_accept(int listener)
{
    int fd = accept(listener, NULL, NULL);
    must(fd >= 0, "accept");
    return fd;
}

/* Up to `bytes` of what the file has left; then closes. */
static void peer_send(int fd, FILE *file, size_t bytes)
{
    char piece[65536];
    size_t got;

    while (bytes > 0 &&
           (got = fread(piece, 1, bytes < sizeof piece ? bytes : sizeof piece, file)) > 0) {
        must(send(fd, piece, got, MSG_NOSIGNAL) == (ssize_t)got, "send");
        bytes -= got;
    }
    close(fd);
}

static void peer_take(int fd, const char *path)
{
    char piece[65536];
    ssize_t got;
    FILE *file = fopen(path, "w");

    must(file != NULL, path);
    while ((got = read(fd, piece, sizeof piece)) > 0)
        must(fwrite(piece, 1, (size_t)got, file) == (size_t)got, path);
    must(got == 0 && fclose(file) == 0, "read");
    close(fd);
}

int main(int argc, char **argv)
{
    must(argc >= 3, "usage: peer PORT send|cut|take|slow|leave ...");
    const char *how = argv[2];
    bool sends = strcmp(how, "send") == 0 || strcmp(how, "cut") == 0;
    FILE *file = sends ? fopen(argv[3], "r") : NULL;
    int listener = peer_listen(argv[1]);
    int fd = peer_accept(listener);

    if (sends) {
        must(file != NULL, argv[3]);
        bool cut = strcmp(how, "cut") == 0;
        peer_send(fd, file, cut ? (size_t)atol(argv[4]) : SIZE_MAX);
        if (cut) peer_send(peer_accept(listener), file, SIZE_MAX);
        fclose(file);
    } else if (strcmp(how, "leave") == 0) {
        char byte;
        must(read(fd, &byte, 1) == 1, "read");
        close(fd);
    } else {
        if (strcmp(how, "slow") == 0) sleep(1);
        peer_take(fd, argv[3]);
    }
    return 0;
}
