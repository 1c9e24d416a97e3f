/*
 * test_wire_plain.c — the framings of the plain exchange: where messages end, wherever reads do.
 *
 * Every read is fed from a block of its own that is freed as soon as the decoder may no longer
 * borrow it, so that the address sanitizer sees a borrow that lasts too long.
 */
#include "support/unit.h"
#include "wire/plain.h"

#include <stdbool.h>
#include <stdlib.h>

enum { STREAM_MAX_BYTES = 4096, MESSAGES_MAX = 512, LIMIT_BYTES = 8, ROOMY_BYTES = 1024 };

/* Messages in order, each followed by '|', and how the input ended. */
struct outcome {
    char text[STREAM_MAX_BYTES * 2];
    size_t length;
    bool too_long;
};

struct peer {
    struct plain_decoder decoder;
    unsigned char *fed;
    struct outcome outcome;
};

static void outcome_add(struct outcome *outcome, const void *bytes, size_t length)
{
    assert_true(outcome->length + length + 1 <= sizeof outcome->text);
    if (length > 0)
        memcpy(outcome->text + outcome->length, bytes, length);
    outcome->length += length;
    outcome->text[outcome->length++] = '|';
}

static void peer_init(struct peer *peer, enum plain_framing framing, size_t max_message_bytes)
{
    *peer = (struct peer){0};
    plain_decoder_init(&peer->decoder, framing, max_message_bytes);
}

static void peer_free(struct peer *peer)
{
    plain_decoder_free(&peer->decoder);
    free(peer->fed);
}

static void peer_feed(struct peer *peer, const void *bytes, size_t length)
{
    free(peer->fed);
    peer->fed = malloc(length + 1); /* an empty read has an address, too */
    assert_non_null(peer->fed);
    memcpy(peer->fed, bytes, length);
    plain_decoder_feed(&peer->decoder, peer->fed, length);
}

static void peer_keep(struct peer *peer)
{
    assert_ok(plain_decoder_keep(&peer->decoder));
    free(peer->fed);
    peer->fed = NULL;
}

/* Takes at most `count` messages; true when the decoder wants more input. */
static bool peer_take(struct peer *peer, size_t count)
{
    const struct plain_decoder *decoder = &peer->decoder;
    for (size_t i = 0; i < count; i++) {
        struct plain_span message = {0};
        enum certpost_status status = plain_decoder_next(&peer->decoder, &message);
        assert_true(decoder->kept.capacity <=
                    decoder->max_message_bytes + 2 + PLAIN_CHUNK_MAX_BYTES);
        if (status == CERTPOST_WANT_READ)
            return true;
        if (status == CERTPOST_LIMIT) {
            peer->outcome.too_long = true;
            return true;
        }
        assert_ok(status);
        outcome_add(&peer->outcome, message.bytes, message.length);
    }
    return false;
}

static void peer_take_all(struct peer *peer)
{
    assert_true(peer_take(peer, SIZE_MAX));
}

static void peer_end(struct peer *peer)
{
    struct plain_span message = {0};
    if (!peer->outcome.too_long && plain_decoder_last(&peer->decoder, &message))
        outcome_add(&peer->outcome, message.bytes, message.length);
}

static void assert_outcome(const struct peer *peer, const char *expected, bool too_long)
{
    assert_int_equal(peer->outcome.length, strlen(expected));
    assert_memory_equal(peer->outcome.text, expected, peer->outcome.length);
    assert_int_equal(peer->outcome.too_long, too_long);
}

/* What the header promises, in the simplest words: looks at the whole stream at once. */
static struct outcome reference_lines(const char *stream, size_t length, size_t limit)
{
    struct outcome outcome = {0};
    size_t start = 0;
    while (start < length) {
        const char *line = stream + start;
        const char *feed = memchr(line, '\n', length - start);
        size_t whole = feed == NULL ? length - start : (size_t)(feed - line);
        size_t bare = whole > 0 && line[whole - 1] == '\r' ? whole - 1 : whole;
        if (bare > limit) {
            outcome.too_long = true;
            break;
        }
        outcome_add(&outcome, line, bare);
        start += whole + 1;
    }
    return outcome;
}

