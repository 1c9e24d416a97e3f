/*
 * session/sender.h — the client's role in certpost/1, without I/O (docs/protocol.md).
 *
 * The messages belong to the caller: in memory, in a spool file, or still in the input. The sender
 * asks for them by *position* (0 for the first that the caller ever had for this sender) when it
 * can use them, and says up to which position they may be dropped. Between the two it keeps 36
 * bytes for each unacknowledged message, so that memory does not depend on the length of the input.
 * The caller's turn, once connected (sender_connected):
 *
 *     status = sender_input(s, &input, now_ms, &error);            what the server sent
 *     while (sender_next_effect(s, &effect) != SENDER_NONE)
 *         carry it out
 *     while (sender_wants_message(s, &want))
 *         get message want.position, or stop if there is none yet;
 *         status = sender_message(s, bytes, length, &output, now_ms, &error)
 *     status = sender_output(s, &output, now_ms);                  then write `output`, and
 *     sender_wrote(s, now_ms);                                     when some of it was taken
 *     while (sender_next_effect(s, &effect) != SENDER_NONE)
 *         carry it out
 *
 * and after each tick too. When the connection ends, for whatever reason: sender_disconnected;
 * then, if sender_state is DISCONNECTED, back off, connect and go on.
 *
 *   DISCONNECTED → GREETING → [SKIPPING →] OPEN → [PROVING →] LEAVING → FINISHED; back to
 *   DISCONNECTED from each; DRAINING after GOAWAY and REJECT; FAILED when no further attempt can
 * help. Section 10.2 of the document has the table.
 *
 * No failure loses anything: what was not released by SENDER_ACKED is still unacknowledged.
 * Threads: one at a time per sender, and one at a time per `struct chain`.
 */
#ifndef SESSION_SENDER_H
#define SESSION_SENDER_H

#include "base/chain.h"
#include "base/machine.h"
#include "wire/message.h"

enum sender_state {
    SENDER_DISCONNECTED,
    SENDER_GREETING,
    SENDER_SKIPPING,
    SENDER_OPEN,
    SENDER_PROVING,
    SENDER_LEAVING,
    SENDER_DRAINING,
    SENDER_FINISHED,
    SENDER_FAILED,
};

/* What is known of the stream before the first connection (section 6.3). */
enum sender_start {
    /* Nothing: the messages go behind whatever the server has. */
    SENDER_APPEND,
    /* A spool: up to `start_seq` with `start_digest` is acknowledged (to `start_level`); of the
     * messages, the first `earlier_messages` may have been sent by an earlier process. */
    SENDER_CONTINUE,
    /* The input is the stream from number `start_seq` + 1 on: what is stored is skipped. */
    SENDER_RESUME,
};

struct sender_config {
    struct message_span stream;   /* copied */
    struct message_span software; /* copied; may be empty */
    enum message_level required_level;
    enum sender_start start;
    uint64_t start_seq;
    unsigned char start_digest[CHAIN_DIGEST_BYTES];
    enum message_level start_level;
    uint64_t earlier_messages;
    size_t max_unacked_messages; /* at least 1; the window bounds the bytes, this the records */
    bool wants_receipt;          /* when all is acknowledged a receipt is asked for, before BYE */
    int64_t answer_timeout_ms;   /* these four: 0 means no deadline */
    int64_t ping_interval_ms;    /* shortened to a third of the server's idle timeout */
    int64_t ping_timeout_ms;
    int64_t ack_timeout_ms; /* for the receipt too */
};

enum sender_effect_type {
    SENDER_NONE,
    /* WELCOME came: sender_welcome has its terms. */
    SENDER_WELCOMED,
    /* Messages before `released_position` are acknowledged at sender_welcome's level, up to number
     * `seq` with `digest`; drop them. A spool records seq, digest and level. */
    SENDER_ACKED,
    /* The receipt that was asked for has come: sender_receipt. It is to be for number `seq` with
     * `digest`; whether it is, and is to be believed, is the caller's to check, before the next
     * sender_output, which says BYE. */
    SENDER_RECEIPT,
    /* End the connection (close_notify), once the output is written; then sender_disconnected. */
    SENDER_CLOSE,
};

struct sender_effect {
    enum sender_effect_type type;
    uint64_t seq;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    uint64_t released_position;
};

struct sender_want {
    uint64_t position;
    uint64_t seq; /* its number in the stream */
    bool skip;    /* the server has it: it is hashed, not sent, and may be forgotten by a caller
                   * that reads its input just once (SENDER_RESUME) */
};

struct sender;

/*
 * `chain` is borrowed for the sender's life. The caller frees it with sender_free (NULL does
 * nothing). Errors: NO_MEMORY; USAGE for a name that no stream can have and other wrong configs.
 */
