/* session/sender_internal.h — the sender's memory; for the files sender*.c only. */
#ifndef SESSION_SENDER_INTERNAL_H
#define SESSION_SENDER_INTERNAL_H

#include "session/fifo.h"
#include "session/sender.h"

/* What is kept of a message between sending and acknowledgement. */
struct sender_flight {
    uint32_t length;
    unsigned char digest[CHAIN_DIGEST_BYTES]; /* D after it */
};

/* A number, and what D is there. */
struct sender_point {
    uint64_t seq;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    bool digest_known;
};

struct sender_texts {
    unsigned char stream[MESSAGE_STR8_MAX_BYTES];
    unsigned char software[MESSAGE_STR8_MAX_BYTES];
    unsigned char server_name[MESSAGE_STR8_MAX_BYTES];
    unsigned char reply[MESSAGE_STR8_MAX_BYTES];
    unsigned char refusal[MESSAGE_STR8_MAX_BYTES];
};

/*
 *   released ≤ base                 what is acknowledged and checked
 *   base + flights = chain          what has been hashed (while SKIPPING: base ≤ chain, no flights)
 *   base < next ≤ chain + 1         the next to send on this connection
 */
struct sender {
    struct sender_config config;
    struct sender_texts texts;
    struct chain *chain_worktable;
    struct machine machine;
    struct frame_decoder decoder;
    struct certpost_error failure; /* of the sender, not only of the connection */

    /* The stream, across connections. */
    struct sender_point base;  /* the last acknowledged message */
    uint64_t base_position;    /* of the message after it */
    struct sender_point chain; /* the last hashed message */
    struct fifo flights;       /* struct sender_flight of base.seq + 1 … */
    uint64_t promised_seq;     /* the highest last_seq that the server ever told */
    uint64_t earlier_seq;      /* up to here somebody else may have sent for us */
    uint64_t unchecked_seq;    /* skipped up to here, with no digest to begin with; 0: none */
    uint64_t total;            /* positions, once `finishing` */
    uint64_t ghosts;           /* abandoned connections whose HELLO the server may still act upon */
    unsigned char origin[CHAIN_DIGEST_BYTES];
    struct message_welcome welcome;

    /* This connection. */
    struct message_refusal refusal;
    struct buffer receipt_bytes; /* of both fields, one after the other */
    struct message_receipt receipt;
    struct sender_point skip_target;
    uint64_t next_seq;
    uint64_t unacked_bytes;
    uint64_t blocked_bytes; /* what the message that did not fit in the window needs; 0: none */
    uint64_t pings;
    int64_t answer_deadline_ms;
    int64_t last_sent_ms, last_alive_ms, ping_sent_ms, ack_wait_ms, receipt_wait_ms;
    unsigned char pong[MESSAGE_PING_BYTES];

    enum message_level level; /* of what was promised */
    bool position_known;      /* `base` is set: by the config, or by the first WELCOME */
    bool origin_known;
    bool welcomed; /* at least once */
    bool finishing;
    bool proven;    /* the receipt has come, on whatever connection */
    bool refused;   /* on this connection */
    bool connected; /* between sender_connected and sender_disconnected */
    bool ending;    /* SENDER_CLOSE is due or was pulled */
    bool ping_waits;
    bool hello_due, pong_due, ping_due;
    bool welcomed_due, acked_due, receipt_due, close_due;
};

/* Ends the connection, and the sender for good unless `status` is NO_MEMORY or SYSTEM; returns it.
 */
CERTPOST_MUST_CHECK
enum certpost_status sender_fail(struct sender *sender, enum certpost_status status,
                                 const struct certpost_error *error);

/* Whether a receipt is wanted that has not come. */
static inline bool sender_lacks_receipt(const struct sender *sender)
{
    return sender->config.wants_receipt && !sender->proven;
}

/* Moves on to FINISHED if everything is acknowledged and nothing speaks against it. */
void sender_finish_if_done(struct sender *sender);

/* Everything up to `point` is acknowledged and checked. */
void sender_release(struct sender *sender, const struct sender_point *point);

/* SENDER_CLOSE is next. */
void sender_end(struct sender *sender);

/* Whether the server is known to have more than the whole input. */
bool sender_input_is_short(const struct sender *sender, uint64_t stored_seq);

/* Compares the end of the skipped messages with what WELCOME said, and opens. */
CERTPOST_MUST_CHECK
enum certpost_status sender_end_skipping(struct sender *sender, int64_t now_ms,
                                         struct certpost_error *error);

static inline uint64_t sender_position_of(const struct sender *sender, uint64_t seq)
{
    return sender->base_position + (seq - sender->base.seq - 1);
}

static inline int64_t sender_deadline(int64_t from_ms, int64_t timeout_ms)
{
    return timeout_ms <= 0 || timeout_ms > INT64_MAX - from_ms ? INT64_MAX : from_ms + timeout_ms;
}

#endif
