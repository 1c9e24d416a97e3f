/* test_base_text.c — numbers, sizes, durations and endpoints, also as nobody should type them. */
#include "base/text.h"
#include "support/unit.h"

static const char *const never_numbers[] = {"",    " ",   "-1",  "+1",  " 1",  "1 ",      "0x10",
                                            "1e3", "1.5", "1_0", "abc", "1\n", "\xd9\xa1"};
enum { NEVER_COUNT = sizeof never_numbers / sizeof never_numbers[0] };

static void test_u64(void **state)
{
    (void)state;
    uint64_t value = 99;
    for (size_t i = 0; i < NEVER_COUNT; i++)
        assert_false(text_parse_u64(never_numbers[i], UINT64_MAX, &value));
    assert_int_equal(value, 99);
    assert_true(text_parse_u64("0", 0, &value));
    assert_int_equal(value, 0);
    assert_true(text_parse_u64("0007", 10, &value));
    assert_int_equal(value, 7);
}

static void test_u64_limits(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_true(text_parse_u64("9", 10, &value));
    assert_true(text_parse_u64("10", 10, &value));
    assert_false(text_parse_u64("11", 10, &value));
    assert_int_equal(value, 10);
    assert_true(text_parse_u64("18446744073709551614", UINT64_MAX, &value));
    assert_true(text_parse_u64("18446744073709551615", UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_false(text_parse_u64("18446744073709551616", UINT64_MAX, &value));
    assert_false(text_parse_u64("18446744073709551620", UINT64_MAX, &value));
    assert_false(text_parse_u64("99999999999999999999999999", UINT64_MAX, &value));
}

static void test_size_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"0", 0},
        {"17", 17},
        {"17B", 17},
        {"3K", 3072},
        {"3KiB", 3072},
        {"3kB", 3000},
        {"4M", UINT64_C(4194304)},
        {"4MiB", UINT64_C(4194304)},
        {"4MB", UINT64_C(4000000)},
        {"5G", UINT64_C(5368709120)},
        {"5GiB", UINT64_C(5368709120)},
        {"5GB", UINT64_C(5000000000)},
        {"2TiB", UINT64_C(2199023255552)},
        {"2TB", UINT64_C(2000000000000)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bytes = 0;
        assert_true(text_parse_size(rows[i].text, UINT64_MAX, &bytes));
        assert_true(bytes == rows[i].bytes);
    }
}

static void test_sizes_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"1 KiB", "1kib", "1KB", "KiB",  "1KiBs", "1T",
                                        "1b",    "-1K",  "1K1", "1.5M", "1MiB ", "1k"};
    uint64_t bytes = 99;
    for (size_t i = 0; i < NEVER_COUNT; i++)
        assert_false(text_parse_size(never_numbers[i], UINT64_MAX, &bytes));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(text_parse_size(wrong[i], UINT64_MAX, &bytes));
    assert_int_equal(bytes, 99);
}

static void test_size_limits_and_overflow(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_true(text_parse_size("4095", 4096, &bytes));
    assert_true(text_parse_size("4KiB", 4096, &bytes));
    assert_false(text_parse_size("4097", 4096, &bytes));
    assert_false(text_parse_size("5KiB", 4096, &bytes));
    assert_false(text_parse_size("1TiB", 4096, &bytes));
    assert_true(text_parse_size("0TiB", 0, &bytes));
    assert_true(text_parse_size("16777215TiB", UINT64_MAX, &bytes));
    /* 2^24 TiB is 2^64, which would come out as 0. */
    assert_false(text_parse_size("16777216TiB", UINT64_MAX, &bytes));
    assert_false(text_parse_size("18446744073709551615TiB", UINT64_MAX, &bytes));
    assert_false(text_parse_size("18446744073709551616", UINT64_MAX, &bytes));
}

static void test_duration_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"0", 0},       {"2", 2000},     {"500ms", 500},   {"10s", 10000},
                {"3m", 180000}, {"2h", 7200000}, {"1d", 86400000}, {"0d", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        assert_true(text_parse_duration(rows[i].text, INT64_MAX, &ms));
        assert_true(ms == rows[i].ms);
    }
}

static void test_durations_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"s",     "1 s", "1S", "1min", "1sec",
                                        "1m30s", "-5s", "1w", "ms"};
    int64_t ms = 99;
    for (size_t i = 0; i < NEVER_COUNT; i++)
        assert_false(text_parse_duration(never_numbers[i], INT64_MAX, &ms));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(text_parse_duration(wrong[i], INT64_MAX, &ms));
    assert_false(text_parse_duration("1", -1, &ms));
    assert_int_equal(ms, 99);
}

static void test_duration_limits_and_overflow(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_true(text_parse_duration("999ms", 1000, &ms));
    assert_true(text_parse_duration("1s", 1000, &ms));
    assert_false(text_parse_duration("1001ms", 1000, &ms));
    assert_false(text_parse_duration("2", 1000, &ms));
    assert_true(text_parse_duration("9223372036854775807ms", INT64_MAX, &ms));
    assert_false(text_parse_duration("9223372036854775808ms", INT64_MAX, &ms));
    assert_false(text_parse_duration("9223372036854776s", INT64_MAX, &ms));
    assert_false(text_parse_duration("213503982335d", INT64_MAX, &ms));
}

