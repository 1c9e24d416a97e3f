/*
 * test_net_proxy.c — PROXY headers: what is exactly as specified is read, all else is refused, and
 * a part of one is never mistaken for the whole.
 */
#include "base/text.h"
#include "net/proxy.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { V2_FIXED = 16, V1_MAX = 107, RANDOM_ROUNDS = 200 * 1000 };

static const unsigned char v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                               0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* A copy of exactly the given size on the heap, so that a sanitizer sees every byte beyond. */
static enum certpost_status parse(const void *bytes, size_t length, struct proxy_header *ret_header,
                                  size_t *ret_consumed)
{
    unsigned char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    enum certpost_status status = proxy_header_parse(copy, length, ret_header, ret_consumed);
    free(copy);
    return status;
}

static void assert_source(const struct proxy_header *header, const char *address, uint16_t port)
{
    char text[INET6_ADDRSTRLEN] = "";
    assert_true(header->has_source);
    if (header->source.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&header->source;
        assert_non_null(inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text));
        assert_int_equal(ntohs(v4->sin_port), port);
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&header->source;
        assert_int_equal(header->source.ss_family, AF_INET6);
        assert_non_null(inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text));
        assert_int_equal(ntohs(v6->sin6_port), port);
    }
    assert_string_equal(text, address);
}

/*
 * The header as a whole, with bytes behind it, and every beginning of it: all but the whole wants
 * more and says nothing else.
 */
static void assert_header(const void *bytes, size_t length, const char *address, uint16_t port)
{
    unsigned char more[8192];
    struct proxy_header header;
    size_t consumed = 0;
    assert_true(length + 5 <= sizeof more);
    memcpy(more, bytes, length);
    memcpy(more + length, "\x16\x03\x01\x02\x00", 5);
    for (size_t cut = 0; cut < length; cut++) {
        consumed = 77;
        assert_status(parse(bytes, cut, &header, &consumed), CERTPOST_WANT_READ);
        assert_int_equal(consumed, 77);
    }
    for (size_t behind = 0; behind <= 5; behind += 5) {
        memset(&header, 0xa5, sizeof header);
        assert_ok(parse(more, length + behind, &header, &consumed));
        assert_int_equal(consumed, length);
        if (address != NULL)
            assert_source(&header, address, port);
        else
            assert_false(header.has_source);
    }
}

static void assert_line(const char *line, const char *address, uint16_t port)
{
    assert_header(line, strlen(line), address, port);
}

static void assert_refused(const void *bytes, size_t length)
{
    struct proxy_header header;
    size_t consumed = 77;
    assert_status(parse(bytes, length, &header, &consumed), CERTPOST_PROTOCOL);
    assert_int_equal(consumed, 77);
}

static size_t v2_make(unsigned char *header, unsigned command, unsigned family, const void *body,
                      size_t length)
{
    memcpy(header, v2_signature, sizeof v2_signature);
    header[12] = (unsigned char)command;
    header[13] = (unsigned char)family;
    header[14] = (unsigned char)(length >> 8);
    header[15] = (unsigned char)length;
    if (length > 0)
        memcpy(header + V2_FIXED, body, length);
    return V2_FIXED + length;
}

/* ------------------------------------------------------------------------------ version 1 */

static void test_v1_tcp4(void **state)
{
    (void)state;
    assert_line("PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n", "192.0.2.1", 1234);
    assert_line("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0", 0);
    assert_line("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", "255.255.255.255", 65535);
}

