/*
 * test_base_json.c — JSON documents: structure, hostile text, and a buffer that is too small.
 */
#include "base/json.h"
#include "support/unit.h"

static struct buffer buffer;
static struct json_writer json;

static void begin(size_t max_bytes)
{
    buffer_init(&buffer, max_bytes);
    json_start(&json, &buffer);
}

static void assert_document(const char *expected)
{
    assert_ok(json_finish(&json));
    assert_int_equal(buffer.length, strlen(expected));
    assert_memory_equal(buffer_bytes(&buffer), expected, buffer.length);
    buffer_free(&buffer);
}

static void test_values_of_every_kind(void **state)
{
    (void)state;
    begin(1000);
    json_object(&json, NULL);
    json_u64(&json, "most", UINT64_MAX);
    json_i64(&json, "least", INT64_MIN);
    json_bool(&json, "yes", true);
    json_bool(&json, "no", false);
    json_null(&json, "nothing");
    json_text(&json, "text", "a b");
    json_text(&json, "none", NULL);
    json_end_object(&json);
    assert_document("{\"most\":18446744073709551615,\"least\":-9223372036854775808,\"yes\":true,"
                    "\"no\":false,\"nothing\":null,\"text\":\"a b\",\"none\":null}");
}

static void test_nesting_has_its_commas(void **state)
{
    (void)state;
    begin(1000);
    json_object(&json, NULL);
    json_array(&json, "empty");
    json_end_array(&json);
    json_array(&json, "rows");
    for (unsigned i = 0; i < 2; i++) {
        json_object(&json, NULL);
        json_u64(&json, "i", i);
        json_end_object(&json);
    }
    json_u64(&json, NULL, 7);
    json_end_array(&json);
    json_object(&json, "object");
    json_end_object(&json);
    json_end_object(&json);
    assert_document("{\"empty\":[],\"rows\":[{\"i\":0},{\"i\":1},7],\"object\":{}}");
}

static void test_quotes_controls_and_backslashes(void **state)
{
    (void)state;
    begin(1000);
    json_bytes(&json, NULL, "a\"b\\c\n\x01</script>", 16);
    assert_document("\"a\\\"b\\\\\\\\c\\\\n\\\\x01</script>\"");
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    begin(1000);
    json_bytes(&json, NULL, "\xff\xc3\xa4\xe2\x80\xae\0", 7);
    assert_document("\"\\\\xff\xc3\xa4\\\\xe2\\\\x80\\\\xae\\\\x00\"");
}

/* Wherever a piece ends, a character of several bytes stays whole. */
static void test_long_text_is_cut_at_no_character(void **state)
{
    (void)state;
    for (size_t lead = 0; lead < 8; lead++) {
        char text[8 + 300 * 3 + 1] = "";
        char expected[sizeof text + 2];
        memset(text, 'x', lead);
        for (size_t i = 0; i < 300; i++)
            memcpy(text + lead + 3 * i, "\xe2\x82\xac", 3);
        text[lead + 900] = '\0';
        snprintf(expected, sizeof expected, "\"%s\"", text);
        begin(10000);
        json_text(&json, NULL, text);
        assert_document(expected);
    }
}

static void test_full_buffer_is_told_once_and_kept(void **state)
{
    (void)state;
    begin(12);
    json_object(&json, NULL);
    json_text(&json, "key", "a long value");
    json_end_object(&json);
    assert_status(json_finish(&json), CERTPOST_LIMIT);
    assert_true(buffer.length <= 12);
    size_t length = buffer.length;
    json_u64(&json, NULL, 1);
    assert_int_equal(buffer.length, length);
    buffer_free(&buffer);
}

static void test_exact_text_gives_the_same_characters_back(void **state)
{
    (void)state;
    begin(1000);
    json_object(&json, NULL);
    json_exact(&json, "a", "q\"b\\n\n\x01", 7);
    json_exact_text(&json, "b", "\xc3\xa4\xe2\x80\xae\xf0\x9f\x98\x80\xf3\xa0\x80\x81");
    json_exact(&json, "c", "", 0);
    json_exact_text(&json, "d", NULL);
    json_end_object(&json);
    assert_document("{\"a\":\"q\\\"b\\\\n\\u000a\\u0001\",\"b\":\"\xc3\xa4\\u202e\xf0\x9f\x98\x80"
                    "\\udb40\\udc01\",\"c\":\"\",\"d\":null}");
}

static void test_exact_bytes_that_are_no_text(void **state)
{
    (void)state;
    char bytes[3072 + 2];
    char expected[4 * sizeof bytes];
    memset(bytes, 0xff, sizeof bytes);
    size_t used = (size_t)snprintf(expected, sizeof expected, "{\"m_base64\":\"");
    for (size_t i = 0; i < sizeof bytes / 3; i++)
        used += (size_t)snprintf(expected + used, sizeof expected - used, "////");
    snprintf(expected + used, sizeof expected - used, "//8=\"}");
    begin(sizeof expected);
    json_object(&json, NULL);
    json_exact(&json, "m", bytes, sizeof bytes);
    json_end_object(&json);
    assert_document(expected);
}

static void test_hex_and_thousandths(void **state)
{
    (void)state;
    begin(1000);
    json_object(&json, NULL);
    json_hex(&json, "hex", "\x00\xa9\xff", 3);
    json_hex(&json, "none", "", 0);
    json_thousandths(&json, "a", 12034);
    json_thousandths(&json, "b", 7);
    json_thousandths(&json, "c", -7);
    json_thousandths(&json, "d", -1007);
    json_end_object(&json);
    assert_document("{\"hex\":\"00a9ff\",\"none\":\"\",\"a\":12.034,\"b\":0.007,\"c\":-0.007,"
                    "\"d\":-1.007}");
}

static void test_a_stream_gets_the_same_document(void **state)
{
    (void)state;
    char text[64] = "";
    FILE *stream = fmemopen(text, sizeof text, "w");
    assert_non_null(stream);
    json_start_stream(&json, stream);
    json_object(&json, NULL);
    json_array(&json, "list");
    json_bytes(&json, NULL, "a\nb", 3);
    json_u64(&json, NULL, 7);
    json_end_array(&json);
    json_exact(&json, "exact", "a\nb", 3);
    json_end_object(&json);
    assert_ok(json_finish(&json));
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(text, "{\"list\":[\"a\\\\nb\",7],\"exact\":\"a\\u000ab\"}");
}

UNIT_MAIN(cmocka_unit_test(test_values_of_every_kind),
          cmocka_unit_test(test_nesting_has_its_commas),
          cmocka_unit_test(test_quotes_controls_and_backslashes),
          cmocka_unit_test(test_bytes_that_are_no_text),
          cmocka_unit_test(test_long_text_is_cut_at_no_character),
          cmocka_unit_test(test_full_buffer_is_told_once_and_kept),
          cmocka_unit_test(test_exact_text_gives_the_same_characters_back),
          cmocka_unit_test(test_exact_bytes_that_are_no_text),
          cmocka_unit_test(test_hex_and_thousandths),
          cmocka_unit_test(test_a_stream_gets_the_same_document))
