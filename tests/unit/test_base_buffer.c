/*
 * test_base_buffer.c — the bounded buffer: its maximum, its memory, and the wiping of secrets.
 *
 * malloc and free are wrapped by the linker (tests/CMakeLists.txt), so that an allocation can be
 * made to fail, and a block can be looked at in the moment in which it is given back.
 */
#include "base/buffer.h"
#include "support/unit.h"

#include <stdbool.h>
#include <stdlib.h>

enum { FREED_BYTES = 256 };

static bool malloc_fails;
static size_t malloc_calls;
/* What was in the block `freed_watched` when it was freed. */
static const void *freed_watched;
static unsigned char freed_contents[FREED_BYTES];

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker names them */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size)
{
    malloc_calls++;
    return malloc_fails ? NULL : __real_malloc(size);
}

void __wrap_free(void *memory)
{
    if (memory != NULL && memory == freed_watched) {
        memcpy(freed_contents, memory, sizeof freed_contents);
        freed_watched = NULL;
    }
    __real_free(memory);
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void assert_contents(const struct buffer *buffer, const char *expected)
{
    size_t length = strlen(expected);
    assert_int_equal(buffer->length, length);
    assert_memory_equal(buffer_bytes(buffer), expected, length);
}

static void test_new_buffer_holds_no_memory(void **state)
{
    (void)state;
    struct buffer buffer;
    malloc_calls = 0;
    buffer_init(&buffer, 100);
    assert_null(buffer_bytes(&buffer));
    assert_int_equal(buffer.length, 0);
    assert_int_equal(buffer_room(&buffer), 100);
    assert_ok(buffer_append(&buffer, NULL, 0));
    assert_int_equal(malloc_calls, 0);
    buffer_free(&buffer);
}

static void test_free_takes_null_and_repeats(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    buffer_free(NULL);
    buffer_wipe_free(NULL);
    buffer_wipe_free(&buffer);
    assert_ok(buffer_append(&buffer, "abc", 3));
    buffer_free(&buffer);
    buffer_free(&buffer);
    assert_null(buffer.memory);
}

static void test_free_buffer_can_be_used_again(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 3);
    assert_ok(buffer_append(&buffer, "abc", 3));
    buffer_free(&buffer);
    assert_int_equal(buffer_room(&buffer), 3);
    assert_ok(buffer_append(&buffer, "def", 3));
    assert_contents(&buffer, "def");
    buffer_free(&buffer);
}

/* One below the maximum, at it, and one above, for a maximum on each side of the first block. */
static void test_append_stops_at_maximum(void **state)
{
    (void)state;
    static const size_t maxima[] = {1, 255, 256, 257, 1000, 4096};
    static const unsigned char bytes[4097];
    for (size_t i = 0; i < sizeof maxima / sizeof maxima[0]; i++) {
        struct buffer buffer;
        buffer_init(&buffer, maxima[i]);
        assert_status(buffer_append(&buffer, bytes, maxima[i] + 1), CERTPOST_LIMIT);
        assert_int_equal(buffer.length, 0);
        assert_ok(buffer_append(&buffer, bytes, maxima[i] - 1));
        assert_int_equal(buffer_room(&buffer), 1);
        assert_status(buffer_append(&buffer, bytes, 2), CERTPOST_LIMIT);
        assert_int_equal(buffer.length, maxima[i] - 1);
        assert_ok(buffer_append(&buffer, bytes, 1));
        assert_status(buffer_append(&buffer, bytes, 1), CERTPOST_LIMIT);
        assert_int_equal(buffer.length, maxima[i]);
        assert_true(buffer.capacity <= maxima[i]);
        buffer_free(&buffer);
    }
}

static void test_length_near_size_max_is_over_the_limit(void **state)
{
    (void)state;
    struct buffer buffer;
    unsigned char *tail = NULL;
    buffer_init(&buffer, 100);
    assert_ok(buffer_append(&buffer, "abc", 3));
    assert_status(buffer_reserve(&buffer, SIZE_MAX, &tail), CERTPOST_LIMIT);
    assert_status(buffer_reserve(&buffer, SIZE_MAX - 2, &tail), CERTPOST_LIMIT);
    assert_null(tail);
    assert_contents(&buffer, "abc");
    buffer_free(&buffer);
}

static void test_maximum_zero_takes_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 0);
    assert_status(buffer_append(&buffer, "a", 1), CERTPOST_LIMIT);
    assert_ok(buffer_append(&buffer, "", 0));
    buffer_free(&buffer);
}

