/*
 * support/sender_bench.h — a sender and the server that a test makes up for it. The tests fill in
 * `struct committed` themselves: they play the store.
 */
#ifndef SUPPORT_SENDER_BENCH_H
#define SUPPORT_SENDER_BENCH_H

#include "base/clock.h"
#include "session/sender.h"
#include "support/unit.h"

enum { POINTS = 40 };

/* A sender, and a server made of what the test says. Message n of the stream is the byte n. */
struct bench {
    struct chain *chain;
    struct sender *sender;
    struct buffer output;
    struct committed points[POINTS]; /* what an honest server has at each number */
    uint64_t available;              /* positions that the caller has */
    struct sender_effect acked;
    struct sender_effect proof;
    unsigned welcomes, acks, receipts;
    bool closed;
    int64_t now_ms;
};

static inline struct sender_config bench_config(void)
{
    return (struct sender_config){.stream = {(const unsigned char *)"demo", 4},
                                  .max_unacked_messages = 1000,
                                  .answer_timeout_ms = 1000,
                                  .ping_interval_ms = 3000,
                                  .ping_timeout_ms = 2000,
                                  .ack_timeout_ms = 9000};
}

static inline struct bench bench_new(const struct sender_config *config)
{
    struct bench bench = {.available = 1000};
    assert_ok(chain_new(&bench.chain, NULL));
    assert_ok(chain_first(bench.chain, NULL, 0, "demo", 4, bench.points[0].digest));
    for (unsigned i = 1; i < POINTS; i++) {
        unsigned char message = (unsigned char)i;
        bench.points[i].seq = i;
        assert_ok(chain_next(bench.chain, bench.points[i - 1].digest, &message, 1,
                             bench.points[i].digest));
    }
    assert_ok(sender_new(config, bench.chain, &bench.sender, NULL));
    buffer_init(&bench.output, 1 << 20);
    return bench;
}

static inline void bench_end(struct bench *bench)
{
    sender_free(bench->sender);
    chain_free(bench->chain);
    buffer_free(&bench->output);
}

static inline void bench_effects(struct bench *bench)
{
    struct sender_effect effect = {.type = SENDER_NONE};
    while (sender_next_effect(bench->sender, &effect) != SENDER_NONE) {
        assert_false(bench->closed);
        bench->welcomes += effect.type == SENDER_WELCOMED;
        bench->acks += effect.type == SENDER_ACKED;
        bench->closed |= effect.type == SENDER_CLOSE;
        if (effect.type == SENDER_ACKED)
            bench->acked = effect;
        bench->receipts += effect.type == SENDER_RECEIPT;
        if (effect.type == SENDER_RECEIPT)
            bench->proof = effect;
    }
}

static inline enum certpost_status bench_input(struct bench *bench, struct buffer *frames)
{
    struct cursor input = cursor_over(buffer_bytes(frames), frames->length);
    enum certpost_status status = sender_input(bench->sender, &input, bench->now_ms, NULL);
    assert_int_equal(input.left_bytes, 0);
    buffer_free(frames);
    bench_effects(bench);
    return status;
}

static inline struct message_welcome bench_terms(const struct bench *bench)
{
    struct message_welcome terms = {.level = MESSAGE_LEVEL_STORED,
                                    .max_message_bytes = 100,
                                    .window_bytes = 100 * 65,
                                    .has_origin = true};
    memcpy(terms.origin, bench->points[0].digest, CHAIN_DIGEST_BYTES);
    return terms;
}

static inline enum certpost_status bench_welcome_with(struct bench *bench,
                                                      const struct committed *head,
                                                      const struct message_welcome *terms)
{
    struct buffer frames;
    buffer_init(&frames, 4096);
    assert_ok(message_append_welcome(&frames, head, terms));
    return bench_input(bench, &frames);
}

static inline enum certpost_status bench_welcome(struct bench *bench, uint64_t seq)
{
    struct message_welcome terms = bench_terms(bench);
    return bench_welcome_with(bench, &bench->points[seq], &terms);
}