static void assert_same_outcome(const struct outcome *actual, const struct outcome *expected)
{
    assert_int_equal(actual->too_long, expected->too_long);
    assert_int_equal(actual->length, expected->length);
    assert_memory_equal(actual->text, expected->text, expected->length);
}

/* The stream in two reads, cut at `cut`, with a pause after each read when `pausing`. */
static void check_split(const char *stream, size_t cut, size_t limit, bool pausing)
{
    struct peer peer;
    size_t length = strlen(stream);
    peer_init(&peer, PLAIN_LINE, limit);
    peer_feed(&peer, stream, cut);
    if (pausing)
        peer_keep(&peer);
    peer_take_all(&peer);
    if (!peer.outcome.too_long) {
        peer_feed(&peer, stream + cut, length - cut);
        if (pausing)
            peer_keep(&peer);
        peer_take_all(&peer);
    }
    peer_end(&peer);
    struct outcome expected = reference_lines(stream, length, limit);
    assert_same_outcome(&peer.outcome, &expected);
    peer_free(&peer);
}

static void check_every_split(const char *stream, size_t limit)
{
    for (size_t cut = 0; cut <= strlen(stream); cut++) {
        check_split(stream, cut, limit, false);
        check_split(stream, cut, limit, true);
    }
}

static void check_lines(const char *stream, size_t limit, const char *expected, bool too_long)
{
    struct peer peer;
    peer_init(&peer, PLAIN_LINE, limit);
    peer_feed(&peer, stream, strlen(stream));
    peer_take_all(&peer);
    peer_end(&peer);
    assert_outcome(&peer, expected, too_long);
    peer_free(&peer);
    check_every_split(stream, limit);
}

static void test_framing_names(void **state)
{
    (void)state;
    enum plain_framing framing = PLAIN_LINE;
    assert_true(plain_framing_from_name("chunk", &framing));
    assert_int_equal(framing, PLAIN_CHUNK);
    assert_true(plain_framing_from_name("line", &framing));
    assert_int_equal(framing, PLAIN_LINE);
    const char *const others[] = {"", "Line", "lines", "chunk ", "chun"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(plain_framing_from_name(others[i], &framing));
    assert_int_equal(framing, PLAIN_LINE);
}

static void test_lines_at_every_split(void **state)
{
    (void)state;
    check_lines("one\ntwo\nthree\n", ROOMY_BYTES, "one|two|three|", false);
    check_lines("one\r\ntwo\nthree\r\n", ROOMY_BYTES, "one|two|three|", false);
    check_lines("a", ROOMY_BYTES, "a|", false);
    check_lines("", ROOMY_BYTES, "", false);
}

static void test_empty_lines_are_messages(void **state)
{
    (void)state;
    check_lines("\n", ROOMY_BYTES, "|", false);
    check_lines("\r\n", ROOMY_BYTES, "|", false);
    check_lines("\n\n\r\n\n", ROOMY_BYTES, "||||", false);
    check_lines("a\n\nb\n", ROOMY_BYTES, "a||b|", false);
}

static void test_lone_cr_is_data(void **state)
{
    (void)state;
    check_lines("a\rb\n", ROOMY_BYTES, "a\rb|", false);
    check_lines("\ra\n", ROOMY_BYTES, "\ra|", false);
    check_lines("a\r\rb\r\r\n", ROOMY_BYTES, "a\r\rb\r|", false);
    check_lines("\r\r\n", ROOMY_BYTES, "\r|", false);
}

static void test_limit_is_exact(void **state)
{
    (void)state;
    check_lines("1234567\n", LIMIT_BYTES, "1234567|", false);
    check_lines("12345678\n", LIMIT_BYTES, "12345678|", false);
    check_lines("123456789\n", LIMIT_BYTES, "", true);
    check_lines("ok\n123456789\nnever\n", LIMIT_BYTES, "ok|", true);
}

static void test_line_ending_does_not_count(void **state)
{
    (void)state;
    check_lines("1234567\r\n", LIMIT_BYTES, "1234567|", false);
    check_lines("12345678\r\n", LIMIT_BYTES, "12345678|", false);
    check_lines("123456789\r\n", LIMIT_BYTES, "", true);
    check_lines("12345678\r\nnext\r\n", LIMIT_BYTES, "12345678|next|", false);
    check_lines("12345678\r\r\n", LIMIT_BYTES, "", true);
    check_lines("12345678\rx\n", LIMIT_BYTES, "", true);
}

/* An endless line must be refused when the limit is passed, not when its end comes. */
static void test_overlong_line_is_refused_before_it_ends(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer, PLAIN_LINE, LIMIT_BYTES);
    peer_feed(&peer, "12345678", 8);
    peer_take_all(&peer);
    assert_false(peer.outcome.too_long);
    peer_feed(&peer, "9", 1);
    peer_take_all(&peer);
    assert_true(peer.outcome.too_long);
    peer_free(&peer);

    peer_init(&peer, PLAIN_LINE, LIMIT_BYTES);
    peer_feed(&peer, "12345678\r", 9);
    peer_take_all(&peer);
    assert_false(peer.outcome.too_long);
    peer_feed(&peer, "\r", 1);
    peer_take_all(&peer);
    assert_true(peer.outcome.too_long);
    peer_free(&peer);
}

