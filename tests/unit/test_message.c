/* test_message.c — bodies of frames: the worked examples of docs/protocol.md, and what is wrong. */
#include "support/protocol_doc.h"
#include "support/unit.h"
#include "wire/message.h"

#define SPAN(text) ((struct message_span){(const unsigned char *)(text), sizeof(text) - 1})

static bool span_equals(const struct message_span *span, const char *text)
{
    return span->length == strlen(text) &&
           (span->length == 0 || memcmp(span->bytes, text, span->length) == 0);
}

/* Decodes `length` bytes that are one frame. */
static enum certpost_status decode(const unsigned char *bytes, size_t length,
                                   struct message *ret_message)
{
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, FRAME_MESSAGE_MAX_BYTES);
    struct cursor input = cursor_over(bytes, length);
    struct frame frame = {0};
    enum certpost_status status = frame_decoder_next(&decoder, &input, UINT32_MAX, &frame, NULL);
    if (status == CERTPOST_OK)
        status = message_decode(&frame, ret_message, NULL);
    if (status == CERTPOST_OK && (input.left_bytes > 0 || ret_message->type != frame.type))
        status = CERTPOST_INTERNAL;
    frame_decoder_free(&decoder);
    return status;
}

static struct message decode_block(const struct doc_block *block)
{
    struct message message = {0};
    assert_ok(decode(block->bytes, block->length, &message));
    return message;
}

static void assert_encoded(struct buffer *buffer, const struct doc_block *block)
{
    assert_int_equal(buffer->length, block->length);
    assert_memory_equal(buffer_bytes(buffer), block->bytes, block->length);
    buffer_free(buffer);
}

static struct buffer empty_buffer(void)
{
    struct buffer buffer;
    buffer_init(&buffer, 1 << 20);
    return buffer;
}

static struct committed committed_of(uint64_t seq, const char *digest_block)
{
    struct doc_block digest = doc_block(digest_block);
    struct committed committed = {.seq = seq};
    assert_int_equal(digest.length, CHAIN_DIGEST_BYTES);
    memcpy(committed.digest, digest.bytes, CHAIN_DIGEST_BYTES);
    return committed;
}

static void test_hello_of_the_document(void **state)
{
    (void)state;
    struct doc_block block = doc_block("hello"), bare = doc_block("hello-short");
    struct message message = decode_block(&block);
    assert_true(span_equals(&message.hello.stream, "demo"));
    assert_int_equal(message.hello.required_level, MESSAGE_LEVEL_STORED);
    assert_true(span_equals(&message.hello.software, "certpost 0.1"));
    struct buffer buffer = empty_buffer();
    assert_ok(message_append_hello(&buffer, &message.hello));
    assert_encoded(&buffer, &block);
    message = decode_block(&bare);
    assert_int_equal(message.hello.required_level, MESSAGE_LEVEL_ACCEPTED);
    assert_int_equal(message.hello.software.length, 0);
    assert_ok(message_append_hello(&buffer, &message.hello));
    assert_encoded(&buffer, &bare);
}

static void test_welcome_of_the_document(void **state)
{
    (void)state;
    struct doc_block block = doc_block("welcome");
    struct committed head = committed_of(0, "digest-0");
    struct message message = decode_block(&block);
    const struct message_welcome *welcome = &message.welcome;
    assert_int_equal(welcome->head.last_seq, 0);
    assert_memory_equal(welcome->head.digest, head.digest, CHAIN_DIGEST_BYTES);
    assert_int_equal(welcome->level, MESSAGE_LEVEL_STORED);
    assert_int_equal(welcome->max_message_bytes, 1 << 20);
    assert_int_equal(welcome->window_bytes, 4 << 20);
    assert_true(span_equals(&welcome->server_name, "post.example"));
    assert_true(span_equals(&welcome->reply, "Message received!"));
    assert_true(welcome->has_origin);
    assert_memory_equal(welcome->origin, head.digest, CHAIN_DIGEST_BYTES);
    assert_int_equal(welcome->idle_timeout_ms, 60000);
    assert_false(welcome->receipts);
    struct buffer buffer = empty_buffer();
    assert_ok(message_append_welcome(&buffer, &head, welcome));
    assert_encoded(&buffer, &block);
}