static void assert_endpoint(const char *text, const char *host, uint16_t port)
{
    char parsed_host[TEXT_HOST_BYTES] = "untouched";
    uint16_t parsed_port = 0;
    assert_true(text_parse_endpoint(text, 8080, parsed_host, &parsed_port));
    assert_string_equal(parsed_host, host);
    assert_int_equal(parsed_port, port);
}

static void test_endpoint_forms(void **state)
{
    (void)state;
    assert_endpoint("localhost", "localhost", 8080);
    assert_endpoint("localhost:1", "localhost", 1);
    assert_endpoint("127.0.0.1:0", "127.0.0.1", 0);
    assert_endpoint("127.0.0.1:65535", "127.0.0.1", 65535);
    assert_endpoint("[::1]:443", "::1", 443);
    assert_endpoint("[::1]", "::1", 8080);
    assert_endpoint("::1", "::1", 8080);
    assert_endpoint("::", "::", 8080);
    assert_endpoint("fe80::1%eth0", "fe80::1%eth0", 8080);
    assert_endpoint("[fe80::1%eth0]:25", "fe80::1%eth0", 25);
    assert_endpoint("::ffff:127.0.0.1", "::ffff:127.0.0.1", 8080);
    assert_endpoint(":9000", "", 9000);
    assert_endpoint("", "", 8080);
}

static void test_endpoints_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "host:",
        "host:65536",
        "host:-1",
        "host:+1",
        "host: 80",
        "host:80 ",
        "host:8o80",
        ":",
        "[]",
        "[]:80",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[::1]x:80",
        "::1]",
        "a b",
        "a\tb:80",
        "a\nb",
        "\x7f:80",
        "[[::1]]:80",
        "h:80:90",
        "a:b:c",
        "127.0.0.1:80:",
        "[localhost]:80",
        "[1.2.3.4]",
        "1:2:3",
        "fe80::1%:80",
        "[fe80::1%]",
        "host:0x50",
        "host:99999999999999999999",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char host[TEXT_HOST_BYTES] = "untouched";
        uint16_t port = 7;
        if (text_parse_endpoint(wrong[i], 8080, host, &port))
            fail_msg("\"%s\" was taken for host \"%s\", port %u", wrong[i], host, (unsigned)port);
        assert_string_equal(host, "untouched");
        assert_int_equal(port, 7);
    }
}

static void test_endpoint_host_length(void **state)
{
    (void)state;
    for (size_t length = TEXT_HOST_BYTES - 2; length <= TEXT_HOST_BYTES + 1; length++) {
        char text[TEXT_HOST_BYTES + 10];
        char host[TEXT_HOST_BYTES];
        uint16_t port = 0;
        memset(text, 'a', length);
        memcpy(text + length, ":80", 4);
        assert_int_equal(text_parse_endpoint(text, 1, host, &port), length < TEXT_HOST_BYTES);
    }
}

static void test_format_endpoint(void **state)
{
    (void)state;
    char text[TEXT_ENDPOINT_BYTES];
    text_format_endpoint("localhost", 80, text);
    assert_string_equal(text, "localhost:80");
    text_format_endpoint("::1", 65535, text);
    assert_string_equal(text, "[::1]:65535");
    char host[TEXT_HOST_BYTES + 20];
    memset(host, ':', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    text_format_endpoint(host, 65535, text);
    assert_int_equal(strlen(text), TEXT_HOST_BYTES - 1 + strlen("[]:65535"));
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"listen", "cacert", "capath", "cert", "key", NULL};
    static const char *const none[] = {NULL};
    assert_string_equal(text_nearest("cacrt", names), "cacert");
    assert_string_equal(text_nearest("lsiten", names), "listen");
    assert_string_equal(text_nearest("kye", (const char *const[]){"keys", "kyes", NULL}), "kyes");
    assert_string_equal(text_nearest("cert", names), "cert");
    assert_null(text_nearest("x", names));
    assert_null(text_nearest("", names));
    assert_null(text_nearest("nothing-like-it", names));
    assert_null(text_nearest("cert", none));
}

static void test_nearest_of_a_very_long_word(void **state)
{
    (void)state;
    char word[4096];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_null(text_nearest(word, (const char *const[]){"a", word, NULL}));
    word[40] = '\0';
    assert_ptr_equal(text_nearest(word, (const char *const[]){word, NULL}), word);
}

UNIT_MAIN(cmocka_unit_test(test_u64), cmocka_unit_test(test_u64_limits),
          cmocka_unit_test(test_size_units), cmocka_unit_test(test_sizes_that_are_none),
          cmocka_unit_test(test_size_limits_and_overflow), cmocka_unit_test(test_duration_units),
          cmocka_unit_test(test_durations_that_are_none),
          cmocka_unit_test(test_duration_limits_and_overflow),
          cmocka_unit_test(test_endpoint_forms), cmocka_unit_test(test_endpoints_that_are_none),
          cmocka_unit_test(test_endpoint_host_length), cmocka_unit_test(test_format_endpoint),
          cmocka_unit_test(test_nearest), cmocka_unit_test(test_nearest_of_a_very_long_word))
