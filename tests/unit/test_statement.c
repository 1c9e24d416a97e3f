/*
 * test_statement.c — the text of a receipt: one text for each statement, one statement for each
 * text.
 */
#include "support/unit.h"
#include "wire/statement.h"

#include <stdlib.h>

#define HEADER "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
#define HEX16  "00112233445566778899aabbccddeeff"

static const char example[] = HEADER "certpost-receipt: 1\r\n"
                                     "server: post.example\r\n"
                                     "identity: dns:sensor.example\r\n"
                                     "stream: temperature\r\n"
                                     "seq: 42\r\n"
                                     "digest: " HEX16 HEX16 "\r\n"
                                     "time: 2026-11-22T13:21:17.123Z\r\n";

static void fill(unsigned char *bytes, size_t *ret_length, const void *value, size_t length)
{
    memcpy(bytes, value, length);
    *ret_length = length;
}

static struct statement example_statement(void)
{
    struct statement statement = {.seq = 42, .time_ms = INT64_C(1795353677123)};
    fill(statement.server, &statement.server_length, "post.example", 12);
    fill(statement.identity, &statement.identity_length, "dns:sensor.example", 18);
    fill(statement.stream, &statement.stream_length, "temperature", 11);
    for (unsigned i = 0; i < CHAIN_DIGEST_BYTES; i++)
        statement.digest[i] = (unsigned char)((i % 16) * 0x11);
    return statement;
}

static void assert_same(const struct statement *left, const struct statement *right)
{
    assert_int_equal(left->server_length, right->server_length);
    assert_int_equal(left->identity_length, right->identity_length);
    assert_int_equal(left->stream_length, right->stream_length);
    assert_memory_equal(left->server, right->server, left->server_length);
    assert_memory_equal(left->identity, right->identity, left->identity_length);
    assert_memory_equal(left->stream, right->stream, left->stream_length);
    assert_int_equal(left->seq, right->seq);
    assert_memory_equal(left->digest, right->digest, CHAIN_DIGEST_BYTES);
    assert_int_equal(left->time_ms, right->time_ms);
}

static void assert_round_trip(const struct statement *statement)
{
    struct buffer text;
    struct statement back;
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    assert_ok(statement_append(&text, statement));
    assert_ok(statement_parse(buffer_bytes(&text), text.length, &back, NULL));
    assert_same(statement, &back);
    buffer_free(&text);
}

/* From memory of exactly that size, so that a sanitizer sees a read past the end. */
static enum certpost_status parse_exactly(const void *text, size_t length,
                                          struct certpost_error *error)
{
    struct statement statement;
    void *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    enum certpost_status status = statement_parse(copy, length, &statement, error);
    free(copy);
    return status;
}

/* The example with `old` replaced by `new` must be refused, with `words` in the text. */
static void assert_refused(const char *old, const char *new, const char *words)
{
    char text[sizeof example + 8192];
    const char *at = strstr(example, old);
    assert_non_null(at);
    int length = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - example), example, new,
                          at + strlen(old));
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(parse_exactly(text, (size_t)length, &error), CERTPOST_PROTOCOL);
    if (strstr(error.text, words) == NULL)
        fail_msg("%s -> %s: %s", old, new, error.text);
}

static void test_example_is_written_as_documented(void **state)
{
    (void)state;
    struct statement statement = example_statement();
    struct buffer text;
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    assert_ok(statement_append(&text, &statement));
    assert_int_equal(text.length, sizeof example - 1);
    assert_memory_equal(buffer_bytes(&text), example, sizeof example - 1);
    buffer_free(&text);
}

static void test_example_is_read(void **state)
{
    (void)state;
    struct statement statement;
    struct statement expected = example_statement();
    assert_ok(statement_parse(example, sizeof example - 1, &statement, NULL));
    assert_same(&expected, &statement);
}

static void test_every_byte_in_every_place_survives(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        struct statement statement = example_statement();
        memset(statement.identity, (int)byte, 3);
        statement.identity_length = 3;
        statement.stream[0] = (unsigned char)byte;
        statement.stream[5] = (unsigned char)byte;
        statement.stream[statement.stream_length - 1] = (unsigned char)byte;
        statement.server[0] = (unsigned char)byte;
        statement.server_length = byte % 2;
        assert_round_trip(&statement);
    }
}

