/* Unit tests of session/receiver.h: a REJECT that meets another ending. Both were found by fuzzing.
 */
#include "session/receiver.h"
#include "support/unit.h"

enum { MESSAGES_MAX = 4, LONGEST_BYTES = 100 };

/* A stream that is open, and what was given to the store. */
struct bench {
    struct receiver_config config;
    struct chain *chain;
    struct receiver *receiver;
    struct buffer output;
    struct committed stored[MESSAGES_MAX + 1];
    bool closed;
};

static void bench_pull(struct bench *bench)
{
    struct receiver_effect effect;
    while (receiver_next_effect(bench->receiver, &effect) != RECEIVER_NONE) {
        if (effect.type == RECEIVER_CLOSE)
            bench->closed = true;
        if (effect.type != RECEIVER_STORE)
            continue;
        bench->stored[effect.seq].seq = effect.seq;
        memcpy(bench->stored[effect.seq].digest, effect.digest, CHAIN_DIGEST_BYTES);
    }
}

static enum certpost_status bench_input(struct bench *bench, const void *bytes, size_t length)
{
    struct cursor input = cursor_over(bytes, length);
    enum certpost_status status = receiver_input(bench->receiver, &input, 0, NULL);
    bench_pull(bench);
    return status;
}

/* Opens, and takes `count` messages of one byte. */
static void bench_open(struct bench *bench, unsigned count)
{
    *bench = (struct bench){
        .config = {.max_message_bytes = LONGEST_BYTES, .window_bytes = 4096},
    };
    struct committed head = {.seq = 0};
    buffer_init(&bench->output, 4096);
    assert_ok(chain_new(&bench->chain, NULL));
    assert_ok(chain_first(bench->chain, NULL, 0, "demo", 4, head.digest));
    assert_ok(receiver_new(&bench->config, bench->chain, (struct message_span){NULL, 0}, 0,
                           &bench->receiver, NULL));
    assert_ok(bench_input(bench, "\1\0\0\5\4demo", 9));
    assert_ok(receiver_opened(bench->receiver, &head, 0, NULL));
    assert_ok(receiver_output(bench->receiver, &bench->output));
    for (unsigned i = 0; i < count; i++)
        assert_ok(bench_input(bench, "\3\0\0\1m", 5));
    buffer_clear(&bench->output);
}

static void bench_commit(struct bench *bench, uint64_t seq)
{
    assert_ok(receiver_committed(bench->receiver, &bench->stored[seq], 0, NULL));
}

/* "ACK 1 REJECT 2": what the client is told now. */
static void bench_expect(struct bench *bench, const char *expected)
{
    char text[128] = "";
    struct frame_decoder decoder;
    struct frame frame = {0};
    struct message message = {0};
    assert_ok(receiver_output(bench->receiver, &bench->output));
    bench_pull(bench);
    struct cursor input = cursor_over(buffer_bytes(&bench->output), bench->output.length);
    frame_decoder_init(&decoder, 0);
    while (frame_decoder_next(&decoder, &input, UINT32_MAX, &frame, NULL) == CERTPOST_OK) {
        assert_ok(message_decode(&frame, &message, NULL));
        uint64_t seq = frame.type == FRAME_ACK ? message.ack.last_seq : message.refusal.seq;
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s %u", used > 0 ? " " : "",
                 frame_type_name(frame.type), (unsigned)seq);
    }
    buffer_clear(&bench->output);
    assert_string_equal(text, expected);
}

static void bench_end(struct bench *bench)
{
    receiver_free(bench->receiver);
    chain_free(bench->chain);
    buffer_free(&bench->output);
}

/* The one that is too long would be refused after the first two, of which one never comes. */
static void test_of_an_earlier_message_takes_the_place_of_a_later(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 2);
    assert_status(bench_input(&bench, "\3\0\0\x65", 4), CERTPOST_LIMIT);
    bench_expect(&bench, "");
    assert_ok(receiver_reject(bench.receiver, 2, MESSAGE_CODE_REFUSED, "no", 0, NULL));
    bench_commit(&bench, 1);
    bench_expect(&bench, "ACK 1 REJECT 2");
    assert_true(bench.closed);
    bench_end(&bench);
}

/* What was committed before it is acknowledged: the digest in hand is not that of the last one. */
static void test_after_goaway_leaves_the_messages_before(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, 3);
    receiver_go_away(bench.receiver, MESSAGE_CODE_SHUTTING_DOWN, "", 0);
    assert_ok(receiver_reject(bench.receiver, 3, MESSAGE_CODE_REFUSED, "no", 0, NULL));
    bench_commit(&bench, 2);
    bench_expect(&bench, "ACK 2 GOAWAY 0");
    assert_true(bench.closed);
    bench_end(&bench);
}

UNIT_MAIN(cmocka_unit_test(test_of_an_earlier_message_takes_the_place_of_a_later),
          cmocka_unit_test(test_after_goaway_leaves_the_messages_before))
