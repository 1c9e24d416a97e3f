/*
 * test_net_listener.c — listening sockets: ports, workers, and who may share an address.
 *
 * getaddrinfo and bind are wrapped by the linker (tests/CMakeLists.txt): names are answered here,
 * so that no case depends on the resolver of the machine, and a bind can be refused.
 */
#include "net/address.h"
#include "net/listener.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORKERS = 3, DEFAULT_PORT = 0, WORDS_BYTES = 512 };

static const char *const *resolved; /* what the next name means; NULL: ask the machine */
static int bind_errno;              /* 0: bind as usual */
static int bind_calls_before_failure;
static sa_family_t bind_only_family; /* the only one that the machine has; 0: all */

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret_list);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret_list);
int __real_bind(int descriptor, const struct sockaddr *address, socklen_t length);
int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t length);

/* The entries of numeric look-ups, chained: freeaddrinfo takes such a chain apart again. */
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **ret_list)
{
    if (resolved == NULL)
        return __real_getaddrinfo(node, service, hints, ret_list);
    struct addrinfo *first = NULL;
    struct addrinfo **end = &first;
    for (size_t i = 0; resolved[i] != NULL; i++) {
        int failed = __real_getaddrinfo(resolved[i], service, hints, end);
        if (failed != 0)
            return failed;
        end = &(*end)->ai_next;
    }
    *ret_list = first;
    return first == NULL ? EAI_NONAME : 0;
}

int __wrap_bind(int descriptor, const struct sockaddr *address, socklen_t length)
{
    if (bind_only_family != 0 && address->sa_family != bind_only_family) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    if (bind_errno == 0 || bind_calls_before_failure-- > 0)
        return __real_bind(descriptor, address, length);
    errno = bind_errno;
    return -1;
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    assert_int_equal(closedir(folder), 0);
    return count;
}

static uint16_t socket_port(int descriptor)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &length), 0);
    return net_address_port((struct sockaddr *)&address);
}

static bool can_connect(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    int failed = connect(descriptor, (struct sockaddr *)&address, sizeof address);
    close(descriptor);
    return failed == 0;
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int descriptor = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = descriptor >= 0 &&
              __real_bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
    if (descriptor >= 0)
        close(descriptor);
    return ok;
}

static void check_refused(struct net_listeners *listeners, const char *endpoint,
                          enum certpost_status expected, const char *words)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    size_t count = listeners->count;
    size_t before = open_descriptors();
    assert_status(net_listeners_add(listeners, endpoint, DEFAULT_PORT, WORKERS, &error), expected);
    assert_string_equal(error.text, words);
    assert_int_equal(listeners->count, count);
    assert_int_equal(open_descriptors(), before);
}

static void test_port_0_is_the_same_for_all_workers(void **state)
{
    (void)state;
    size_t before = open_descriptors();
    struct net_listeners listeners = {0};
    assert_ok(net_listeners_add(&listeners, "127.0.0.1:0", 9, WORKERS, NULL));
    assert_int_equal(listeners.count, 1);
    assert_int_equal(listeners.list[0].socket_count, WORKERS);
    uint16_t port = socket_port(listeners.list[0].sockets[0]);
    assert_true(port > 0);
    char expected[TEXT_ENDPOINT_BYTES];
    text_format_endpoint("127.0.0.1", port, expected);
    assert_string_equal(listeners.list[0].text, expected);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(socket_port(listeners.list[0].sockets[i]), port);
    assert_int_equal(open_descriptors(), before + WORKERS);
    net_listeners_free(&listeners);
    assert_int_equal(open_descriptors(), before);
}

/* "Bound and listening": what connects now waits for its worker. */
static void test_connections_wait_for_the_workers(void **state)
{
    (void)state;
    struct net_listeners listeners = {0};
    assert_ok(net_listeners_add(&listeners, "127.0.0.1:0", 0, WORKERS, NULL));
    assert_true(can_connect("127.0.0.1", socket_port(listeners.list[0].sockets[0])));
    net_listeners_free(&listeners);
}

static void test_default_port_and_taken_sockets(void **state)
{
    (void)state;
    struct net_listeners listeners = {0};
    size_t before = open_descriptors();
    assert_ok(net_listeners_add(&listeners, "127.0.0.1", 0, 2, NULL));
    int taken = net_listener_take_socket(&listeners.list[0], 1);
    assert_true(taken >= 0);
    assert_int_equal(listeners.list[0].sockets[1], -1);
    net_listeners_free(&listeners);
    assert_int_equal(open_descriptors(), before + 1); /* the one that was taken is the taker's */
    close(taken);
    net_listeners_free(&listeners);
}

