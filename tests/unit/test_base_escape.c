/*
 * test_base_escape.c — what may not reach a terminal, and which bytes are UTF-8.
 *
 * The UTF-8 cases follow the syntax of RFC 3629, section 4.
 */
#include "base/text.h"
#include "support/unit.h"

static void assert_escaped(const char *bytes, size_t length, const char *expected)
{
    char text[256];
    size_t escaped = text_escape(bytes, length, text, sizeof text);
    assert_string_equal(text, expected);
    assert_int_equal(escaped, strlen(expected));
}

static void assert_escaped_text(const char *bytes, const char *expected)
{
    assert_escaped(bytes, strlen(bytes), expected);
}

static void test_plain_text_stays(void **state)
{
    (void)state;
    assert_escaped_text("", "");
    assert_escaped_text("Hello, server! \"quoted\" 'too' ~", "Hello, server! \"quoted\" 'too' ~");
    assert_escaped_text("Gr\xc3\xbc\xc3\x9f"
                        "e \xe2\x82\xac \xf0\x9f\x93\xac",
                        "Gr\xc3\xbc\xc3\x9f"
                        "e \xe2\x82\xac \xf0\x9f\x93\xac");
}

static void test_named_escapes(void **state)
{
    (void)state;
    assert_escaped_text("a\nb\rc\td\\e", "a\\nb\\rc\\td\\\\e");
    /* Typed escapes must not look like ours. */
    assert_escaped_text("\\x1b", "\\\\x1b");
}

static void test_control_bytes(void **state)
{
    (void)state;
    assert_escaped("\0", 1, "\\x00");
    assert_escaped_text("\x1b[2J\x07", "\\x1b[2J\\x07");
    assert_escaped_text("\x7f", "\\x7f");
    for (unsigned byte = 0; byte < 0x20; byte++) {
        char in = (char)byte;
        char text[8];
        assert_true(text_escape(&in, 1, text, sizeof text) >= 2);
        assert_int_equal(text[0], '\\');
    }
}

/* U+0080 to U+009F: an 8-bit CSI drives a terminal just like ESC [ does. */
static void test_c1_controls(void **state)
{
    (void)state;
    assert_escaped_text("\xc2\x9b"
                        "2J",
                        "\\xc2\\x9b2J");
    assert_escaped_text("\xc2\x80", "\\xc2\\x80");
    assert_escaped_text("\xc2\xa0", "\xc2\xa0");
    assert_escaped_text("\x9b", "\\x9b");
}

static void test_direction_and_invisible_characters(void **state)
{
    (void)state;
    static const char *const unsafe[] = {
        "\xd8\x9c",         /* U+061C Arabic letter mark */
        "\xe2\x80\x8b",     /* U+200B zero width space */
        "\xe2\x80\x8f",     /* U+200F right-to-left mark */
        "\xe2\x80\xa8",     /* U+2028 line separator */
        "\xe2\x80\xa9",     /* U+2029 paragraph separator */
        "\xe2\x80\xae",     /* U+202E right-to-left override */
        "\xe2\x81\xa6",     /* U+2066 left-to-right isolate */
        "\xe2\x81\xa9",     /* U+2069 pop directional isolate */
        "\xe2\x81\xaf",     /* U+206F nominal digit shapes */
        "\xc2\xad",         /* U+00AD soft hyphen */
        "\xe1\xa0\x8e",     /* U+180E Mongolian vowel separator */
        "\xef\xbb\xbf",     /* U+FEFF byte order mark */
        "\xef\xbf\xbb",     /* U+FFFB interlinear annotation terminator */
        "\xf3\xa0\x80\x81", /* U+E0001 language tag */
    };
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
        char text[64];
        size_t length = text_escape(unsafe[i], strlen(unsafe[i]), text, sizeof text);
        assert_int_equal(length, 4 * strlen(unsafe[i]));
        assert_memory_equal(text, "\\x", 2);
    }
    /* The neighbours of the ranges are ordinary. */
    assert_escaped_text("\xe2\x80\x90\xe2\x80\xaf\xe2\x81\xb0",
                        "\xe2\x80\x90\xe2\x80\xaf\xe2\x81\xb0");
}

static void test_invalid_utf8_bytes(void **state)
{
    (void)state;
    assert_escaped_text("\x80", "\\x80");                 /* continuation alone */
    assert_escaped_text("a\xc3", "a\\xc3");               /* cut after the lead byte */
    assert_escaped_text("\xe2\x82", "\\xe2\\x82");        /* cut in the middle */
    assert_escaped_text("\xe2\x82z", "\\xe2\\x82z");      /* broken off by a letter */
    assert_escaped_text("\xff\xfe", "\\xff\\xfe");        /* never valid */
    assert_escaped_text("\xc3\xc3\xbc", "\\xc3\xc3\xbc"); /* a valid one follows */
}