static void test_longest_values_survive(void **state)
{
    (void)state;
    struct statement statement = {.seq = INT64_MAX, .time_ms = STATEMENT_TIME_MAX_MS};
    statement.server_length = sizeof statement.server;
    statement.identity_length = sizeof statement.identity;
    statement.stream_length = sizeof statement.stream;
    memset(statement.digest, 0xff, sizeof statement.digest);
    assert_round_trip(&statement); /* every byte is NUL, and escaped */
    memset(statement.identity, 'a', sizeof statement.identity);
    assert_round_trip(&statement);
}

static void test_empty_values_survive(void **state)
{
    (void)state;
    struct statement statement = {0};
    assert_round_trip(&statement);
}

static void test_times_survive(void **state)
{
    (void)state;
    static const int64_t times_ms[] = {
        0,
        1,
        999,
        1000,
        INT64_C(951782400000), /* 2000-02-29 */
        INT64_C(951868799999),
        INT64_C(1709164800000), /* 2024-02-29 */
        INT64_C(4107542400000), /* 2100-03-01 */
        INT64_C(253402300799999),
    };
    struct statement statement = example_statement();
    for (size_t i = 0; i < sizeof times_ms / sizeof times_ms[0]; i++) {
        statement.time_ms = times_ms[i];
        assert_round_trip(&statement);
    }
    for (int64_t day = 0; day < 60000; day += 13) {
        statement.time_ms = day * 86400000 + 12345;
        assert_round_trip(&statement);
    }
}

static void test_values_out_of_bounds_are_not_written(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    struct statement statement = example_statement();
    statement.time_ms = -1;
    assert_status(statement_append(&text, &statement), CERTPOST_USAGE);
    statement.time_ms = STATEMENT_TIME_MAX_MS + 1;
    assert_status(statement_append(&text, &statement), CERTPOST_USAGE);
    statement = example_statement();
    statement.seq = (uint64_t)INT64_MAX + 1;
    assert_status(statement_append(&text, &statement), CERTPOST_USAGE);
    statement = example_statement();
    statement.server_length = sizeof statement.server + 1;
    assert_status(statement_append(&text, &statement), CERTPOST_USAGE);
    statement = example_statement();
    statement.identity_length = sizeof statement.identity + 1;
    assert_status(statement_append(&text, &statement), CERTPOST_USAGE);
    statement = example_statement();
    statement.stream_length = sizeof statement.stream + 1;
    assert_status(statement_append(&text, &statement), CERTPOST_USAGE);
    assert_int_equal(text.length, 0);
    buffer_free(&text);
    buffer_init(&text, 100);
    statement = example_statement();
    assert_status(statement_append(&text, &statement), CERTPOST_LIMIT);
    assert_int_equal(text.length, 0);
    buffer_free(&text);
}

static void test_two_hyphens_never_stand_together(void **state)
{
    (void)state;
    struct statement statement = example_statement();
    fill(statement.stream, &statement.stream_length, "--certpost-receipt--", 20);
    struct buffer text;
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    assert_ok(statement_append(&text, &statement));
    assert_null(memmem(buffer_bytes(&text), text.length, "--", 2));
    buffer_free(&text);
    assert_round_trip(&statement);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof example - 1; length++)
        assert_status(parse_exactly(example, length, NULL), CERTPOST_PROTOCOL);
}

static void test_every_altered_byte_is_refused_or_another_statement(void **state)
{
    (void)state;
    char text[sizeof example];
    struct statement original = example_statement();
    for (size_t at = 0; at < sizeof example - 1; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            struct statement found = {0};
            memcpy(text, example, sizeof example);
            text[at] = (char)((unsigned char)text[at] ^ flip);
            if (statement_parse(text, sizeof example - 1, &found, NULL) != CERTPOST_OK)
                continue;
            assert_memory_not_equal(&found, &original, sizeof found);
        }
    }
}