/* Another program of the same user could share the port through SO_REUSEPORT; it must not. */
static void test_a_port_in_use_is_refused(void **state)
{
    (void)state;
    struct net_listeners first = {0};
    struct net_listeners second = {0};
    char words[WORDS_BYTES];
    assert_ok(net_listeners_add(&first, "127.0.0.1:0", 0, WORKERS, NULL));
    snprintf(words, sizeof words,
             "cannot listen on %s (another program listens there; choose another port): Address "
             "already in use",
             first.list[0].text);
    check_refused(&second, first.list[0].text, CERTPOST_SYSTEM, words);
    check_refused(&first, first.list[0].text, CERTPOST_SYSTEM, words);
    assert_int_equal(first.count, 1);
    net_listeners_free(&first);
    net_listeners_free(&second);
}

static void test_a_port_is_free_again_after_the_end(void **state)
{
    (void)state;
    struct net_listeners listeners = {0};
    char endpoint[TEXT_ENDPOINT_BYTES];
    assert_ok(net_listeners_add(&listeners, "127.0.0.1:0", 0, 1, NULL));
    memcpy(endpoint, listeners.list[0].text, sizeof endpoint);
    net_listeners_free(&listeners);
    assert_int_equal(listeners.count, 0);
    assert_ok(net_listeners_add(&listeners, endpoint, 0, 1, NULL));
    assert_string_equal(listeners.list[0].text, endpoint);
    net_listeners_free(&listeners);
}

static void test_several_addresses(void **state)
{
    (void)state;
    struct net_listeners listeners = {0};
    for (size_t i = 0; i < 5; i++)
        assert_ok(net_listeners_add(&listeners, "127.0.0.1:0", 0, WORKERS, NULL));
    assert_int_equal(listeners.count, 5);
    for (size_t i = 1; i < 5; i++)
        assert_string_not_equal(listeners.list[i].text, listeners.list[0].text);
    net_listeners_free(&listeners);
}

static void test_ipv6(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    struct net_listeners listeners = {0};
    assert_ok(net_listeners_add(&listeners, "[::1]:0", 0, WORKERS, NULL));
    assert_int_equal(strncmp(listeners.list[0].text, "[::1]:", 6), 0);
    net_listeners_free(&listeners);
}

static void test_all_addresses_of_a_name_get_one_port(void **state)
{
    (void)state;
    static const char *const meaning[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4", NULL};
    struct net_listeners listeners = {0};
    resolved = meaning;
    assert_ok(net_listeners_add(&listeners, "a-name:0", 0, WORKERS, NULL));
    resolved = NULL;
    assert_int_equal(listeners.count, 3);
    uint16_t port = socket_port(listeners.list[0].sockets[0]);
    for (size_t i = 0; i < 3; i++) {
        char expected[TEXT_ENDPOINT_BYTES];
        text_format_endpoint(meaning[i], port, expected);
        assert_string_equal(listeners.list[i].text, expected);
    }
    net_listeners_free(&listeners);
}

/* A hosts file often has a name twice with the same address. */
static void test_an_address_that_a_name_has_twice_counts_once(void **state)
{
    (void)state;
    static const char *const meaning[] = {"127.0.0.2", "127.0.0.3", "127.0.0.2", NULL};
    struct net_listeners listeners = {0};
    resolved = meaning;
    assert_ok(net_listeners_add(&listeners, "a-name:0", 0, 1, NULL));
    assert_int_equal(listeners.count, 2);
    uint16_t port = socket_port(listeners.list[0].sockets[0]);
    net_listeners_free(&listeners);
    char endpoint[TEXT_ENDPOINT_BYTES];
    text_format_endpoint("a-name", port, endpoint);
    assert_ok(net_listeners_add(&listeners, endpoint, 0, 1, NULL));
    assert_int_equal(listeners.count, 2);
    resolved = NULL;
    net_listeners_free(&listeners);
}

/* The second address is busy: the first, which was bound already, is given back. */
static void test_a_name_is_bound_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const meaning[] = {"127.0.0.2", "127.0.0.3", NULL};
    struct net_listeners busy = {0};
    struct net_listeners listeners = {0};
    char endpoint[TEXT_ENDPOINT_BYTES];
    char words[WORDS_BYTES];
    assert_ok(net_listeners_add(&busy, "127.0.0.3:0", 0, 1, NULL));
    text_format_endpoint("a-name", socket_port(busy.list[0].sockets[0]), endpoint);
    snprintf(words, sizeof words,
             "cannot listen on %s (another program listens there; choose another port): Address "
             "already in use",
             busy.list[0].text);
    resolved = meaning;
    check_refused(&listeners, endpoint, CERTPOST_SYSTEM, words);
    resolved = NULL;
    net_listeners_free(&busy);
    net_listeners_free(&listeners);
}