static void test_message_of_the_document(void **state)
{
    (void)state;
    struct doc_block first = doc_block("message-1"), second = doc_block("message-2");
    struct message message = decode_block(&first);
    assert_true(span_equals(&message.payload, "Hello, server!"));
    struct buffer buffer = empty_buffer();
    assert_ok(message_append_payload(&buffer, "Hello, server!", 14));
    assert_encoded(&buffer, &first);
    assert_int_equal(decode_block(&second).payload.length, 0);
    assert_ok(message_append_payload(&buffer, NULL, 0));
    assert_encoded(&buffer, &second);
}

static void test_ack_of_the_document(void **state)
{
    (void)state;
    struct doc_block block = doc_block("ack-2");
    struct committed committed = committed_of(2, "digest-2");
    struct message message = decode_block(&block);
    assert_int_equal(message.ack.last_seq, 2);
    assert_memory_equal(message.ack.digest, committed.digest, CHAIN_DIGEST_BYTES);
    struct buffer buffer = empty_buffer();
    assert_ok(message_append_ack(&buffer, &committed));
    assert_encoded(&buffer, &block);
}

static void test_reject_and_goaway_of_the_document(void **state)
{
    (void)state;
    struct doc_block reject = doc_block("reject"), goaway = doc_block("goaway");
    struct message message = decode_block(&reject);
    assert_int_equal(message.refusal.seq, 3);
    assert_int_equal(message.refusal.code, MESSAGE_CODE_REFUSED);
    assert_true(span_equals(&message.refusal.text, "not an order"));
    struct buffer buffer = empty_buffer();
    assert_ok(message_append_reject(&buffer, &message.refusal));
    assert_encoded(&buffer, &reject);
    message = decode_block(&goaway);
    assert_int_equal(message.refusal.code, MESSAGE_CODE_SHUTTING_DOWN);
    assert_true(span_equals(&message.refusal.text, "restarting"));
    assert_ok(message_append_goaway(&buffer, &message.refusal));
    assert_encoded(&buffer, &goaway);
}

static void test_small_frames_of_the_document(void **state)
{
    (void)state;
    struct doc_block ping = doc_block("ping"), pong = doc_block("pong"), bye = doc_block("bye");
    struct doc_block request = doc_block("receipt-request"), receipt = doc_block("receipt");
    struct buffer buffer = empty_buffer();
    assert_ok(message_append_ping(&buffer, FRAME_PING, decode_block(&ping).ping));
    assert_encoded(&buffer, &ping);
    assert_ok(message_append_ping(&buffer, FRAME_PONG, decode_block(&pong).ping));
    assert_encoded(&buffer, &pong);
    assert_ok(message_append_empty(&buffer, decode_block(&bye).type));
    assert_encoded(&buffer, &bye);
    assert_ok(message_append_empty(&buffer, decode_block(&request).type));
    assert_encoded(&buffer, &request);
    struct message message = decode_block(&receipt);
    assert_true(span_equals(&message.receipt.statement, "claim"));
    assert_true(span_equals(&message.receipt.signature, "sig"));
    assert_ok(message_append_receipt(&buffer, &message.receipt));
    assert_encoded(&buffer, &receipt);
}

/* Cuts or pads the body of a documented frame and mends the header, so that only the body is wrong.
 */
static void check_wrong_lengths(const char *name)
{
    struct doc_block block = doc_block(name);
    struct message message = {0};
    for (size_t length = FRAME_HEADER_BYTES; length < block.length; length++) {
        block.bytes[2] = (unsigned char)((length - FRAME_HEADER_BYTES) >> 8);
        block.bytes[3] = (unsigned char)(length - FRAME_HEADER_BYTES);
        assert_status(decode(block.bytes, length, &message), CERTPOST_PROTOCOL);
    }
    size_t longer = block.length + 1 - FRAME_HEADER_BYTES;
    block.bytes[2] = (unsigned char)(longer >> 8);
    block.bytes[3] = (unsigned char)longer;
    block.bytes[block.length] = 0;
    assert_status(decode(block.bytes, block.length + 1, &message), CERTPOST_PROTOCOL);
}

