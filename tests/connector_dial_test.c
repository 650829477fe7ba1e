/* Connecting without waiting: to somebody, to nobody, again. */
#include "engine/connector/dial.h"

#include <CUnit/Basic.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/check.h"

/* Somebody who listens on a port of the kernel's choice; *address says where. */
static int listener(int family, char *address, size_t address_bytes)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_six = family == AF_INET6;
    struct sockaddr *name = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;
    socklen_t bytes = is_six ? sizeof six : sizeof four;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, name, bytes) < 0 || listen(fd, 4) < 0) {
        close(fd);
        return -1;
    }
    CHECK(getsockname(fd, name, &bytes) == 0);
    snprintf(address, address_bytes, is_six ? "[::1]:%u" : "127.0.0.1:%u",
             ntohs(is_six ? six.sin6_port : four.sin_port));
    return fd;
}

static enum eng_dial_state step_until_settled(struct eng_dial *dial, uint64_t now_ns,
                                              struct eng_reason *reason)
{
    enum eng_dial_state state;

    for (unsigned i = 0; i < 1000; i++) {
        state = eng_dial_step(dial, now_ns, reason);
        if (state != ENG_DIAL_CONNECTING) return state;
        poll(NULL, 0, 1);
    }
    return state;
}

static void connects_to_who_listens(void)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (unsigned i = 0; i < 2; i++) {
        char address[64];
        struct eng_dial dial;
        struct eng_reason reason;
        int fd = listener(families[i], address, sizeof address);

        if (fd < 0 && families[i] == AF_INET6) continue; /* a machine without IPv6 */
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL_FATAL(eng_dial_open(&dial, address, false, &reason), 0);
        CU_ASSERT_EQUAL(step_until_settled(&dial, 1, &reason), ENG_DIAL_CONNECTED);
        CU_ASSERT(dial.fd >= 0);
        int accepted = accept(fd, NULL, NULL);
        CU_ASSERT(accepted >= 0);
        CU_ASSERT_EQUAL(send(dial.fd, "x", 1, 0), 1);
        eng_dial_close(&dial);
        CU_ASSERT_EQUAL(dial.fd, -1);
        close(accepted);
        close(fd);
    }
}

static void nobody_there_is_a_failure_with_advice(void)
{
    char address[64];
    struct eng_dial dial;
    struct eng_reason reason;
    int fd = listener(AF_INET, address, sizeof address);

    close(fd); /* the port is free again */
    CU_ASSERT_EQUAL_FATAL(eng_dial_open(&dial, address, false, &reason), 0);
    CU_ASSERT_EQUAL(step_until_settled(&dial, 1, &reason), ENG_DIAL_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, address));
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "start the other side first"));
    eng_dial_close(&dial);
}

static void tries_again_after_a_second(void)
{
    const uint64_t second = 1000 * 1000 * 1000;
    char address[64];
    struct eng_dial dial;
    struct eng_reason reason;
    struct sockaddr_in name;
    socklen_t bytes = sizeof name;
    int fd = listener(AF_INET, address, sizeof address);

    CHECK(getsockname(fd, (struct sockaddr *)&name, &bytes) == 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(eng_dial_open(&dial, address, true, &reason), 0);
    CU_ASSERT_EQUAL(step_until_settled(&dial, 1, &reason), ENG_DIAL_WAITING);
    CU_ASSERT_EQUAL(eng_dial_step(&dial, second / 2, &reason), ENG_DIAL_WAITING);

    int on = 1;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&name, bytes), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 4), 0);
    CU_ASSERT_EQUAL(eng_dial_step(&dial, second / 2, &reason), ENG_DIAL_WAITING);
    CU_ASSERT_EQUAL(step_until_settled(&dial, second + 2, &reason), ENG_DIAL_CONNECTED);
    eng_dial_lost(&dial, 5 * second);
    CU_ASSERT_EQUAL(dial.fd, -1);
    CU_ASSERT_EQUAL(eng_dial_step(&dial, 6 * second - 1, &reason), ENG_DIAL_WAITING);
    CU_ASSERT_EQUAL(step_until_settled(&dial, 6 * second, &reason), ENG_DIAL_CONNECTED);
    eng_dial_close(&dial);
    close(fd);
}

static void addresses_have_a_host_and_a_port(void)
{
    static const char *const good[] = {"localhost:9999", "127.0.0.1:1", "[::1]:9999", "host:http"};
    static const char *const bad[] = {"localhost", ":9999", "localhost:", "::1:9999",
                                      "[::1]",     "[]:1",  "",           "[::1:9999"};
    struct eng_reason reason;

    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++)
        CU_ASSERT_TRUE(eng_dial_address_good(good[i], &reason));
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(eng_dial_address_good(bad[i], &reason));
}

static void a_name_that_nobody_has_is_told(void)
{
    struct eng_dial dial;
    struct eng_reason reason;

    CU_ASSERT(eng_dial_open(&dial, "no-such-host.invalid:9999", false, &reason) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "no-such-host.invalid:9999"));
    CU_ASSERT(eng_dial_open(&dial, "127.0.0.1:no-such-service", false, &reason) < 0);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/dial", NULL, NULL);
    CU_ADD_TEST(suite, connects_to_who_listens);
    CU_ADD_TEST(suite, nobody_there_is_a_failure_with_advice);
    CU_ADD_TEST(suite, tries_again_after_a_second);
    CU_ADD_TEST(suite, addresses_have_a_host_and_a_port);
    CU_ADD_TEST(suite, a_name_that_nobody_has_is_told);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