static void test_failed_allocation_leaves_contents(void **state)
{
    (void)state;
    struct buffer buffer;
    unsigned char *tail = NULL;
    static const unsigned char bytes[300];
    buffer_init(&buffer, 1000);
    malloc_fails = true;
    enum certpost_status first = buffer_append(&buffer, "abc", 3);
    malloc_fails = false;
    assert_status(first, CERTPOST_NO_MEMORY);
    assert_int_equal(buffer.length, 0);
    assert_ok(buffer_append(&buffer, "abc", 3));
    malloc_fails = true;
    enum certpost_status grown = buffer_append(&buffer, bytes, sizeof bytes);
    enum certpost_status reserved = buffer_reserve(&buffer, sizeof bytes, &tail);
    malloc_fails = false;
    assert_status(grown, CERTPOST_NO_MEMORY);
    assert_status(reserved, CERTPOST_NO_MEMORY);
    assert_null(tail);
    assert_contents(&buffer, "abc");
    buffer_free(&buffer);
}

static void test_contents_survive_growth_and_consuming(void **state)
{
    (void)state;
    struct buffer buffer;
    unsigned char next_in = 0;
    unsigned char next_out = 0;
    buffer_init(&buffer, 2000);
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 7; i++, next_in++)
            assert_ok(buffer_append(&buffer, &next_in, 1));
        for (int i = 0; i < (round < 250 ? 4 : 6); i++, next_out++) {
            assert_int_equal(buffer_bytes(&buffer)[0], next_out);
            buffer_consume(&buffer, 1);
        }
    }
    assert_int_equal(buffer.length, 250 * 3 + 250);
    for (; buffer.length > 0; next_out++) {
        assert_int_equal(buffer_bytes(&buffer)[0], next_out);
        buffer_consume(&buffer, 1);
    }
    buffer_free(&buffer);
}

static void test_consumed_room_is_used_again_without_allocation(void **state)
{
    (void)state;
    struct buffer buffer;
    static const unsigned char bytes[256];
    buffer_init(&buffer, sizeof bytes);
    assert_ok(buffer_append(&buffer, bytes, sizeof bytes));
    buffer_consume(&buffer, 200);
    malloc_calls = 0;
    assert_ok(buffer_append(&buffer, "0123456789", 10));
    assert_int_equal(malloc_calls, 0);
    assert_memory_equal(buffer_bytes(&buffer) + 56, "0123456789", 10);
    buffer_free(&buffer);
}

static void test_consume_more_than_there_is(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    buffer_consume(&buffer, 1);
    assert_ok(buffer_append(&buffer, "abc", 3));
    buffer_consume(&buffer, SIZE_MAX);
    assert_int_equal(buffer.length, 0);
    assert_int_equal(buffer_room(&buffer), 100);
    assert_ok(buffer_append(&buffer, "xyz", 3));
    assert_contents(&buffer, "xyz");
    buffer_free(&buffer);
}

static void test_reserve_nothing_of_an_empty_buffer(void **state)
{
    (void)state;
    struct buffer buffer;
    unsigned char *tail = (unsigned char *)&buffer;
    buffer_init(&buffer, 100);
    assert_ok(buffer_reserve(&buffer, 0, &tail));
    assert_null(tail);
    buffer_commit(&buffer, 0);
    assert_int_equal(buffer.length, 0);
    buffer_free(&buffer);
}

static void test_reserve_and_commit(void **state)
{
    (void)state;
    struct buffer buffer;
    unsigned char *tail = NULL;
    buffer_init(&buffer, 100);
    assert_ok(buffer_append(&buffer, "ab", 2));
    assert_ok(buffer_reserve(&buffer, 98, &tail));
    memset(tail, 'c', 2);
    buffer_commit(&buffer, 2);
    assert_contents(&buffer, "abcc");
    assert_status(buffer_reserve(&buffer, 97, &tail), CERTPOST_LIMIT);
    buffer_free(&buffer);
}

/* A caller that counts in more than it reserved must not make the buffer show foreign memory. */
static void test_commit_stops_at_what_is_allocated(void **state)
{
    (void)state;
    struct buffer buffer;
    unsigned char *tail = NULL;
    buffer_init(&buffer, 10);
    assert_ok(buffer_reserve(&buffer, 4, &tail));
    memset(tail, 'x', 4);
    buffer_commit(&buffer, SIZE_MAX);
    assert_true(buffer.length <= 10);
    buffer_free(&buffer);
    buffer_commit(&buffer, 1);
    assert_int_equal(buffer.length, 0);
}