static void test_every_truncated_or_longer_body_is_an_error(void **state)
{
    (void)state;
    check_wrong_lengths("hello-short");
    check_wrong_lengths("ack-1");
    check_wrong_lengths("reject");
    check_wrong_lengths("goaway");
    check_wrong_lengths("bye");
    check_wrong_lengths("ping");
    check_wrong_lengths("pong");
    check_wrong_lengths("receipt");
    check_wrong_lengths("receipt-request");
}

/* A HELLO for "s" with these option bytes. */
static enum certpost_status hello_with(const unsigned char *options, size_t length,
                                       struct message *ret_message)
{
    unsigned char bytes[64] = {1, 0, 0, (unsigned char)(2 + length), 1, 's'};
    memcpy(bytes + 6, options, length);
    return decode(bytes, 6 + length, ret_message);
}
#define HELLO_WITH(message, ...)                                                                   \
    hello_with((const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}), \
               message)

static void test_options_of_hello(void **state)
{
    (void)state;
    struct message message = {0};
    assert_ok(HELLO_WITH(&message, 4, 0));
    assert_ok(HELLO_WITH(&message, 254, 2, 0xff, 0xff, 0, 0));
    assert_ok(HELLO_WITH(&message, 2, 1, 'a', 1, 1, 2));
    assert_int_equal(message.hello.required_level, MESSAGE_LEVEL_REPLICATED);
    assert_status(HELLO_WITH(&message, 3, 0), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 4, 0, 4, 0), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 1, 1, 3), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 1, 0), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 1, 2, 0, 0), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 2, 0), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 2, 1, '\n'), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 4), CERTPOST_PROTOCOL);
    assert_status(HELLO_WITH(&message, 4, 2, 0), CERTPOST_PROTOCOL);
}

