/*
 * test_net_address.c — addresses of sockets as text.
 */
#include "net/address.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static struct sockaddr_storage v4(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_storage storage = {0};
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    memcpy(&storage, &address, sizeof address);
    return storage;
}

static struct sockaddr_storage v6(const char *host, uint16_t port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_storage storage = {0};
    assert_int_equal(inet_pton(AF_INET6, host, &address.sin6_addr), 1);
    memcpy(&storage, &address, sizeof address);
    return storage;
}

static void check_text(struct sockaddr_storage address, const char *expected)
{
    char text[TEXT_ENDPOINT_BYTES];
    net_address_format((struct sockaddr *)&address, text);
    assert_string_equal(text, expected);
}

static void test_ipv4_as_text(void **state)
{
    (void)state;
    check_text(v4("127.0.0.1", 8080), "127.0.0.1:8080");
    check_text(v4("0.0.0.0", 0), "0.0.0.0:0");
    check_text(v4("255.255.255.255", 65535), "255.255.255.255:65535");
}

static void test_ipv6_as_text(void **state)
{
    (void)state;
    check_text(v6("::1", 8080), "[::1]:8080");
    check_text(v6("::", 1), "[::]:1");
    check_text(v6("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
               "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void test_mapped_ipv4_is_ipv4(void **state)
{
    (void)state;
    check_text(v6("::ffff:192.0.2.7", 443), "192.0.2.7:443");
}

static void test_mapped_ipv4_becomes_ipv4(void **state)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
    struct sockaddr_storage address = {0};
    struct sockaddr_in v4;
    char text[TEXT_ENDPOINT_BYTES];
    (void)state;
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &v6.sin6_addr), 1);
    memcpy(&address, &v6, sizeof v6);
    net_address_unmap((struct sockaddr *)&address);
    memcpy(&v4, &address, sizeof v4);
    assert_int_equal(v4.sin_family, AF_INET);
    net_address_format((struct sockaddr *)&v4, text);
    assert_string_equal(text, "192.0.2.7:8080");
    net_address_unmap((struct sockaddr *)&address); /* as it is */
    assert_memory_equal(&address, &v4, sizeof v4);
}

static void test_true_ipv6_stays_as_it_is(void **state)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
    struct sockaddr_in6 before;
    (void)state;
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr), 1);
    before = v6;
    net_address_unmap((struct sockaddr *)&v6);
    assert_memory_equal(&v6, &before, sizeof v6);
}

static void test_other_families_are_unknown(void **state)
{
    (void)state;
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    check_text(address, "unknown");
    address.ss_family = AF_UNSPEC;
    check_text(address, "unknown");
    assert_int_equal(net_address_port((struct sockaddr *)&address), 0);
    net_address_set_port((struct sockaddr *)&address, 80);
    check_text(address, "unknown");
}

/* getaddrinfo hands addresses out in blocks of their own size: no byte behind is touched. */
static void test_port_is_read_and_written(void **state)
{
    (void)state;
    struct sockaddr_storage four = v4("192.0.2.1", 1);
    struct sockaddr_storage six = v6("2001:db8::1", 65535);
    assert_int_equal(net_address_port((struct sockaddr *)&four), 1);
    assert_int_equal(net_address_port((struct sockaddr *)&six), 65535);
    net_address_set_port((struct sockaddr *)&four, 0x1234);
    net_address_set_port((struct sockaddr *)&six, 0);
    assert_int_equal(net_address_port((struct sockaddr *)&four), 0x1234);
    assert_int_equal(net_address_port((struct sockaddr *)&six), 0);
    check_text(four, "192.0.2.1:4660");
    check_text(six, "[2001:db8::1]:0");
}

UNIT_MAIN(cmocka_unit_test(test_ipv4_as_text), cmocka_unit_test(test_ipv6_as_text),
          cmocka_unit_test(test_mapped_ipv4_is_ipv4),
          cmocka_unit_test(test_mapped_ipv4_becomes_ipv4),
          cmocka_unit_test(test_true_ipv6_stays_as_it_is),
          cmocka_unit_test(test_other_families_are_unknown),
          cmocka_unit_test(test_port_is_read_and_written))
