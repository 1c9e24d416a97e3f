/*
 * session/receiver.h — the server's role in certpost/1, without I/O (docs/protocol.md).
 *
 * Bytes, completions of the store and the time go in; effects and bytes to send come out. The
 * receiver never calls anybody, so it cannot block and is never re-entered. The caller's turn:
 *
 *     while (receiver_wants_input(r) && input.left_bytes > 0) {
 *         status = receiver_input(r, &input, now_ms, &error);      log it if it is not OK, go on
 *         while (receiver_next_effect(r, &effect) != RECEIVER_NONE)
 *             carry it out
 *     }
 *     status = receiver_output(r, &output);                        then write `output` to the peer
 *     while (receiver_next_effect(r, &effect) != RECEIVER_NONE)    CLOSE comes after the last
 * output carry it out
 *
 * and the last three lines again after each completion, tick and end of input. Effects must be
 * pulled until RECEIVER_NONE before the next input: a STORE's message lives in the input.
 *
 *   NEW → OPENING → OPEN → LEAVING → CLOSED, and from each by way of DRAINING to CLOSED;
 *   section 10.1 of the document has the table.
 *
 * Limits: one frame of input; messages of `window_bytes` in all (each counts 64 bytes more than its
 * length) between STORE and their commit; one PONG; one receipt.
 *
 * Threads: one at a time per receiver, and one at a time per `struct chain`.
 */
#ifndef SESSION_RECEIVER_H
#define SESSION_RECEIVER_H

#include "base/chain.h"
#include "base/machine.h"
#include "wire/message.h"

enum receiver_state {
    RECEIVER_NEW,
    RECEIVER_OPENING,
    RECEIVER_OPEN,
    RECEIVER_LEAVING,
    RECEIVER_DRAINING,
    RECEIVER_CLOSED,
};

/* What holds for all connections of a server. Must outlive every receiver that is made with it. */
struct receiver_config {
    enum message_level level;
    uint32_t max_message_bytes; /* at most FRAME_MESSAGE_MAX_BYTES */
    uint32_t window_bytes;      /* at least max_message_bytes + MESSAGE_OVERHEAD_BYTES */
    struct message_span server_name;
    struct message_span reply;
    int64_t hello_timeout_ms; /* these three: 0 means no deadline */
    int64_t idle_timeout_ms;  /* announced in WELCOME; at most UINT32_MAX */
    int64_t drain_timeout_ms;
    bool receipts;
};

enum receiver_effect_type {
    RECEIVER_NONE,
    /* Find `stream` of the client's identity, take it over, then call receiver_opened, or
     * receiver_lost when it cannot be had or may not be written. Comes at most once. */
    RECEIVER_OPEN_STREAM,
    /* Store `message` as number `seq` with the digest `digest`, in the order of the effects; then
     * receiver_committed, receiver_lost or receiver_reject. The bytes are the input's: copy them
     * before the next receiver_input or receiver_output. */
    RECEIVER_STORE,
    /* Sign a receipt for `committed`, then call receiver_append_receipt or receiver_refuse_receipt.
     */
    RECEIVER_SIGN_RECEIPT,
    /* End the connection: all output has been taken. Nothing comes after it. */
    RECEIVER_CLOSE,
};

struct receiver_effect {
    enum receiver_effect_type type;
    struct message_span stream;   /* OPEN_STREAM; good as long as STORE's bytes */
    struct message_span software; /* OPEN_STREAM; length 0 when unknown */
    uint64_t seq;                 /* STORE */
    unsigned char digest[CHAIN_DIGEST_BYTES];
    struct message_span message;
    struct committed committed; /* SIGN_RECEIPT */
};

struct receiver;

/*
 * A receiver for a connection that is through its TLS handshake. `identity` is the client's; it,
 * `config` and `chain` are borrowed for the receiver's life. The caller frees it with
 * receiver_free (NULL does nothing). Errors: NO_MEMORY; USAGE for a config outside its bounds.
 */
CERTPOST_MUST_CHECK
enum certpost_status receiver_new(const struct receiver_config *config, struct chain *chain,
                                  struct message_span identity, int64_t now_ms,
                                  struct receiver **ret_receiver, struct certpost_error *error);
void receiver_free(struct receiver *receiver);

/*
 * Takes bytes of the client: all of `input`, or up to the first frame that has an effect. After a
 * failure the receiver has already decided what the client is told, and goes on towards CLOSE: the
 * status and the text are for the log. PROTOCOL and LIMIT (a message or a stream that is too long):
 * the client's fault; NO_MEMORY, SYSTEM, INTERNAL: ours.
 */
CERTPOST_MUST_CHECK
enum certpost_status receiver_input(struct receiver *receiver, struct cursor *input, int64_t now_ms,
                                    struct certpost_error *error);