static void test_last_line_needs_no_end(void **state)
{
    (void)state;
    check_lines("a\nlast", ROOMY_BYTES, "a|last|", false);
    check_lines("a\n\r", ROOMY_BYTES, "a||", false);
    check_lines("12345678\r", LIMIT_BYTES, "12345678|", false);
}

static void test_nothing_is_left_for_a_last_line(void **state)
{
    (void)state;
    struct peer peer;
    struct plain_span message = {0};
    peer_init(&peer, PLAIN_LINE, ROOMY_BYTES);
    assert_false(plain_decoder_last(&peer.decoder, &message));
    peer_feed(&peer, "abc\n", 4);
    peer_take_all(&peer);
    assert_false(plain_decoder_last(&peer.decoder, &message));
    peer_feed(&peer, "rest", 4);
    peer_take_all(&peer);
    assert_int_equal(plain_decoder_unfinished_bytes(&peer.decoder), 4);
    assert_true(plain_decoder_last(&peer.decoder, &message));
    assert_int_equal(plain_decoder_unfinished_bytes(&peer.decoder), 0);
    assert_false(plain_decoder_last(&peer.decoder, &message));
    peer_free(&peer);
}

static void test_nul_bytes_are_data(void **state)
{
    (void)state;
    static const char stream[] = "\0a\0\n\0\0\r\nz";
    struct peer peer;
    peer_init(&peer, PLAIN_LINE, ROOMY_BYTES);
    for (size_t i = 0; i < sizeof stream - 1; i++) {
        peer_feed(&peer, &stream[i], 1);
        peer_take_all(&peer);
    }
    peer_end(&peer);
    assert_int_equal(peer.outcome.length, 9);
    assert_memory_equal(peer.outcome.text, "\0a\0|\0\0|z|", 9);
    peer_free(&peer);
}

/* The owner takes `before` messages, is paused, and goes on later. */
static void test_keep_after_every_message(void **state)
{
    (void)state;
    static const char stream[] = "first\r\n\nthird line\nfourth\r\nunfinished";
    for (size_t before = 0; before <= 5; before++) {
        for (size_t cut = 0; cut < sizeof stream; cut++) {
            struct peer peer;
            peer_init(&peer, PLAIN_LINE, ROOMY_BYTES);
            peer_feed(&peer, stream, cut);
            (void)peer_take(&peer, before);
            peer_keep(&peer);
            peer_take_all(&peer);
            peer_feed(&peer, stream + cut, sizeof stream - 1 - cut);
            (void)peer_take(&peer, before);
            peer_keep(&peer);
            peer_keep(&peer); /* nothing more to keep */
            peer_take_all(&peer);
            peer_end(&peer);
            assert_outcome(&peer, "first||third line|fourth|unfinished|", false);
            peer_free(&peer);
        }
    }
}

static void test_kept_reads_stay_in_order_with_new_ones(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer, PLAIN_LINE, ROOMY_BYTES);
    peer_feed(&peer, "a\nb\nc", 5);
    peer_keep(&peer);
    peer_feed(&peer, "d\ne\nf", 5);
    peer_keep(&peer);
    peer_feed(&peer, "g\n", 2);
    peer_take_all(&peer);
    assert_outcome(&peer, "a|b|cd|e|fg|", false);
    peer_free(&peer);
}