static void test_v1_tcp6(void **state)
{
    (void)state;
    assert_line("PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n", "2001:db8::1", 1234);
    assert_line("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "::ffff:192.0.2.1", 1);
}

static void test_v1_unknown(void **state)
{
    (void)state;
    assert_line("PROXY UNKNOWN\r\n", NULL, 0);
    assert_line("PROXY UNKNOWN and whatever it has to say\r\n", NULL, 0);
}

/* The longest that the specification gives: 107 bytes with its end of line. */
static void test_v1_longest(void **state)
{
    (void)state;
    static const char longest[] = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_int_equal(strlen(longest), V1_MAX);
    assert_line(longest, NULL, 0);
    static const char tcp6[] = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_line(tcp6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
}

static void test_v1_limit(void **state)
{
    (void)state;
    struct proxy_header header;
    size_t consumed = 0;
    for (size_t length = V1_MAX - 1; length <= V1_MAX + 1; length++) {
        char line[V1_MAX + 2] = "PROXY UNKNOWN ";
        memset(line + strlen(line), 'x', sizeof line - strlen("PROXY UNKNOWN "));
        /* Without an end, it may still become one as long as it is shorter than the longest. */
        assert_status(parse(line, length, &header, &consumed),
                      length < V1_MAX ? CERTPOST_WANT_READ : CERTPOST_PROTOCOL);
        memcpy(line + length - 2, "\r\n", 2);
        assert_status(parse(line, length, &header, &consumed),
                      length <= V1_MAX ? CERTPOST_OK : CERTPOST_PROTOCOL);
    }
}

static void test_v1_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443 5\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1234 443\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1234 443\r\n",
        " PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1234 443\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1234 443\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1234 443\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1234 443\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1234 443\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1234 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1234 443\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1234 443\r\n",
        "PROXY TCP6 2001:db8:::1 2001:db8::2 1234 443\r\n",
        "PROXY TCP4 192.0.2.1 localhost 1234 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1234 0443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOW\r\n",
        "PROXX",
        "GET / HTTP/1.1\r\n",
        "\x16\x03\x01",
        "\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused(wrong[i], strlen(wrong[i]));
}

static void test_v1_nul_byte(void **state)
{
    (void)state;
    static const char in_address[] = "PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n";
    static const char in_unknown[] = "PROXY UNKNOWN\0\r\n";
    assert_refused(in_address, sizeof in_address - 1);
    assert_refused(in_unknown, sizeof in_unknown - 1);
}

/* ------------------------------------------------------------------------------ version 2 */

static const unsigned char body_v4[12] = {192, 0, 2, 1, 192, 0, 2, 2, 0x04, 0xd2, 0x01, 0xbb};
static const unsigned char body_v6[36] = {
    0x20, 0x01, 0x0d, 0xb8, [15] = 1, [31] = 2, 0x04, 0xd2, 0x01, 0xbb};

static void test_v2_tcp4(void **state)
{
    (void)state;
    unsigned char header[V2_FIXED + sizeof body_v4];
    size_t length = v2_make(header, 0x21, 0x11, body_v4, sizeof body_v4);
    assert_header(header, length, "192.0.2.1", 1234);
}

static void test_v2_tcp6(void **state)
{
    (void)state;
    unsigned char header[V2_FIXED + sizeof body_v6];
    size_t length = v2_make(header, 0x21, 0x21, body_v6, sizeof body_v6);
    assert_header(header, length, "2001:db8::1", 1234);
}

static void test_v2_extensions_are_skipped(void **state)
{
    (void)state;
    unsigned char body[sizeof body_v4 + 300] = {0};
    unsigned char header[V2_FIXED + sizeof body];
    memcpy(body, body_v4, sizeof body_v4);
    memset(body + sizeof body_v4, 0xff, 300);
    assert_header(header, v2_make(header, 0x21, 0x11, body, sizeof body), "192.0.2.1", 1234);
}

static void test_v2_without_a_source(void **state)
{
    (void)state;
    static const unsigned families[] = {0x00, 0x12, 0x22, 0x31, 0x32, 0x10, 0xff};
    unsigned char header[V2_FIXED + sizeof body_v6];
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        assert_header(header, v2_make(header, 0x21, families[i], body_v6, sizeof body_v6), NULL, 0);
        assert_header(header, v2_make(header, 0x21, families[i], NULL, 0), NULL, 0);
    }
    assert_header(header, v2_make(header, 0x20, 0x11, body_v4, sizeof body_v4), NULL, 0);
    assert_header(header, v2_make(header, 0x20, 0x00, NULL, 0), NULL, 0);
}

static void test_v2_wrong_command(void **state)
{
    (void)state;
    unsigned char header[V2_FIXED + sizeof body_v4];
    for (unsigned command = 0; command <= 0xff; command++) {
        size_t length = v2_make(header, command, 0x11, body_v4, sizeof body_v4);
        if (command != 0x20 && command != 0x21)
            assert_refused(header, length);
    }
}

