/* test_frame.c — cutting bytes into frames: every split, every truncation, every bound. */
#include "support/unit.h"
#include "wire/frame.h"

static const uint32_t all_types = UINT32_MAX;

/* PING, an empty MESSAGE, a MESSAGE of 5 bytes, BYE. */
static const unsigned char sample[] = {8, 0, 0, 8, 1, 2,   3,   4,   5,   6,   7, 8, 3, 0, 0,
                                       0, 3, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 7, 0, 0, 0};

struct collected {
    unsigned types[8];
    size_t lengths[8];
    unsigned char last_message[8];
    size_t count;
};

static void collect(struct frame_decoder *decoder, struct cursor *input, struct collected *all)
{
    struct frame frame = {0};
    while (frame_decoder_next(decoder, input, all_types, &frame, NULL) == CERTPOST_OK) {
        all->types[all->count] = frame.type;
        all->lengths[all->count++] = frame.length;
        if (frame.type == FRAME_MESSAGE && frame.length > 0)
            memcpy(all->last_message, frame.body, frame.length);
    }
}

static void check_sample(const struct collected *all)
{
    static const unsigned types[] = {FRAME_PING, FRAME_MESSAGE, FRAME_MESSAGE, FRAME_BYE};
    static const size_t lengths[] = {8, 0, 5, 0};
    assert_int_equal(all->count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(all->types[i], types[i]);
        assert_int_equal(all->lengths[i], lengths[i]);
    }
    assert_memory_equal(all->last_message, "hello", 5);
}

static void test_every_split_gives_the_same_frames(void **state)
{
    (void)state;
    for (size_t first = 0; first <= sizeof sample; first++) {
        for (size_t second = first; second <= sizeof sample; second++) {
            struct frame_decoder decoder;
            frame_decoder_init(&decoder, 100);
            struct collected all = {.count = 0};
            const size_t cuts[] = {0, first, second, sizeof sample};
            for (size_t i = 0; i + 1 < 4; i++) {
                struct cursor input = cursor_over(sample + cuts[i], cuts[i + 1] - cuts[i]);
                collect(&decoder, &input, &all);
                assert_int_equal(input.left_bytes, 0);
            }
            check_sample(&all);
            assert_int_equal(frame_decoder_partial_bytes(&decoder), 0);
            frame_decoder_free(&decoder);
        }
    }
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, 100);
    struct collected all = {.count = 0};
    for (size_t i = 0; i < sizeof sample; i++) {
        struct cursor input = cursor_over(sample + i, 1);
        collect(&decoder, &input, &all);
    }
    check_sample(&all);
    frame_decoder_free(&decoder);
}

static void test_a_whole_frame_is_not_copied(void **state)
{
    (void)state;
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, 100);
    struct cursor input = cursor_over(sample, sizeof sample);
    struct frame frame = {0};
    assert_ok(frame_decoder_next(&decoder, &input, all_types, &frame, NULL));
    assert_ptr_equal(frame.body, sample + FRAME_HEADER_BYTES);
    assert_null(decoder.partial.memory);
    frame_decoder_free(&decoder);
}

static void test_memory_of_a_partial_frame_is_given_back(void **state)
{
    (void)state;
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, 100);
    struct frame frame = {0};
    struct cursor input = cursor_over(sample, 5);
    assert_status(frame_decoder_next(&decoder, &input, all_types, &frame, NULL),
                  CERTPOST_WANT_READ);
    assert_int_equal(frame_decoder_partial_bytes(&decoder), 5);
    input = cursor_over(sample + 5, 7);
    assert_ok(frame_decoder_next(&decoder, &input, all_types, &frame, NULL));
    assert_int_equal(frame_decoder_partial_bytes(&decoder), 0);
    frame_decoder_release(&decoder);
    assert_null(decoder.partial.memory);
    frame_decoder_free(&decoder);
}

static void test_every_truncation_wants_more(void **state)
{
    (void)state;
    for (size_t length = 0; length < 12; length++) {
        struct frame_decoder decoder;
        frame_decoder_init(&decoder, 100);
        struct cursor input = cursor_over(sample, length);
        struct frame frame = {0};
        assert_status(frame_decoder_next(&decoder, &input, all_types, &frame, NULL),
                      CERTPOST_WANT_READ);
        assert_int_equal(input.left_bytes, 0);
        assert_int_equal(frame_decoder_partial_bytes(&decoder), length);
        frame_decoder_free(&decoder);
    }
}

