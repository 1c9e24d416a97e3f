/*
 * test_net_network.c — networks of addresses: what is one, and what lies in it.
 */
#include "net/network.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool contains(const char *network_text, const char *address_text)
{
    struct net_network network;
    struct sockaddr_storage address = {0};
    assert_true(net_network_parse(network_text, &network));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, address_text, &v4->sin_addr) == 1) {
        address.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, address_text, &v6->sin6_addr), 1);
        address.ss_family = AF_INET6;
    }
    return net_network_contains(&network, (struct sockaddr *)&address);
}

static void test_right_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int family;
        unsigned bits;
    } rows[] = {
        {"10.0.0.0/8", AF_INET, 8},
        {"192.0.2.1", AF_INET, 32},
        {"192.0.2.1/32", AF_INET, 32},
        {"0.0.0.0/0", AF_INET, 0},
        {"128.0.0.0/1", AF_INET, 1},
        {"10.1.2.128/25", AF_INET, 25},
        {"2001:db8::/32", AF_INET6, 32},
        {"::1", AF_INET6, 128},
        {"::/0", AF_INET6, 0},
        {"2001:db8::8000:0:0:0/65", AF_INET6, 65},
        {"::ffff:10.0.0.1", AF_INET6, 128},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_network network;
        assert_true(net_network_parse(rows[i].text, &network));
        assert_int_equal(network.family, rows[i].family);
        assert_int_equal(network.prefix_bits, rows[i].bits);
    }
}

static void test_wrong_texts(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.1/8",
        "10.0.0.0/7x",
        "10.0.0/8",
        "10/8",
        "256.0.0.0/8",
        "::/129",
        "::1/64",
        "2001:db8::1/32",
        "2001:db8::/x",
        "localhost",
        "*",
        "[::1]",
        "10.0.0.0:80",
        "::1%lo",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct net_network network = {.family = 4711};
        assert_false(net_network_parse(wrong[i], &network));
        assert_int_equal(network.family, 4711); /* never written on failure */
    }
}

static void test_members(void **state)
{
    (void)state;
    assert_true(contains("10.0.0.0/8", "10.255.255.255"));
    assert_false(contains("10.0.0.0/8", "11.0.0.0"));
    assert_false(contains("10.0.0.0/8", "9.255.255.255"));
    assert_true(contains("192.0.2.1", "192.0.2.1"));
    assert_false(contains("192.0.2.1", "192.0.2.0"));
    assert_true(contains("0.0.0.0/0", "255.255.255.255"));
    assert_true(contains("2001:db8::/32", "2001:db8:ffff::1"));
    assert_false(contains("2001:db8::/32", "2001:db9::"));
    assert_true(contains("::/0", "ffff::"));
}

/* Each length of prefix: the last bit in it counts, the first one behind it does not. */
static void test_every_prefix_length(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits <= 128; bits++) {
        struct net_network network = {.family = AF_INET6, .prefix_bits = bits};
        struct sockaddr_in6 address = {.sin6_family = AF_INET6};
        unsigned last = bits - 1;
        address.sin6_addr.s6_addr[last / 8] = (unsigned char)(0x80 >> last % 8);
        assert_false(net_network_contains(&network, (struct sockaddr *)&address));
        network.prefix[last / 8] = (unsigned char)(0x80 >> last % 8);
        assert_true(net_network_contains(&network, (struct sockaddr *)&address));
        if (bits < 128)
            address.sin6_addr.s6_addr[bits / 8] |= (unsigned char)(0x80 >> bits % 8);
        assert_true(net_network_contains(&network, (struct sockaddr *)&address));
    }
}

static void test_families_do_not_meet(void **state)
{
    (void)state;
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct net_network network;
    assert_false(contains("0.0.0.0/0", "::1"));
    assert_false(contains("::/0", "127.0.0.1"));
    assert_true(net_network_parse("0.0.0.0/0", &network));
    assert_false(net_network_contains(&network, &other));
}

UNIT_MAIN(cmocka_unit_test(test_right_texts), cmocka_unit_test(test_wrong_texts),
          cmocka_unit_test(test_members), cmocka_unit_test(test_every_prefix_length),
          cmocka_unit_test(test_families_do_not_meet))