static void test_integers_are_big_endian(void **state)
{
    (void)state;
    struct buffer buffer;
    static const unsigned char expected[] = {0xfe, 0x01, 0x02, 0x0a, 0x0b, 0x0c, 0x80, 0x00, 0x00,
                                             0x01, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    buffer_init(&buffer, sizeof expected);
    assert_ok(buffer_append_u8(&buffer, 0xfe));
    assert_ok(buffer_append_u16(&buffer, 0x0102));
    assert_ok(buffer_append_u24(&buffer, 0x0a0b0c));
    assert_ok(buffer_append_u32(&buffer, 0x80000001));
    assert_ok(buffer_append_u64(&buffer, 0x0123456789abcdef));
    assert_int_equal(buffer.length, sizeof expected);
    assert_memory_equal(buffer_bytes(&buffer), expected, sizeof expected);
    buffer_free(&buffer);
}

static void test_integer_that_does_not_fit_appends_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 7);
    assert_status(buffer_append_u64(&buffer, 1), CERTPOST_LIMIT);
    assert_ok(buffer_append_u32(&buffer, 1));
    assert_status(buffer_append_u32(&buffer, 1), CERTPOST_LIMIT);
    assert_ok(buffer_append_u24(&buffer, 1));
    assert_status(buffer_append_u8(&buffer, 1), CERTPOST_LIMIT);
    assert_int_equal(buffer.length, 7);
    buffer_free(&buffer);
}

static void test_clear_keeps_memory_and_release_gives_it_back(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    assert_ok(buffer_append(&buffer, "abc", 3));
    buffer_release_if_empty(&buffer);
    assert_contents(&buffer, "abc");
    buffer_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_non_null(buffer.memory);
    buffer_release_if_empty(&buffer);
    assert_null(buffer.memory);
    assert_int_equal(buffer.capacity, 0);
}

/* Fills the first block, FREED_BYTES long, with a secret, and watches it. */
static void fill_with_secret(struct buffer *buffer)
{
    unsigned char *tail = NULL;
    buffer_init(buffer, (size_t)10 * FREED_BYTES);
    assert_ok(buffer_reserve(buffer, FREED_BYTES, &tail));
    assert_int_equal(buffer->capacity, FREED_BYTES);
    memset(tail, 's', FREED_BYTES);
    buffer_commit(buffer, FREED_BYTES);
    memset(freed_contents, 'x', sizeof freed_contents);
    freed_watched = buffer->memory;
}

static void assert_wiped(void)
{
    static const unsigned char zeros[FREED_BYTES];
    assert_null(freed_watched);
    assert_memory_equal(freed_contents, zeros, sizeof zeros);
}

static void test_wipe_free_overwrites_the_secret(void **state)
{
    (void)state;
    struct buffer buffer;
    fill_with_secret(&buffer);
    /* Consumed bytes are still in the block: they count too. */
    buffer_consume(&buffer, 100);
    buffer_wipe_free(&buffer);
    assert_wiped();
}

static void test_growth_overwrites_the_old_block(void **state)
{
    (void)state;
    struct buffer buffer;
    fill_with_secret(&buffer);
    assert_ok(buffer_append(&buffer, "more", 4));
    assert_wiped();
    assert_int_equal(buffer.length, FREED_BYTES + 4);
    buffer_wipe_free(&buffer);
}

UNIT_MAIN(cmocka_unit_test(test_new_buffer_holds_no_memory),
          cmocka_unit_test(test_free_takes_null_and_repeats),
          cmocka_unit_test(test_free_buffer_can_be_used_again),
          cmocka_unit_test(test_append_stops_at_maximum),
          cmocka_unit_test(test_length_near_size_max_is_over_the_limit),
          cmocka_unit_test(test_maximum_zero_takes_nothing),
          cmocka_unit_test(test_failed_allocation_leaves_contents),
          cmocka_unit_test(test_contents_survive_growth_and_consuming),
          cmocka_unit_test(test_consumed_room_is_used_again_without_allocation),
          cmocka_unit_test(test_consume_more_than_there_is),
          cmocka_unit_test(test_reserve_nothing_of_an_empty_buffer),
          cmocka_unit_test(test_reserve_and_commit),
          cmocka_unit_test(test_commit_stops_at_what_is_allocated),
          cmocka_unit_test(test_integers_are_big_endian),
          cmocka_unit_test(test_integer_that_does_not_fit_appends_nothing),
          cmocka_unit_test(test_clear_keeps_memory_and_release_gives_it_back),
          cmocka_unit_test(test_wipe_free_overwrites_the_secret),
          cmocka_unit_test(test_growth_overwrites_the_old_block))