/*
 * The client sends no more: with close_notify (`clean`), or truncated. CERTPOST_TRUNCATED when the
 * end is not clean or cuts a frame, for the log.
 */
enum certpost_status receiver_input_ended(struct receiver *receiver, bool clean, int64_t now_ms);

/* The next effect; its type is also the return value. */
enum receiver_effect_type receiver_next_effect(struct receiver *receiver,
                                               struct receiver_effect *ret_effect);

/*
 * Appends everything that is to be sent now, as whole frames: one ACK for the newest commit. LIMIT
 * or NO_MEMORY: what did not fit stays due; call again when there is room. With room for 2048 bytes
 * in `output`, LIMIT does not happen.
 */
CERTPOST_MUST_CHECK
enum certpost_status receiver_output(struct receiver *receiver, struct buffer *output);

/*
 * The answer to OPEN_STREAM: the head of the stream, which is taken over. INTERNAL when it is not a
 * possible head: the connection is then being ended. Ignored when the stream is not awaited any
 * more.
 */
CERTPOST_MUST_CHECK
enum certpost_status receiver_opened(struct receiver *receiver, const struct committed *head,
                                     int64_t now_ms, struct certpost_error *error);

/*
 * Everything up to `committed` is safe. May stand for many STOREs; must be newer than the last.
 * INTERNAL when it is not what was given to the store: the connection is then being ended.
 */
CERTPOST_MUST_CHECK
enum certpost_status receiver_committed(struct receiver *receiver,
                                        const struct committed *committed, int64_t now_ms,
                                        struct certpost_error *error);

/*
 * What was given to the store and is not committed will never be: the store failed, the stream went
 * to a newer connection (MESSAGE_CODE_SUPERSEDED), or it could not be opened. The client gets the
 * ACKs that are due, and GOAWAY. `text` is cut at 255 bytes; it may be empty, never NULL.
 */
void receiver_lost(struct receiver *receiver, uint16_t code, const char *text, int64_t now_ms);

/*
 * Message `seq` is refused; it and all after it will not be committed, all before it will. INTERNAL
 * when it is not on its way to the store.
 */
CERTPOST_MUST_CHECK
enum certpost_status receiver_reject(struct receiver *receiver, uint64_t seq, uint16_t code,
                                     const char *text, int64_t now_ms,
                                     struct certpost_error *error);

/*
 * The server wants to end: GOAWAY, no more messages; pending commits are still acknowledged. A
 * receipt that was asked for is sent before GOAWAY, as long as the time for draining lasts.
 */
void receiver_go_away(struct receiver *receiver, uint16_t code, const char *text, int64_t now_ms);

/*
 * The answer to SIGN_RECEIPT. Appends the due ACK and the receipt, or nothing when nobody waits for
 * it any more. Then receiver_output as always. Errors as receiver_output.
 */
CERTPOST_MUST_CHECK
enum certpost_status receiver_append_receipt(struct receiver *receiver, struct buffer *output,
                                             const struct message_receipt *receipt);

/*
 * The other answer to SIGN_RECEIPT: there is none. The client gets GOAWAY; what it sent before is
 * still acknowledged.
 */
void receiver_refuse_receipt(struct receiver *receiver, uint16_t code, const char *text,
                             int64_t now_ms);

/* When receiver_tick is due; CLOCK_NEVER_MS for never. */
int64_t receiver_next_deadline_ms(const struct receiver *receiver);

/* Lets the time pass. CERTPOST_TIMEOUT when a deadline did too, for the log. */
enum certpost_status receiver_tick(struct receiver *receiver, int64_t now_ms,
                                   struct certpost_error *error);

/* The server did not read for reasons of its own; the client's idle time starts again. */
void receiver_defer_idle(struct receiver *receiver, int64_t now_ms);

bool receiver_wants_input(const struct receiver *receiver);
bool receiver_has_output(const struct receiver *receiver);
/* Bytes of a message that has not come whole yet: memory that the server's bound has to count. */
size_t receiver_partial_bytes(const struct receiver *receiver);
/* Bytes between STORE and commit, with the overhead of each message, and their messages. */
uint64_t receiver_unacked_bytes(const struct receiver *receiver);
size_t receiver_unacked_messages(const struct receiver *receiver);
/* ACKs that were made, and how many messages they acknowledged. */
uint64_t receiver_ack_count(const struct receiver *receiver);
uint64_t receiver_acked_messages(const struct receiver *receiver);
/* With which code of section 9 the conversation is being ended, by GOAWAY or REJECT; 0: it is not.
 */
uint16_t receiver_refusal_code(const struct receiver *receiver);
enum receiver_state receiver_state(const struct receiver *receiver);
const char *receiver_state_name(const struct receiver *receiver);

/* The table of moves, for the test that compares it with the document. */
const struct machine_state *receiver_states(size_t *ret_count);

#endif