static void test_chunk_is_what_one_read_returned(void **state)
{
    (void)state;
    static const struct {
        const char *read;
        const char *message;
    } cases[] = {
        {"hello", "hello|"},
        {"hello\n", "hello|"},
        {"hello\r\n", "hello|"},
        {"\n", "|"},
        {"\r\n", "|"},
        {"\r", "\r|"},
        {"a\n\n", "a\n|"},
        {"a\nb\r\n", "a\nb|"},
        {"a\r\r\n", "a\r|"},
        {"a\r", "a\r|"},
        {"\na\r\n\r\n", "\na\r\n|"},
    };
    struct peer peer;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        peer_init(&peer, PLAIN_CHUNK, 5);
        peer_feed(&peer, cases[i].read, strlen(cases[i].read));
        peer_take_all(&peer);
        peer_end(&peer);
        assert_outcome(&peer, cases[i].message, false);
        peer_free(&peer);
    }
}

static void test_chunk_wants_a_read_first(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer, PLAIN_CHUNK, ROOMY_BYTES);
    peer_take_all(&peer);
    peer_keep(&peer);
    peer_take_all(&peer);
    assert_outcome(&peer, "", false);
    peer_free(&peer);
}

static void test_chunk_is_kept_whole(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer, PLAIN_CHUNK, ROOMY_BYTES);
    peer_feed(&peer, "one\n", 4);
    peer_keep(&peer);
    peer_feed(&peer, "two\r\n", 5);
    peer_keep(&peer);
    peer_keep(&peer);
    peer_feed(&peer, "three", 5);
    assert_false(peer_take(&peer, 1));
    peer_keep(&peer);
    peer_take_all(&peer);
    peer_end(&peer);
    assert_outcome(&peer, "one|two|three|", false);
    assert_int_equal(peer.decoder.kept.capacity, 0);
    peer_free(&peer);
}

static void test_largest_chunk_can_be_kept(void **state)
{
    (void)state;
    static unsigned char read[PLAIN_CHUNK_MAX_BYTES];
    memset(read, 'x', sizeof read);
    for (size_t max_message_bytes = sizeof read - 1; max_message_bytes <= sizeof read + 1;
         max_message_bytes++) {
        struct peer peer;
        struct plain_span message = {0};
        peer_init(&peer, PLAIN_CHUNK, max_message_bytes);
        peer_feed(&peer, read, sizeof read);
        peer_keep(&peer);
        if (max_message_bytes < sizeof read) {
            assert_status(plain_decoder_next(&peer.decoder, &message), CERTPOST_LIMIT);
        } else {
            assert_ok(plain_decoder_next(&peer.decoder, &message));
            assert_int_equal(message.length, sizeof read);
            assert_memory_equal(message.bytes, read, sizeof read);
        }
        peer_free(&peer);
    }
}

/* The worst that a peer can make us hold: a line at the limit, and one whole read behind it. */
static void test_memory_is_bounded_and_given_back(void **state)
{
    (void)state;
    static unsigned char read[PLAIN_CHUNK_MAX_BYTES];
    memset(read, '\n', sizeof read);
    struct peer peer;
    struct plain_span message = {0};
    peer_init(&peer, PLAIN_LINE, LIMIT_BYTES);
    peer_feed(&peer, "12345678\r", 9);
    peer_take_all(&peer);
    peer_feed(&peer, read, sizeof read);
    peer_keep(&peer);
    size_t count = 0;
    while (plain_decoder_next(&peer.decoder, &message) == CERTPOST_OK) {
        assert_int_equal(message.length, count == 0 ? LIMIT_BYTES : 0);
        count++;
    }
    assert_int_equal(count, sizeof read);
    assert_int_equal(peer.decoder.kept.capacity, 0);
    peer_free(&peer);
}

static void test_whole_lines_are_not_copied(void **state)
{
    (void)state;
    struct plain_decoder decoder;
    struct plain_span message = {0};
    static const unsigned char read[] = "one\ntwo\r\n";
    plain_decoder_init(&decoder, PLAIN_LINE, ROOMY_BYTES);
    plain_decoder_feed(&decoder, read, sizeof read - 1);
    assert_ok(plain_decoder_next(&decoder, &message));
    assert_ptr_equal(message.bytes, read);
    assert_ok(plain_decoder_next(&decoder, &message));
    assert_ptr_equal(message.bytes, read + 4);
    assert_status(plain_decoder_next(&decoder, &message), CERTPOST_WANT_READ);
    assert_int_equal(decoder.kept.capacity, 0);
    plain_decoder_free(&decoder);
}