static void test_other_spellings_are_refused(void **state)
{
    (void)state;
    assert_refused("post.example", "post\\x2eexample", "canonical");
    assert_refused("post.example", " post.example", "canonical");
    assert_refused("post.example", "post.example ", "canonical");
    assert_refused("post.example", "p\303\266st.example", "canonical");
    assert_refused("post.example", "p--st", "canonical");
    assert_refused("post.example", "p\\xF6st", "escape");
    assert_refused("post.example", "p\\nst", "escape");
    assert_refused("post.example", "p\\x", "escape");
    assert_refused("server: post.example", "server: ", "canonical");
    assert_refused("server: ", "server:", "canonical");
    assert_refused("seq: 42", "seq: 042", "canonical");
    assert_refused("seq: 42", "seq: +42", "seq");
    assert_refused("seq: 42", "seq:", "seq");
    assert_refused("seq: 42", "seq: 9223372036854775808", "seq");
    assert_refused("seq: 42", "seq: 99999999999999999999999", "seq");
    assert_refused("aabb", "AABB", "digest");
    assert_refused("aabb", "aab", "digest");
    assert_refused("aabb", "aabbcc", "digest");
}

static void test_other_times_are_refused(void **state)
{
    (void)state;
    assert_refused("17.123Z", "17Z", "time");
    assert_refused("17.123Z", "17.123+", "time");
    assert_refused("17.123Z", "60.123Z", "canonical");
    assert_refused("T13:", "T24:", "canonical");
    assert_refused("T13:", " 13:", "time");
    assert_refused("2026-11-22", "2026-02-29", "canonical");
    assert_refused("2026-11-22", "2026-13-01", "time");
    assert_refused("2026-11-22", "2026-00-01", "time");
    assert_refused("2026-11-22", "2026-11-00", "time");
    assert_refused("2026-11-22", "1969-12-31", "time");
    assert_refused("2026-11-22", "9999-12-32", "time");
}

static void test_lines_out_of_place_are_refused(void **state)
{
    (void)state;
    assert_refused("certpost-receipt: 1", "certpost-receipt: 2", "version");
    assert_refused("certpost-receipt: 1", "certpost-receipt: 11", "version");
    assert_refused("certpost-receipt: 1\r\n", "", "certpost-receipt");
    assert_refused("stream: temperature\r\n", "", "stream");
    assert_refused("seq: 42\r\n", "seq: 42\r\nseq: 43\r\n", "digest");
    assert_refused("seq: 42", "stream: temperature", "seq");
    assert_refused(".123Z\r\n", ".123Z\r\ntime: now\r\n", "goes on");
    assert_refused(".123Z\r\n", ".123Z\r\n\r\n", "goes on");
    assert_refused("seq: 42\r\n", "seq: 42\n", "CR LF");
    assert_refused("Content-Type", "content-type", "begin");
}

static void test_values_too_long_are_refused(void **state)
{
    (void)state;
    char value[STATEMENT_IDENTITY_MAX_BYTES + 2];
    memset(value, 'a', sizeof value);
    value[sizeof value - 1] = '\0';
    assert_refused("dns:sensor.example", value, "1024");
    value[STATEMENT_STREAM_MAX_BYTES + 1] = '\0';
    assert_refused("temperature", value, "255");
    assert_refused("post.example", value, "255");
}

static void test_longer_than_any_is_refused(void **state)
{
    (void)state;
    struct certpost_error error;
    static char text[STATEMENT_TEXT_MAX_BYTES + 1];
    certpost_error_clear(&error);
    memset(text, 'a', sizeof text);
    memcpy(text, example, sizeof example - 1);
    assert_status(parse_exactly(text, sizeof text, &error), CERTPOST_PROTOCOL);
    assert_non_null(strstr(error.text, "longer"));
}

UNIT_MAIN(cmocka_unit_test(test_example_is_written_as_documented),
          cmocka_unit_test(test_example_is_read),
          cmocka_unit_test(test_every_byte_in_every_place_survives),
          cmocka_unit_test(test_longest_values_survive),
          cmocka_unit_test(test_empty_values_survive), cmocka_unit_test(test_times_survive),
          cmocka_unit_test(test_values_out_of_bounds_are_not_written),
          cmocka_unit_test(test_two_hyphens_never_stand_together),
          cmocka_unit_test(test_every_cut_is_refused),
          cmocka_unit_test(test_every_altered_byte_is_refused_or_another_statement),
          cmocka_unit_test(test_other_spellings_are_refused),
          cmocka_unit_test(test_other_times_are_refused),
          cmocka_unit_test(test_lines_out_of_place_are_refused),
          cmocka_unit_test(test_values_too_long_are_refused),
          cmocka_unit_test(test_longer_than_any_is_refused))