static void test_what_is_no_endpoint_is_a_usage_error(void **state)
{
    (void)state;
    struct net_listeners listeners = {0};
    check_refused(&listeners, "host:99999", CERTPOST_USAGE,
                  "cannot listen on host:99999: an address is HOST:PORT or [IPV6]:PORT");
    check_refused(&listeners, "\x1b[2J:x", CERTPOST_USAGE,
                  "cannot listen on \\x1b[2J:x: an address is HOST:PORT or [IPV6]:PORT");
    net_listeners_free(&listeners);
}

static void test_a_name_without_an_address(void **state)
{
    (void)state;
    static const char *const meaning[] = {NULL};
    struct net_listeners listeners = {0};
    resolved = meaning;
    check_refused(&listeners, "nowhere.invalid:0", CERTPOST_RESOLVE,
                  "cannot listen on nowhere.invalid:0: the name has no address (Name or service "
                  "not known)");
    resolved = NULL;
    net_listeners_free(&listeners);
}

static void test_an_address_of_another_machine(void **state)
{
    (void)state;
    struct net_listeners listeners = {0};
    check_refused(&listeners, "192.0.2.1:0", CERTPOST_SYSTEM,
                  "cannot listen on 192.0.2.1:0 (this machine does not have that address): Cannot "
                  "assign requested address");
    net_listeners_free(&listeners);
}

/* Wherever the failure comes, in the probe or at a worker's socket, nothing is left behind. */
static void test_a_family_that_the_machine_lacks_is_left_out(void **state)
{
    (void)state;
    static const char *const both[] = {"::1", "127.0.0.1", NULL};
    static const char *const only_missing[] = {"::1", NULL};
    struct net_listeners listeners = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    bind_only_family = AF_INET;
    resolved = both;
    assert_ok(net_listeners_add(&listeners, "name:0", 0, WORKERS, &error));
    assert_int_equal(listeners.count, 1);
    assert_int_equal(strncmp(listeners.list[0].text, "127.0.0.1:", 10), 0);
    resolved = only_missing;
    assert_status(net_listeners_add(&listeners, "name:0", 0, WORKERS, &error), CERTPOST_SYSTEM);
    assert_non_null(strstr(error.text, "this machine does not have that address"));
    resolved = NULL;
    bind_only_family = 0;
    net_listeners_free(&listeners);
}

static void test_a_refused_bind_leaks_nothing(void **state)
{
    (void)state;
    static const struct {
        int system_errno;
        const char *words;
    } cases[] = {
        {EACCES, " (ports below 1024 need root or CAP_NET_BIND_SERVICE): Permission denied"},
        {EADDRINUSE, " (another program listens there; choose another port): Address already in "
                     "use"},
        {ENOBUFS, ": No buffer space available"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int calls = 0; calls <= WORKERS; calls++) {
            struct net_listeners listeners = {0};
            struct certpost_error error;
            certpost_error_clear(&error);
            size_t before = open_descriptors();
            bind_errno = cases[i].system_errno;
            bind_calls_before_failure = calls;
            assert_status(net_listeners_add(&listeners, "127.0.0.1:0", 0, WORKERS, &error),
                          CERTPOST_SYSTEM);
            bind_errno = 0;
            assert_int_equal(strncmp(error.text, "cannot listen on 127.0.0.1:", 27), 0);
            assert_non_null(strstr(error.text, cases[i].words));
            assert_int_equal(error.system_errno, cases[i].system_errno);
            assert_int_equal(listeners.count, 0);
            assert_int_equal(open_descriptors(), before);
            net_listeners_free(&listeners);
        }
    }
}

UNIT_MAIN(cmocka_unit_test(test_port_0_is_the_same_for_all_workers),
          cmocka_unit_test(test_connections_wait_for_the_workers),
          cmocka_unit_test(test_default_port_and_taken_sockets),
          cmocka_unit_test(test_a_port_in_use_is_refused),
          cmocka_unit_test(test_a_port_is_free_again_after_the_end),
          cmocka_unit_test(test_several_addresses), cmocka_unit_test(test_ipv6),
          cmocka_unit_test(test_all_addresses_of_a_name_get_one_port),
          cmocka_unit_test(test_an_address_that_a_name_has_twice_counts_once),
          cmocka_unit_test(test_a_name_is_bound_whole_or_not_at_all),
          cmocka_unit_test(test_what_is_no_endpoint_is_a_usage_error),
          cmocka_unit_test(test_a_name_without_an_address),
          cmocka_unit_test(test_an_address_of_another_machine),
          cmocka_unit_test(test_a_family_that_the_machine_lacks_is_left_out),
          cmocka_unit_test(test_a_refused_bind_leaks_nothing))