static void test_names_of_streams(void **state)
{
    (void)state;
    unsigned char longest[256];
    memset(longest, 'n', sizeof longest);
    assert_false(message_stream_name_is_valid("", 0));
    assert_true(message_stream_name_is_valid(longest, 1));
    assert_true(message_stream_name_is_valid(longest, 254));
    assert_true(message_stream_name_is_valid(longest, 255));
    assert_false(message_stream_name_is_valid(longest, 256));
    static const char *const good[] = {"a b", "\xc3\xa9", "\xc2\xa0", "\xf4\x8f\xbf\xbf", "~"};
    static const char *const bad[] = {
        "\x1f", "a\n",      "\x7f",         "\xc2\x80",         "\xc2\x9f",
        "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(message_stream_name_is_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(message_stream_name_is_valid(bad[i], strlen(bad[i])));
    assert_false(message_stream_name_is_valid("a\0b", 3));
}

/* Changes one byte of the documented WELCOME. */
static enum certpost_status welcome_with(size_t offset, unsigned char value)
{
    struct doc_block block = doc_block("welcome");
    struct message message = {0};
    block.bytes[FRAME_HEADER_BYTES + offset] = value;
    return decode(block.bytes, block.length, &message);
}

static void test_terms_of_welcome(void **state)
{
    (void)state;
    assert_ok(welcome_with(0, 0x7f));
    assert_status(welcome_with(0, 0x80), CERTPOST_PROTOCOL);
    assert_ok(welcome_with(40, MESSAGE_LEVEL_REPLICATED));
    assert_status(welcome_with(40, MESSAGE_LEVEL_REPLICATED + 1), CERTPOST_PROTOCOL);
    assert_status(welcome_with(41, 1), CERTPOST_PROTOCOL);
    assert_status(welcome_with(46, 0x10), CERTPOST_PROTOCOL); /* window = max_message */
    assert_status(welcome_with(50, 0x0a), CERTPOST_PROTOCOL); /* a line break in the name */
    assert_status(welcome_with(63, 0xff), CERTPOST_PROTOCOL); /* the reply is no UTF-8 */
}

static void test_the_window_must_hold_the_longest_message(void **state)
{
    (void)state;
    struct committed head = {.seq = 5};
    struct message_welcome terms = {.max_message_bytes = 100, .window_bytes = 164};
    struct buffer buffer = empty_buffer();
    assert_ok(message_append_welcome(&buffer, &head, &terms));
    struct message message = {0};
    assert_ok(decode(buffer_bytes(&buffer), buffer.length, &message));
    assert_int_equal(message.welcome.head.last_seq, 5);
    assert_false(message.welcome.has_origin);
    terms.window_bytes = 163;
    assert_status(message_append_welcome(&buffer, &head, &terms), CERTPOST_USAGE);
    buffer_free(&buffer);
}

static void test_an_encoder_that_fails_leaves_nothing(void **state)
{
    (void)state;
    struct committed committed = {.seq = 1};
    struct buffer buffer;
    buffer_init(&buffer, 43);
    assert_status(message_append_ack(&buffer, &committed), CERTPOST_LIMIT);
    assert_int_equal(buffer.length, 0);
    assert_status(message_append_payload(&buffer, "x", (size_t)FRAME_MESSAGE_MAX_BYTES + 1),
                  CERTPOST_USAGE);
    assert_ok(message_append_payload(&buffer, "0123456789012345678901234567890123456789", 39));
    assert_int_equal(buffer.length, 43);
    buffer_free(&buffer);
}

static void test_encoders_refuse_what_cannot_be_sent(void **state)
{
    (void)state;
    struct buffer buffer = empty_buffer();
    struct message_hello hello = {.stream = SPAN("")};
    assert_status(message_append_hello(&buffer, &hello), CERTPOST_USAGE);
    struct message_refusal goaway = {.code = 1, .text = SPAN("\xff")};
    assert_status(message_append_goaway(&buffer, &goaway), CERTPOST_USAGE);
    assert_status(message_append_reject(&buffer, &goaway), CERTPOST_USAGE);
    assert_status(message_append_empty(&buffer, FRAME_ACK), CERTPOST_USAGE);
    assert_status(message_append_ping(&buffer, FRAME_ACK, (const unsigned char *)"12345678"),
                  CERTPOST_USAGE);
    struct message_receipt receipt = {.statement = {NULL, FRAME_RECEIPT_MAX_BYTES}};
    assert_status(message_append_receipt(&buffer, &receipt), CERTPOST_USAGE);
    assert_null(buffer.memory);
}

static void test_codes(void **state)
{
    (void)state;
    assert_string_equal(message_code_name(MESSAGE_CODE_SUPERSEDED), "superseded");
    assert_string_equal(message_code_name(0), "unknown");
    assert_string_equal(message_code_name(256), "application");
    assert_false(message_code_may_retry(MESSAGE_CODE_SUPERSEDED));
    assert_true(message_code_may_retry(MESSAGE_CODE_STORE_FULL));
    assert_true(message_code_may_retry(99));
}

static void test_random_bodies_end_in_a_verdict(void **state)
{
    (void)state;
    uint32_t random = 11;
    for (unsigned round = 0; round < 50000; round++) {
        unsigned char body[128];
        for (size_t i = 0; i < sizeof body; i++) {
            random = random * 1664525U + 1013904223U;
            body[i] = (unsigned char)(random >> 24);
            body[i] = round % 2 == 0 ? (unsigned char)(body[i] % 5) : body[i];
        }
        struct frame frame = {(enum frame_type)(random >> 8) % 13, body, (random >> 16) % 128};
        struct message message = {0};
        enum certpost_status status = message_decode(&frame, &message, NULL);
        assert_true(status == CERTPOST_OK || status == CERTPOST_PROTOCOL);
    }
}

UNIT_MAIN(cmocka_unit_test(test_hello_of_the_document),
          cmocka_unit_test(test_welcome_of_the_document),
          cmocka_unit_test(test_message_of_the_document),
          cmocka_unit_test(test_ack_of_the_document),
          cmocka_unit_test(test_reject_and_goaway_of_the_document),
          cmocka_unit_test(test_small_frames_of_the_document),
          cmocka_unit_test(test_every_truncated_or_longer_body_is_an_error),
          cmocka_unit_test(test_options_of_hello), cmocka_unit_test(test_names_of_streams),
          cmocka_unit_test(test_terms_of_welcome),
          cmocka_unit_test(test_the_window_must_hold_the_longest_message),
          cmocka_unit_test(test_an_encoder_that_fails_leaves_nothing),
          cmocka_unit_test(test_encoders_refuse_what_cannot_be_sent), cmocka_unit_test(test_codes),
          cmocka_unit_test(test_random_bodies_end_in_a_verdict))