static inline enum certpost_status bench_ack(struct bench *bench, uint64_t seq)
{
    struct buffer frames;
    buffer_init(&frames, 4096);
    assert_ok(message_append_ack(&frames, &bench->points[seq]));
    return bench_input(bench, &frames);
}

static inline enum certpost_status bench_goaway(struct bench *bench, uint16_t code)
{
    struct buffer frames;
    buffer_init(&frames, 4096);
    struct message_refusal goaway = {.code = code, .text = {(const unsigned char *)"why\n", 4}};
    assert_ok(message_append_goaway(&frames, &goaway));
    return bench_input(bench, &frames);
}

static inline enum certpost_status bench_reject(struct bench *bench, uint64_t seq)
{
    struct buffer frames;
    buffer_init(&frames, 4096);
    struct message_refusal reject = {.seq = seq, .code = MESSAGE_CODE_REFUSED};
    assert_ok(message_append_reject(&frames, &reject));
    return bench_input(bench, &frames);
}

/* Connects and sends HELLO. */
static inline void bench_connect(struct bench *bench)
{
    assert_ok(sender_connected(bench->sender, bench->now_ms, NULL));
    assert_ok(sender_output(bench->sender, &bench->output, bench->now_ms));
    bench->closed = false;
}

static inline void bench_disconnect(struct bench *bench)
{
    sender_disconnected(bench->sender);
    bench_effects(bench);
    buffer_clear(&bench->output);
}

/* Gives up to `most` messages that the sender wants; returns what the last gift led to. */
static inline enum certpost_status bench_give(struct bench *bench, unsigned most)
{
    struct sender_want want = {0};
    enum certpost_status status = CERTPOST_OK;
    while (most-- > 0 && status == CERTPOST_OK && sender_wants_message(bench->sender, &want) &&
           want.position < bench->available) {
        unsigned char message = (unsigned char)want.seq;
        status = sender_message(bench->sender, &message, 1, &bench->output, bench->now_ms, NULL);
    }
    bench_effects(bench);
    return status;
}

/* "HELLO MESSAGE 1 MESSAGE 2 BYE": what the server is sent. */
static inline const char *bench_output(struct bench *bench)
{
    static char text[512];
    text[0] = '\0';
    assert_ok(sender_output(bench->sender, &bench->output, bench->now_ms));
    bench_effects(bench);
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, 1000);
    struct cursor input = cursor_over(buffer_bytes(&bench->output), bench->output.length);
    struct frame frame = {0};
    while (frame_decoder_next(&decoder, &input, UINT32_MAX, &frame, NULL) == CERTPOST_OK) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? " " : "",
                 frame_type_name(frame.type));
        used = strlen(text);
        if (frame.type == FRAME_MESSAGE)
            snprintf(text + used, sizeof text - used, " %u", (unsigned)frame.body[0]);
    }
    frame_decoder_free(&decoder);
    buffer_clear(&bench->output);
    return text;
}

/* A sender that has been welcomed to a stream with `seq` messages and has sent nothing. */
static inline struct bench bench_open(const struct sender_config *config, uint64_t seq)
{
    struct bench bench = bench_new(config);
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, seq));
    assert_string_equal(bench_output(&bench), "HELLO");
    return bench;
}

static inline void assert_state(const struct bench *bench, const char *name)
{
    assert_string_equal(sender_state_name(bench->sender), name);
}

/* The sender has given up for `status`, keeps its messages, and will not connect again. */
static inline void check_failed(struct bench *bench, enum certpost_status status)
{
    struct certpost_error error = {.status = CERTPOST_OK};
    assert_status(sender_failure(bench->sender, &error), status);
    assert_true(error.text[0] != '\0');
    assert_int_equal(sender_released_position(bench->sender), 0);
    bench_disconnect(bench);
    assert_state(bench, "FAILED");
    assert_status(sender_connected(bench->sender, 0, NULL), CERTPOST_INTERNAL);
    bench_end(bench);
}

#endif