/* No byte is searched twice: before each byte comes, all that is kept counts as searched. */
static void test_one_byte_at_a_time_searches_each_byte_once(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer, PLAIN_LINE, ROOMY_BYTES);
    for (size_t i = 0; i < ROOMY_BYTES; i++) {
        assert_int_equal(peer.decoder.kept_searched, i);
        peer_feed(&peer, "x", 1);
        if (i % 3 == 0)
            peer_keep(&peer);
        assert_int_equal(peer.decoder.kept_searched, i);
        peer_take_all(&peer);
        assert_int_equal(peer.decoder.kept.length, i + 1);
    }
    peer_feed(&peer, "\n", 1);
    assert_int_equal(peer.decoder.kept_searched, ROOMY_BYTES);
    peer_take_all(&peer);
    assert_int_equal(peer.outcome.length, ROOMY_BYTES + 1);
    assert_int_equal(peer.decoder.kept_searched, 0);
    peer_free(&peer);
}

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) % bound;
}

static void random_stream(char *stream, size_t length)
{
    static const char alphabet[] = "ab\r\n\0\n\rxyz";
    for (size_t i = 0; i < length; i++)
        stream[i] = alphabet[random_below(sizeof alphabet - 1)];
}

static void check_random_schedule(uint32_t seed)
{
    char stream[256];
    struct peer peer;
    random_state = seed;
    size_t length = random_below(sizeof stream);
    size_t limit = 1 + random_below(12);
    random_stream(stream, length);
    peer_init(&peer, PLAIN_LINE, limit);
    for (size_t at = 0; at < length && !peer.outcome.too_long;) {
        size_t piece = 1 + random_below(16);
        if (piece > length - at)
            piece = length - at;
        peer_feed(&peer, stream + at, piece);
        at += piece;
        if (!peer_take(&peer, random_below(4)))
            peer_keep(&peer);
    }
    if (!peer.outcome.too_long)
        peer_take_all(&peer);
    peer_end(&peer);
    struct outcome expected = reference_lines(stream, length, limit);
    assert_same_outcome(&peer.outcome, &expected);
    peer_free(&peer);
}

static void test_random_streams_match_the_reference(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 20000; seed++)
        check_random_schedule(seed);
}

static void test_free_of_nothing(void **state)
{
    (void)state;
    plain_decoder_free(NULL);
    struct plain_decoder decoder;
    plain_decoder_init(&decoder, PLAIN_LINE, ROOMY_BYTES);
    plain_decoder_free(&decoder);
    plain_decoder_free(&decoder);
}

UNIT_MAIN(cmocka_unit_test(test_framing_names), cmocka_unit_test(test_lines_at_every_split),
          cmocka_unit_test(test_empty_lines_are_messages), cmocka_unit_test(test_lone_cr_is_data),
          cmocka_unit_test(test_limit_is_exact), cmocka_unit_test(test_line_ending_does_not_count),
          cmocka_unit_test(test_overlong_line_is_refused_before_it_ends),
          cmocka_unit_test(test_last_line_needs_no_end),
          cmocka_unit_test(test_nothing_is_left_for_a_last_line),
          cmocka_unit_test(test_nul_bytes_are_data),
          cmocka_unit_test(test_keep_after_every_message),
          cmocka_unit_test(test_kept_reads_stay_in_order_with_new_ones),
          cmocka_unit_test(test_chunk_is_what_one_read_returned),
          cmocka_unit_test(test_chunk_wants_a_read_first),
          cmocka_unit_test(test_chunk_is_kept_whole),
          cmocka_unit_test(test_largest_chunk_can_be_kept),
          cmocka_unit_test(test_memory_is_bounded_and_given_back),
          cmocka_unit_test(test_whole_lines_are_not_copied),
          cmocka_unit_test(test_one_byte_at_a_time_searches_each_byte_once),
          cmocka_unit_test(test_random_streams_match_the_reference),
          cmocka_unit_test(test_free_of_nothing))