/* What the decoder says to a header alone. */
static enum certpost_status judge(unsigned type, uint32_t length, uint32_t allowed,
                                  uint32_t max_message_bytes)
{
    const unsigned char header[] = {(unsigned char)type, (unsigned char)(length >> 16),
                                    (unsigned char)(length >> 8), (unsigned char)length};
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, max_message_bytes);
    struct cursor input = cursor_over(header, sizeof header);
    struct frame frame = {0};
    enum certpost_status status = frame_decoder_next(&decoder, &input, allowed, &frame, NULL);
    frame_decoder_free(&decoder);
    return status == CERTPOST_WANT_READ ? CERTPOST_OK : status;
}

static void test_lengths_are_judged_at_the_header(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        uint32_t least, most;
    } bounds[] = {{1, 2, 1024}, {2, 51, 1024}, {4, 40, 40}, {5, 11, 266}, {6, 3, 258},
                  {7, 0, 0},    {8, 8, 8},     {9, 8, 8},   {10, 0, 0},   {11, 4, 16384}};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        assert_ok(judge(bounds[i].type, bounds[i].least, all_types, 0));
        assert_ok(judge(bounds[i].type, bounds[i].most, all_types, 0));
        assert_status(judge(bounds[i].type, bounds[i].most + 1, all_types, 0), CERTPOST_PROTOCOL);
        if (bounds[i].least > 0)
            assert_status(judge(bounds[i].type, bounds[i].least - 1, all_types, 0),
                          CERTPOST_PROTOCOL);
    }
}

static void test_max_message_is_judged_at_the_header(void **state)
{
    (void)state;
    assert_ok(judge(FRAME_MESSAGE, 999, all_types, 1000));
    assert_ok(judge(FRAME_MESSAGE, 1000, all_types, 1000));
    assert_status(judge(FRAME_MESSAGE, 1001, all_types, 1000), CERTPOST_LIMIT);
    assert_ok(judge(FRAME_MESSAGE, FRAME_MESSAGE_MAX_BYTES, all_types, FRAME_MESSAGE_MAX_BYTES));
}

static void test_unknown_and_unwanted_types_are_refused(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        bool known = type >= FRAME_HELLO && type <= FRAME_RECEIPT;
        if (!known)
            assert_status(judge(type, 8, all_types, 1000), CERTPOST_PROTOCOL);
        else
            assert_status(judge(type, 8, all_types & ~FRAME_BIT(type), 1000), CERTPOST_PROTOCOL);
    }
}

static void test_names_of_types(void **state)
{
    (void)state;
    assert_string_equal(frame_type_name(FRAME_HELLO), "HELLO");
    assert_string_equal(frame_type_name(FRAME_RECEIPT), "RECEIPT");
    assert_string_equal(frame_type_name(0), "unknown");
    assert_string_equal(frame_type_name(12), "unknown");
}

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 16;
}

static void test_random_bytes_end_in_a_verdict(void **state)
{
    (void)state;
    uint32_t random = 7;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned char bytes[64];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)random_next(&random);
        bytes[0] = (unsigned char)(bytes[0] % 13);
        bytes[1] = 0;
        bytes[2] = bytes[2] % 8 == 0 ? bytes[2] : 0;
        struct frame_decoder decoder;
        frame_decoder_init(&decoder, 48);
        struct cursor input = cursor_over(bytes, sizeof bytes);
        struct frame frame = {0};
        enum certpost_status status = CERTPOST_OK;
        while (status == CERTPOST_OK) {
            status = frame_decoder_next(&decoder, &input, all_types, &frame, NULL);
            if (status == CERTPOST_OK)
                assert_true(frame.length <= sizeof bytes);
        }
        assert_true(status == CERTPOST_WANT_READ || status == CERTPOST_PROTOCOL ||
                    status == CERTPOST_LIMIT);
        frame_decoder_free(&decoder);
    }
}

UNIT_MAIN(cmocka_unit_test(test_every_split_gives_the_same_frames),
          cmocka_unit_test(test_byte_by_byte), cmocka_unit_test(test_a_whole_frame_is_not_copied),
          cmocka_unit_test(test_memory_of_a_partial_frame_is_given_back),
          cmocka_unit_test(test_every_truncation_wants_more),
          cmocka_unit_test(test_lengths_are_judged_at_the_header),
          cmocka_unit_test(test_max_message_is_judged_at_the_header),
          cmocka_unit_test(test_unknown_and_unwanted_types_are_refused),
          cmocka_unit_test(test_names_of_types),
          cmocka_unit_test(test_random_bytes_end_in_a_verdict))
