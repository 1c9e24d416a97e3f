/*
 * support/receiver_bench.h — a receiver, and the client and the store that a test makes up for it.
 */
#ifndef SUPPORT_RECEIVER_BENCH_H
#define SUPPORT_RECEIVER_BENCH_H

#include "session/receiver.h"
#include "support/unit.h"

#include <stdlib.h>

enum { STORED_MAX = 64 };

/* A receiver, the writer behind it, and what the client has been sent. */
struct bench {
    struct receiver_config *config; /* the receiver borrows it */
    struct chain *chain;
    struct receiver *receiver;
    struct buffer output;
    struct committed stored[STORED_MAX]; /* what STORE effects have asked for, by number */
    uint64_t last_stored;
    bool open_asked, closed, receipt_asked;
    struct committed receipt_head; /* what the receipt has to be for */
    int64_t now_ms;
    enum certpost_status input_status;
};

static inline void bench_start_with(struct bench *bench, struct message_span identity)
{
    assert_ok(chain_new(&bench->chain, NULL));
    buffer_init(&bench->output, 1 << 20);
    assert_ok(
        receiver_new(bench->config, bench->chain, identity, bench->now_ms, &bench->receiver, NULL));
}

static inline struct bench bench_config(void)
{
    struct bench bench = {.config = calloc(1, sizeof *bench.config)};
    assert_non_null(bench.config);
    *bench.config =
        (struct receiver_config){.level = MESSAGE_LEVEL_STORED,
                                 .max_message_bytes = 1 << 20,
                                 .window_bytes = 4 << 20,
                                 .server_name = {(const unsigned char *)"post.example", 12},
                                 .reply = {(const unsigned char *)"Message received!", 17},
                                 .hello_timeout_ms = 1000,
                                 .idle_timeout_ms = 60000,
                                 .drain_timeout_ms = 5000};
    return bench;
}

static inline struct bench bench_start(void)
{
    struct bench bench = bench_config();
    bench_start_with(&bench, (struct message_span){NULL, 0});
    return bench;
}

static inline void bench_end(struct bench *bench)
{
    receiver_free(bench->receiver);
    buffer_free(&bench->output);
    chain_free(bench->chain);
    free(bench->config);
}

static inline void bench_effects(struct bench *bench)
{
    struct receiver_effect effect = {0};
    while (receiver_next_effect(bench->receiver, &effect) != RECEIVER_NONE) {
        assert_false(bench->closed);
        if (effect.type == RECEIVER_STORE) {
            assert_int_equal(effect.seq, bench->last_stored + 1);
            bench->last_stored = effect.seq;
            struct committed *stored = &bench->stored[effect.seq % STORED_MAX];
            stored->seq = effect.seq;
            memcpy(stored->digest, effect.digest, CHAIN_DIGEST_BYTES);
        }
        bench->open_asked |= effect.type == RECEIVER_OPEN_STREAM;
        if (effect.type == RECEIVER_SIGN_RECEIPT) {
            assert_false(bench->receipt_asked);
            bench->receipt_asked = true;
            bench->receipt_head = effect.committed;
        }
        bench->closed |= effect.type == RECEIVER_CLOSE;
    }
}

static inline void bench_input(struct bench *bench, const void *bytes, size_t length)
{
    struct cursor input = cursor_over(bytes, length);
    bench->input_status = CERTPOST_OK;
    while (receiver_wants_input(bench->receiver) && input.left_bytes > 0) {
        enum certpost_status status = receiver_input(bench->receiver, &input, bench->now_ms, NULL);
        if (bench->input_status == CERTPOST_OK)
            bench->input_status = status;
        bench_effects(bench);
    }
}
#define INPUT(bench, ...)                                                                          \
    bench_input(bench, (const unsigned char[]){__VA_ARGS__},                                       \
                sizeof((const unsigned char[]){__VA_ARGS__}))

static inline void bench_send_hello(struct bench *bench)
{
    INPUT(bench, 1, 0, 0, 5, 4, 'd', 'e', 'm', 'o');
}

static inline void bench_send_message(struct bench *bench, size_t length)
{
    unsigned char frame[300] = {3, 0, (unsigned char)(length >> 8), (unsigned char)length};
    bench_input(bench, frame, FRAME_HEADER_BYTES + length);
}

static inline void bench_opened(struct bench *bench, uint64_t seq)
{
    struct committed head = {.seq = seq};
    if (seq == 0)
        assert_ok(chain_first(bench->chain, NULL, 0, "demo", 4, head.digest));
    bench->last_stored = seq;
    assert_ok(receiver_opened(bench->receiver, &head, bench->now_ms, NULL));
    assert_ok(receiver_output(bench->receiver, &bench->output));
}

static inline void bench_commit(struct bench *bench, uint64_t seq)
{
    assert_ok(
        receiver_committed(bench->receiver, &bench->stored[seq % STORED_MAX], bench->now_ms, NULL));
}

/* "WELCOME ACK 2 GOAWAY 5": what the client is sent now. */
static inline const char *bench_output(struct bench *bench)
{
    static char text[256];
    text[0] = '\0';
    assert_ok(receiver_output(bench->receiver, &bench->output));
    bench_effects(bench);
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, 0);
    struct cursor input = cursor_over(buffer_bytes(&bench->output), bench->output.length);
    struct frame frame = {0};
    while (frame_decoder_next(&decoder, &input, UINT32_MAX, &frame, NULL) == CERTPOST_OK) {
        struct message message = {0};
        assert_ok(message_decode(&frame, &message, NULL));
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? " " : "",
                 frame_type_name(frame.type));
        used = strlen(text);
        if (frame.type == FRAME_ACK)
            snprintf(text + used, sizeof text - used, " %u", (unsigned)message.ack.last_seq);
        if (frame.type == FRAME_REJECT)
            snprintf(text + used, sizeof text - used, " %u", (unsigned)message.refusal.seq);
        if (frame.type == FRAME_REJECT || frame.type == FRAME_GOAWAY)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %s",
                     message_code_name(message.refusal.code));
    }
    frame_decoder_free(&decoder);
    buffer_clear(&bench->output);
    return text;
}

/* A receiver that has said WELCOME for an empty stream. */
static inline struct bench bench_open(void)
{
    struct bench bench = bench_start();
    bench_send_hello(&bench);
    bench_opened(&bench, 0);
    assert_string_equal(bench_output(&bench), "WELCOME");
    return bench;
}

#endif