static void test_v2_body_that_is_too_short(void **state)
{
    (void)state;
    unsigned char header[V2_FIXED + sizeof body_v6];
    for (size_t length = 0; length < sizeof body_v4; length++)
        assert_refused(header, v2_make(header, 0x21, 0x11, body_v4, length));
    for (size_t length = 0; length < sizeof body_v6; length++)
        assert_refused(header, v2_make(header, 0x21, 0x21, body_v6, length));
}

static void test_v2_wrong_signature(void **state)
{
    (void)state;
    unsigned char header[V2_FIXED + sizeof body_v4];
    for (size_t i = 0; i < sizeof v2_signature; i++) {
        size_t length = v2_make(header, 0x21, 0x11, body_v4, sizeof body_v4);
        header[i] ^= 1;
        assert_refused(header, length);
        assert_refused(header, i + 1);
    }
}

static void test_v2_limit(void **state)
{
    (void)state;
    static unsigned char body[PROXY_HEADER_MAX_BYTES + 1];
    static unsigned char header[sizeof body + V2_FIXED];
    struct proxy_header parsed;
    size_t consumed = 0;
    memcpy(body, body_v4, sizeof body_v4);
    const size_t most = PROXY_HEADER_MAX_BYTES - V2_FIXED;
    for (size_t length = most - 1; length <= most + 1; length++) {
        size_t whole = v2_make(header, 0x21, 0x11, body, length);
        assert_status(parse(header, whole, &parsed, &consumed),
                      length <= most ? CERTPOST_OK : CERTPOST_PROTOCOL);
        /* By its announcement alone, before any of it has come. */
        assert_status(parse(header, V2_FIXED, &parsed, &consumed),
                      length <= most ? CERTPOST_WANT_READ : CERTPOST_PROTOCOL);
    }
    (void)v2_make(header, 0x21, 0x11, body, 0);
    header[14] = header[15] = 0xff;
    assert_refused(header, V2_FIXED);
}

/* ------------------------------------------------------------------------------ hostile bytes */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

/* Beginnings of both versions with random bytes after and in them: an answer, and in bounds. */
static void test_random_bytes(void **state)
{
    (void)state;
    uint32_t seed = 20261122;
    size_t taken = 0;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        unsigned char bytes[128] = "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n";
        size_t length = next_random(&seed) % sizeof bytes;
        if (round % 2 == 0)
            (void)v2_make(bytes, 0x21, 0x11, body_v4, sizeof body_v4);
        for (uint32_t flips = next_random(&seed) % 4; flips > 0; flips--)
            bytes[next_random(&seed) % sizeof bytes] = (unsigned char)next_random(&seed);
        struct proxy_header header;
        size_t consumed = 0;
        enum certpost_status status = parse(bytes, length, &header, &consumed);
        if (status == CERTPOST_OK) {
            assert_in_range(consumed, 1, length);
            taken++;
        } else {
            assert_true(status == CERTPOST_WANT_READ || status == CERTPOST_PROTOCOL);
        }
    }
    assert_true(taken > RANDOM_ROUNDS / 100);
}

UNIT_MAIN(cmocka_unit_test(test_v1_tcp4), cmocka_unit_test(test_v1_tcp6),
          cmocka_unit_test(test_v1_unknown), cmocka_unit_test(test_v1_longest),
          cmocka_unit_test(test_v1_limit), cmocka_unit_test(test_v1_wrong),
          cmocka_unit_test(test_v1_nul_byte), cmocka_unit_test(test_v2_tcp4),
          cmocka_unit_test(test_v2_tcp6), cmocka_unit_test(test_v2_extensions_are_skipped),
          cmocka_unit_test(test_v2_without_a_source), cmocka_unit_test(test_v2_wrong_command),
          cmocka_unit_test(test_v2_body_that_is_too_short),
          cmocka_unit_test(test_v2_wrong_signature), cmocka_unit_test(test_v2_limit),
          cmocka_unit_test(test_random_bytes))
