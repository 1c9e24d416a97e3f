/* test_base_cursor.c — the cursor takes all that was asked for, or nothing. */
#include "base/cursor.h"
#include "support/unit.h"

#include <stdlib.h>

/* The bytes in a block of exactly their size, so that a sanitizer sees a read one past the end. */
struct exact_bytes {
    unsigned char *block;
    struct cursor cursor;
};

static struct exact_bytes exact_bytes(size_t length)
{
    unsigned char *block = malloc(length > 0 ? length : 1);
    assert_non_null(block);
    for (size_t i = 0; i < length; i++)
        block[i] = (unsigned char)(i + 1);
    return (struct exact_bytes){block, cursor_over(block, length)};
}

static void test_integers_are_big_endian(void **state)
{
    (void)state;
    struct exact_bytes exact = exact_bytes(18);
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u24 = 0;
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    assert_true(cursor_read_u8(&exact.cursor, &u8));
    assert_true(cursor_read_u16(&exact.cursor, &u16));
    assert_true(cursor_read_u24(&exact.cursor, &u24));
    assert_true(cursor_read_u32(&exact.cursor, &u32));
    assert_true(cursor_read_u64(&exact.cursor, &u64));
    assert_int_equal(u8, 0x01);
    assert_int_equal(u16, 0x0203);
    assert_int_equal(u24, 0x040506);
    assert_int_equal(u32, 0x0708090a);
    assert_true(u64 == UINT64_C(0x0b0c0d0e0f101112));
    assert_int_equal(exact.cursor.left_bytes, 0);
    free(exact.block);
}

/* Reads an integer of `width` bytes; what it writes when it fails would be seen. */
static bool read_width(struct cursor *cursor, size_t width, uint64_t *ret_value)
{
    uint8_t u8 = 0xee;
    uint16_t u16 = 0xeeee;
    uint32_t u32 = 0xeeeeee;
    uint64_t u64 = 0xeeeeee;
    bool done = width == 1   ? cursor_read_u8(cursor, &u8)
                : width == 2 ? cursor_read_u16(cursor, &u16)
                : width == 3 ? cursor_read_u24(cursor, &u32)
                : width == 4 ? cursor_read_u32(cursor, &u32)
                             : cursor_read_u64(cursor, &u64);
    *ret_value = width == 1 ? u8 : width == 2 ? u16 : width <= 4 ? u32 : u64;
    return done;
}

static void test_one_byte_too_few_reads_nothing(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 3, 4, 8};
    static const uint64_t untouched[] = {0xee, 0xeeee, 0xeeeeee, 0xeeeeee, 0xeeeeee};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        for (size_t length = 0; length < widths[i]; length++) {
            struct exact_bytes exact = exact_bytes(length);
            uint64_t value = 0;
            assert_false(read_width(&exact.cursor, widths[i], &value));
            assert_true(value == untouched[i]);
            assert_ptr_equal(exact.cursor.next, exact.block);
            assert_int_equal(exact.cursor.left_bytes, length);
            free(exact.block);
        }
        struct exact_bytes exact = exact_bytes(widths[i]);
        uint64_t value = 0;
        assert_true(read_width(&exact.cursor, widths[i], &value));
        assert_int_equal(exact.cursor.left_bytes, 0);
        free(exact.block);
    }
}

static void test_take_at_and_over_the_end(void **state)
{
    (void)state;
    struct exact_bytes exact = exact_bytes(5);
    const unsigned char *taken = NULL;
    assert_false(cursor_take(&exact.cursor, 6, &taken));
    assert_false(cursor_take(&exact.cursor, SIZE_MAX, &taken));
    assert_null(taken);
    assert_true(cursor_take(&exact.cursor, 4, &taken));
    assert_ptr_equal(taken, exact.block);
    assert_false(cursor_take(&exact.cursor, 2, &taken));
    assert_true(cursor_take(&exact.cursor, 1, &taken));
    assert_ptr_equal(taken, exact.block + 4);
    assert_true(cursor_take(&exact.cursor, 0, &taken));
    assert_false(cursor_take(&exact.cursor, 1, &taken));
    free(exact.block);
}

static void test_cursor_over_nothing(void **state)
{
    (void)state;
    struct cursor cursor = cursor_over(NULL, 0);
    const unsigned char *taken = NULL;
    uint8_t value = 0;
    size_t offset = 0;
    assert_true(cursor_take(&cursor, 0, &taken));
    assert_false(cursor_take(&cursor, 1, &taken));
    assert_false(cursor_read_u8(&cursor, &value));
    assert_false(cursor_read_str8(&cursor, &taken, &offset));
    assert_false(cursor_find(&cursor, 0, &offset));
}

static void test_str8(void **state)
{
    (void)state;
    static const unsigned char bytes[] = "\x03"
                                         "abc"
                                         "\x00"
                                         "\x02"
                                         "x";
    struct cursor cursor = cursor_over(bytes, sizeof bytes - 1);
    const unsigned char *text = NULL;
    size_t length = 99;
    assert_true(cursor_read_str8(&cursor, &text, &length));
    assert_int_equal(length, 3);
    assert_memory_equal(text, "abc", 3);
    assert_true(cursor_read_str8(&cursor, &text, &length));
    assert_int_equal(length, 0);
    length = 99;
    assert_false(cursor_read_str8(&cursor, &text, &length));
    assert_int_equal(length, 99);
    assert_int_equal(cursor.left_bytes, 2);
}

static void test_str8_of_255_bytes(void **state)
{
    (void)state;
    unsigned char bytes[256] = {255};
    const unsigned char *text = NULL;
    size_t length = 0;
    struct cursor shorter = cursor_over(bytes, 255);
    assert_false(cursor_read_str8(&shorter, &text, &length));
    assert_int_equal(shorter.left_bytes, 255);
    struct cursor exact = cursor_over(bytes, 256);
    assert_true(cursor_read_str8(&exact, &text, &length));
    assert_int_equal(length, 255);
    assert_int_equal(exact.left_bytes, 0);
}

static void test_find(void **state)
{
    (void)state;
    struct cursor cursor = cursor_over("ab\ncd\n", 6);
    const unsigned char *taken = NULL;
    size_t offset = 99;
    assert_false(cursor_find(&cursor, 'x', &offset));
    assert_int_equal(offset, 99);
    assert_true(cursor_find(&cursor, '\n', &offset));
    assert_int_equal(offset, 2);
    assert_true(cursor_take(&cursor, 3, &taken));
    assert_true(cursor_find(&cursor, '\n', &offset));
    assert_int_equal(offset, 2);
    assert_true(cursor_find(&cursor, 'c', &offset));
    assert_int_equal(offset, 0);
    /* Only what is left counts, not what lies behind it. */
    cursor.left_bytes = 2;
    assert_false(cursor_find(&cursor, '\n', &offset));
}

UNIT_MAIN(cmocka_unit_test(test_integers_are_big_endian),
          cmocka_unit_test(test_one_byte_too_few_reads_nothing),
          cmocka_unit_test(test_take_at_and_over_the_end),
          cmocka_unit_test(test_cursor_over_nothing), cmocka_unit_test(test_str8),
          cmocka_unit_test(test_str8_of_255_bytes), cmocka_unit_test(test_find))