static void test_overlong_forms(void **state)
{
    (void)state;
    assert_escaped_text("\xc0\xaf", "\\xc0\\xaf");
    assert_escaped_text("\xc1\x9b", "\\xc1\\x9b");
    assert_escaped_text("\xe0\x80\x9b", "\\xe0\\x80\\x9b");
    assert_escaped_text("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");
    assert_escaped_text("\xf0\x80\x80\x8a", "\\xf0\\x80\\x80\\x8a");
    assert_escaped_text("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf");
}

static void test_surrogates_and_beyond_unicode(void **state)
{
    (void)state;
    assert_escaped_text("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* U+D800 */
    assert_escaped_text("\xed\xbf\xbf", "\\xed\\xbf\\xbf");          /* U+DFFF */
    assert_escaped_text("\xed\x9f\xbf", "\xed\x9f\xbf");             /* U+D7FF is fine */
    assert_escaped_text("\xf4\x8f\xbf\xbd", "\xf4\x8f\xbf\xbd");     /* U+10FFFD is fine */
    assert_escaped_text("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* U+110000 */
    assert_escaped_text("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
}

static void test_utf8_length_at_each_boundary(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
        {"\x7f", 1},         {"\xc2\x80", 2},         {"\xdf\xbf", 2},         {"\xe0\xa0\x80", 3},
        {"\xef\xbf\xbf", 3}, {"\xf0\x90\x80\x80", 4}, {"\xf4\x8f\xbf\xbf", 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const unsigned char *bytes = (const unsigned char *)rows[i].bytes;
        assert_int_equal(text_utf8_length(bytes, rows[i].length), rows[i].length);
        assert_int_equal(text_utf8_length(bytes, rows[i].length + 1), rows[i].length);
        assert_int_equal(text_utf8_length(bytes, rows[i].length - 1), 0);
    }
}

static void test_small_room_cuts_at_whole_escapes(void **state)
{
    (void)state;
    static const char in[] = "a\x1b\xe2\x82\xac\n";
    static const char *const cut_at[] = {"",
                                         "a",
                                         "a",
                                         "a",
                                         "a",
                                         "a\\x1b",
                                         "a\\x1b",
                                         "a\\x1b",
                                         "a\\x1b\xe2\x82\xac",
                                         "a\\x1b\xe2\x82\xac",
                                         "a\\x1b\xe2\x82\xac\\n"};
    for (size_t capacity = 1; capacity <= sizeof cut_at / sizeof cut_at[0]; capacity++) {
        char text[32];
        memset(text, '#', sizeof text);
        size_t length = text_escape(in, sizeof in - 1, text, capacity);
        assert_string_equal(text, cut_at[capacity - 1]);
        assert_int_equal(length, strlen(text));
        assert_int_equal(text[capacity], '#');
    }
}

/* Any bytes: the result is shorter than promised, printable, and valid UTF-8 to its end. */
static void test_random_bytes_come_out_printable(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 20000; round++) {
        unsigned char bytes[24];
        char text[TEXT_ESCAPE_MAX * sizeof bytes + 1];
        size_t length = (size_t)round % sizeof bytes;
        for (size_t i = 0; i < length; i++) {
            seed = seed * 1664525U + 1013904223U;
            /* Mostly high bytes: that is where the many cases are. */
            bytes[i] = (unsigned char)((seed >> 24) | (seed & 0x100 ? 0x80 : 0));
        }
        size_t escaped = text_escape(bytes, length, text, sizeof text);
        assert_true(escaped <= TEXT_ESCAPE_MAX * length);
        for (size_t at = 0; at < escaped;) {
            size_t step = text_utf8_length((const unsigned char *)text + at, escaped - at);
            assert_true(step > 0);
            assert_true((unsigned char)text[at] >= ' ' && text[at] != 0x7f);
            at += step;
        }
    }
}

UNIT_MAIN(cmocka_unit_test(test_plain_text_stays), cmocka_unit_test(test_named_escapes),
          cmocka_unit_test(test_control_bytes), cmocka_unit_test(test_c1_controls),
          cmocka_unit_test(test_direction_and_invisible_characters),
          cmocka_unit_test(test_invalid_utf8_bytes), cmocka_unit_test(test_overlong_forms),
          cmocka_unit_test(test_surrogates_and_beyond_unicode),
          cmocka_unit_test(test_utf8_length_at_each_boundary),
          cmocka_unit_test(test_small_room_cuts_at_whole_escapes),
          cmocka_unit_test(test_random_bytes_come_out_printable))
