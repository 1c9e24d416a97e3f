/* test_server_admin_address.c — where the admin endpoint may be, and what requests may call it. */
#include "server/admin_address.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static struct admin_address parse(const char *text)
{
    struct admin_address address;
    memset(&address, 0xff, sizeof address);
    assert_int_equal(admin_address_parse(text, &address, NULL), CERTPOST_OK);
    return address;
}

static void test_unix_paths(void **state)
{
    (void)state;
    char longest[sizeof "unix:" + sizeof((struct sockaddr_un *)NULL)->sun_path];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "unix:/", 6);
    longest[5 + sizeof((struct sockaddr_un *)NULL)->sun_path] = '\0';
    assert_int_equal(admin_address_parse(longest, &(struct admin_address){0}, NULL),
                     CERTPOST_USAGE);
    longest[5 + sizeof((struct sockaddr_un *)NULL)->sun_path - 1] = '\0';
    struct admin_address address = parse(longest);
    assert_int_equal(address.socket.ss_family, AF_UNIX);
    assert_int_equal(address.length, sizeof(struct sockaddr_un));
    assert_string_equal(((struct sockaddr_un *)&address.socket)->sun_path, longest + 5);
    assert_int_equal(admin_address_parse("unix:", &address, NULL), CERTPOST_USAGE);
}

static void test_loopback_addresses(void **state)
{
    (void)state;
    struct admin_address address = parse("127.1.2.3:9180");
    struct sockaddr_in v4;
    memcpy(&v4, &address.socket, sizeof v4);
    assert_int_equal(v4.sin_family, AF_INET);
    assert_int_equal(ntohl(v4.sin_addr.s_addr), 0x7f010203);
    assert_int_equal(ntohs(v4.sin_port), 9180);
    address = parse("LocalHost:0");
    memcpy(&v4, &address.socket, sizeof v4);
    assert_int_equal(ntohl(v4.sin_addr.s_addr), INADDR_LOOPBACK);
    address = parse("[::1]:1");
    assert_int_equal(address.socket.ss_family, AF_INET6);
    assert_int_equal(address.length, sizeof(struct sockaddr_in6));
}

static void test_other_addresses(void **state)
{
    static const char *const others[] = {
        "",
        "127.0.0.1",
        "::1",
        "[::1]",
        ":9180",
        "0.0.0.0:1",
        "[::]:1",
        "128.0.0.1:1",
        "126.255.255.255:1",
        "[::ffff:127.0.0.1]:1",
        "localhost.:1",
        "example.org:1",
        "127.1:1",
        "UNIX:/x",
        "127.0.0.1:-1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct admin_address address;
        if (admin_address_parse(others[i], &address, NULL) != CERTPOST_USAGE)
            fail_msg("%s was taken", others[i]);
    }
}

static void test_hosts_of_requests(void **state)
{
    static const char *const allowed[] = {"localhost",       "localhost:1", "127.0.0.1",
                                          "127.0.0.1:65535", "[::1]",       "[::1]:80",
                                          "127.9.9.9:1"};
    static const char *const refused[] = {"",
                                          "example.org",
                                          "localhost.example.org",
                                          "127.0.0.1.example.org:80",
                                          "[::2]:80",
                                          "localhost:65536",
                                          "localhost:",
                                          "localhost:80:80",
                                          "user@localhost",
                                          " localhost"};
    (void)state;
    assert_false(admin_host_is_allowed(NULL));
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        if (!admin_host_is_allowed(allowed[i]))
            fail_msg("%s was refused", allowed[i]);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (admin_host_is_allowed(refused[i]))
            fail_msg("%s was allowed", refused[i]);
    }
}

UNIT_MAIN(cmocka_unit_test(test_unix_paths), cmocka_unit_test(test_loopback_addresses),
          cmocka_unit_test(test_other_addresses), cmocka_unit_test(test_hosts_of_requests))
