/*
 * wire/message.h — the bodies of certpost/1's frames as values, and back (docs/protocol.md,
 * section 4).
 *
 * Decoding is strict: a body must be what the document says, to its last byte. Spans of a decoded
 * message point into the frame, and live as long as it does. Each encoder appends one whole frame
 * or, when it fails, nothing: CERTPOST_LIMIT when the buffer's maximum would be passed,
 * CERTPOST_NO_MEMORY, CERTPOST_USAGE when the value cannot be encoded (too long, not valid text).
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "base/committed.h"
#include "wire/frame.h"

enum {
    MESSAGE_STR8_MAX_BYTES = 255,
    MESSAGE_PING_BYTES = 8,
    MESSAGE_OVERHEAD_BYTES = 64, /* what a message counts in the window besides its bytes */
};

/* What "stored" means at a server, from the weakest to the strongest (section 4.2). */
enum message_level {
    MESSAGE_LEVEL_ACCEPTED = 0,   /* handed on; no storage is configured */
    MESSAGE_LEVEL_STORED = 1,     /* on stable storage */
    MESSAGE_LEVEL_REPLICATED = 2, /* on stable storage of a quorum of machines */
};

/* The last number of a stream; the bound is what SQL's signed integers hold. */
#define MESSAGE_SEQ_MAX ((uint64_t)INT64_MAX)

/* Tags of options; odd ones must be understood (section 3). */
enum {
    MESSAGE_OPTION_REQUIRED_LEVEL = 1, /* HELLO */
    MESSAGE_OPTION_SOFTWARE = 2,
    MESSAGE_OPTION_ORIGIN = 2, /* WELCOME */
    MESSAGE_OPTION_IDLE_TIMEOUT = 4,
    MESSAGE_OPTION_RECEIPTS = 6,
};

/* Section 9: X(constant, number, name, a client may reconnect by itself after it). */
#define MESSAGE_CODE_LIST(X)                                                                       \
    X(PROTOCOL, 1, "protocol", false)                                                              \
    X(NOT_ALLOWED, 2, "not_allowed", false)                                                        \
    X(LEVEL_UNAVAILABLE, 3, "level_unavailable", false)                                            \
    X(SUPERSEDED, 4, "superseded", false)                                                          \
    X(SHUTTING_DOWN, 5, "shutting_down", true)                                                     \
    X(STORE_FULL, 6, "store_full", true)                                                           \
    X(STORE_FAILED, 7, "store_failed", true)                                                       \
    X(IDLE, 8, "idle", true)                                                                       \
    X(BUSY, 9, "busy", true)                                                                       \
    X(INTERNAL, 10, "internal", true)                                                              \
    X(EXHAUSTED, 11, "exhausted", false)                                                           \
    X(TOO_LARGE, 32, "too_large", false)                                                           \
    X(REFUSED, 33, "refused", false)

/* On the wire a u16; an application's own codes are MESSAGE_CODE_APPLICATION to 65535. */
enum message_code {
#define MESSAGE_CODE_ENUM(constant, number, name, again) MESSAGE_CODE_##constant = (number),
    MESSAGE_CODE_LIST(MESSAGE_CODE_ENUM)
#undef MESSAGE_CODE_ENUM
        MESSAGE_CODE_APPLICATION = 256,
};

/* "superseded"; "unknown" for a code that is not in the list. Static. */
const char *message_code_name(uint16_t code);

/* Whether a client may reconnect by itself after GOAWAY with this code. */
bool message_code_may_retry(uint16_t code);

/* Bytes that belong to somebody else. */
struct message_span {
    const unsigned char *bytes;
    size_t length;
};

struct message_hello {
    struct message_span stream;        /* plain text, 1 to 255 bytes */
    enum message_level required_level; /* MESSAGE_LEVEL_ACCEPTED when the option is absent */
    struct message_span software;      /* plain text; length 0 when absent */
};

struct message_ack {
    uint64_t last_seq;
    unsigned char digest[CHAIN_DIGEST_BYTES];
};

struct message_welcome {
    struct message_ack head; /* set by decoding; message_append_welcome takes it as an argument */
    enum message_level level;
    uint32_t max_message_bytes;
    uint32_t window_bytes;
    struct message_span server_name; /* plain text */
    struct message_span reply;       /* text */
    bool has_origin;
    unsigned char origin[CHAIN_DIGEST_BYTES]; /* D(0) */
    uint32_t idle_timeout_ms;                 /* 0: the option is absent */
    bool receipts;
};

/* REJECT, and GOAWAY, which has no `seq`. */
struct message_refusal {
    uint64_t seq;
    uint16_t code;
    struct message_span text; /* text for people */
};

struct message_receipt {
    struct message_span statement;
    struct message_span signature;
};

struct message {
    enum frame_type type;
    union {
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_span payload; /* MESSAGE */
        struct message_ack ack;
        struct message_refusal refusal;         /* REJECT, GOAWAY */
        unsigned char ping[MESSAGE_PING_BYTES]; /* PING, PONG */
        struct message_receipt receipt;
    };
};

/*
 * Decodes the body of one frame. CERTPOST_PROTOCOL with a text that names the rule that was broken;
 * `*ret_message` is not touched then.
 */
CERTPOST_MUST_CHECK
enum certpost_status message_decode(const struct frame *frame, struct message *ret_message,
                                    struct certpost_error *error);

/* Valid UTF-8 without control characters (U+0000-1F, U+007F-9F), 1 to 255 bytes. */
bool message_stream_name_is_valid(const void *bytes, size_t length);

/* What a message of `length` bytes counts in the window (section 6.2). */
static inline uint64_t message_cost_bytes(size_t length)
{
    return (uint64_t)length + MESSAGE_OVERHEAD_BYTES;
}

CERTPOST_MUST_CHECK
enum certpost_status message_append_hello(struct buffer *buffer, const struct message_hello *hello);

/* WELCOME and ACK claim that messages are stored, so they are made from a store's word only. */
CERTPOST_MUST_CHECK
enum certpost_status message_append_welcome(struct buffer *buffer, const struct committed *head,
                                            const struct message_welcome *terms);
CERTPOST_MUST_CHECK
enum certpost_status message_append_ack(struct buffer *buffer, const struct committed *committed);

/* The MESSAGE frame around `length` bytes, at most FRAME_MESSAGE_MAX_BYTES. */
CERTPOST_MUST_CHECK
enum certpost_status message_append_payload(struct buffer *buffer, const void *bytes,
                                            size_t length);
CERTPOST_MUST_CHECK
enum certpost_status message_append_reject(struct buffer *buffer,
                                           const struct message_refusal *reject);
CERTPOST_MUST_CHECK
enum certpost_status message_append_goaway(struct buffer *buffer,
                                           const struct message_refusal *goaway);
/* BYE and RECEIPT_REQUEST. */
CERTPOST_MUST_CHECK
enum certpost_status message_append_empty(struct buffer *buffer, enum frame_type type);
/* PING and PONG. */
CERTPOST_MUST_CHECK
enum certpost_status message_append_ping(struct buffer *buffer, enum frame_type type,
                                         const unsigned char ping[MESSAGE_PING_BYTES]);
CERTPOST_MUST_CHECK
enum certpost_status message_append_receipt(struct buffer *buffer,
                                            const struct message_receipt *receipt);

#endif