CERTPOST_MUST_CHECK
enum certpost_status sender_new(const struct sender_config *config, struct chain *chain,
                                struct sender **ret_sender, struct certpost_error *error);
void sender_free(struct sender *sender);

/* A connection is through its TLS handshake. INTERNAL: not in DISCONNECTED. */
CERTPOST_MUST_CHECK
enum certpost_status sender_connected(struct sender *sender, int64_t now_ms,
                                      struct certpost_error *error);

/*
 * The connection is gone or was never more than an attempt. The state is then DISCONNECTED, or
 * FINISHED, or FAILED.
 */
void sender_disconnected(struct sender *sender);

/*
 * Takes all of `input`. Errors: PROTOCOL, DIGEST, REFUSED (the level is below what is required, or
 * there are no receipts and one is wanted), LIMIT, INTERNAL: the sender has FAILED. NO_MEMORY,
 * SYSTEM (OpenSSL failed): only this connection is over. SENDER_CLOSE follows all of them.
 */
CERTPOST_MUST_CHECK
enum certpost_status sender_input(struct sender *sender, struct cursor *input, int64_t now_ms,
                                  struct certpost_error *error);

enum sender_effect_type sender_next_effect(struct sender *sender, struct sender_effect *ret_effect);

/* Whether a message can be used now, and which. */
bool sender_wants_message(const struct sender *sender, struct sender_want *ret_want);

/*
 * Gives the message that was wanted; a MESSAGE frame is appended to `output` unless it is skipped.
 *
 * WANT_READ: acknowledgements must come first; keep the message, sender_wants_message says when.
 * WANT_WRITE: `output` has no room; write, then give it again. LIMIT: longer than the server takes
 * (its max_message is in sender_welcome): nothing happened; report it. USAGE: no message was
 * wanted. NO_MEMORY, SYSTEM: nothing happened; end the connection, or give it again. DIGEST: the
 * skipped messages are not those that the server has: the sender has FAILED. INTERNAL: other bytes
 * than before at this position: the sender has FAILED.
 */
CERTPOST_MUST_CHECK
enum certpost_status sender_message(struct sender *sender, const void *bytes, size_t length,
                                    struct buffer *output, int64_t now_ms,
                                    struct certpost_error *error);

/*
 * No message will follow position `total` - 1. The sender says BYE after the last, and is FINISHED
 * when all are acknowledged, and the receipt, if it wants one, has come. DIGEST: the server has
 * more than the input: the sender has FAILED.
 */
CERTPOST_MUST_CHECK
enum certpost_status sender_finish(struct sender *sender, uint64_t total,
                                   struct certpost_error *error);

/*
 * Appends HELLO, PING, PONG, RECEIPT_REQUEST and BYE as they are due. LIMIT or NO_MEMORY: what did
 * not fit stays due.
 */
CERTPOST_MUST_CHECK
enum certpost_status sender_output(struct sender *sender, struct buffer *output, int64_t now_ms);

/* The network took bytes: a sign of life while a long message is on its way. */
void sender_wrote(struct sender *sender, int64_t now_ms);

/* When sender_tick is due; CLOCK_NEVER_MS for never. */
int64_t sender_next_deadline_ms(const struct sender *sender);

/* Lets the time pass. CERTPOST_TIMEOUT: SENDER_CLOSE follows, and a new attempt is sensible. */
CERTPOST_MUST_CHECK
enum certpost_status sender_tick(struct sender *sender, int64_t now_ms,
                                 struct certpost_error *error);

enum sender_state sender_state(const struct sender *sender);
const char *sender_state_name(const struct sender *sender);

/* Why the sender has FAILED or will after this connection; CERTPOST_OK otherwise. */
enum certpost_status sender_failure(const struct sender *sender, struct certpost_error *ret_error);

/* The last WELCOME; NULL before the first. Spans and all live until the next WELCOME. */
const struct message_welcome *sender_welcome(const struct sender *sender);

/* The last GOAWAY or REJECT of this connection; NULL when there was none. Likewise. */
const struct message_refusal *sender_refusal(const struct sender *sender);

/* The receipt that came; NULL before. Lives until sender_disconnected. */
const struct message_receipt *sender_receipt(const struct sender *sender);

/* Sent on this connection and not acknowledged. */
size_t sender_unacked_messages(const struct sender *sender);
uint64_t sender_unacked_bytes(const struct sender *sender);
/* Messages before this position are acknowledged. */
uint64_t sender_released_position(const struct sender *sender);
/*
 * Of these, how many were skipped by their numbers alone: a SENDER_RESUME from number 2 or later
 * on, or from a server that does not tell D(0), has no digest to begin with (section 6.3).
 */
uint64_t sender_unchecked_messages(const struct sender *sender);

/* The table of moves, for the test that compares it with the document. */
const struct machine_state *sender_states(size_t *ret_count);

#endif
