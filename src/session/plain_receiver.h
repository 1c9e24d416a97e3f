/*
 * session/plain_receiver.h — the server's role in the plain exchange, without I/O.
 *
 * Bytes of the peer and the results of the store go in; effects come out, one at a time, when they
 * are asked for. The caller carries each out before it asks for the next.
 *
 *     OPEN ──────► FINISHING ──────► CLOSED
 *
 *   OPEN        messages are taken and answered.
 *   FINISHING   nothing more is fed: the peer ended, a line was too long, a message could not be
 *               made safe, or the server drains. What was taken is still answered, in order.
 *   CLOSED      everything that can be answered is; PLAIN_EFFECT_CLOSE has been given out.
 *
 * A reply exists only for a `committed` value, so nothing is acknowledged before it is safe, and
 * replies come in the order of the messages. Back-pressure is the caller's: a caller that does not
 * ask for effects is given no messages to store.
 */
#ifndef SESSION_PLAIN_RECEIVER_H
#define SESSION_PLAIN_RECEIVER_H

#include "base/committed.h"
#include "base/machine.h"
#include "wire/plain.h"

#include "certpost/error.h"

enum plain_receiver_state {
    PLAIN_RECEIVER_OPEN,
    PLAIN_RECEIVER_FINISHING,
    PLAIN_RECEIVER_CLOSED,
};

enum plain_effect_kind {
    PLAIN_EFFECT_STORE, /* make `bytes` safe as message `seq` */
    PLAIN_EFFECT_SEND,  /* send `bytes` to the peer */
    PLAIN_EFFECT_CLOSE, /* nothing more will come: end the connection cleanly */
};

/* `bytes` is borrowed until the receiver's next call. */
struct plain_effect {
    enum plain_effect_kind kind;
    uint64_t seq;
    const unsigned char *bytes;
    size_t length;
};

/* What every refusal of the plain exchange starts with; a client can tell it from a reply. */
#define PLAIN_REFUSAL_PREFIX "Message refused: "

/* Replies larger than this would make one byte of a peer cost too many of ours. */
enum { PLAIN_REPLY_MAX_BYTES = 1024 };

/* The longest reason of a refusal, and the longest reply to one message. */
enum { PLAIN_TEXT_MAX_BYTES = 255 };

struct plain_receiver_config {
    enum plain_framing framing;
    size_t max_message_bytes;
    const char
        *reply; /* borrowed for the receiver's life; sent as it is, with LF in line framing */
};

struct plain_receiver {
    struct plain_receiver_config config;
    struct machine machine;
    struct plain_decoder decoder;
    uint64_t taken_seq;     /* messages given out to be stored */
    uint64_t committed_seq; /* of these, safe */
    uint64_t replied_seq;   /* of these, answered */
    bool take_rest;         /* whole messages that were fed before the end are still taken */
    bool take_last;         /* the input ended cleanly: an unfinished line is the last message */
    bool refuse;            /* the refusal is still to be sent, after the replies before it */
    bool rejects;           /* the refusal is that of a message which the program rejected */
    char refusal_reason[PLAIN_TEXT_MAX_BYTES + 1]; /* empty: nothing was refused */
    char refusal[PLAIN_TEXT_MAX_BYTES + sizeof PLAIN_REFUSAL_PREFIX + 1]; /* as it is sent */
    struct buffer replies;  /* what replaces `reply` for some messages, in their order */
    size_t reply_to_forget; /* so many bytes of `replies` are the effect that was returned last */
    char reply[PLAIN_REPLY_MAX_BYTES + 2]; /* the reply with its line's end */
    size_t reply_bytes;
};

/* USAGE when the reply is longer than PLAIN_REPLY_MAX_BYTES. */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_init(struct plain_receiver *receiver,
                                         const struct plain_receiver_config *config,
                                         struct certpost_error *error);
void plain_receiver_free(struct plain_receiver *receiver);

/*
 * What one read returned; borrowed until plain_receiver_next returns WANT_READ or
 * plain_receiver_keep is called. Ignored once the receiver has left OPEN.
 */
void plain_receiver_feed(struct plain_receiver *receiver, const unsigned char *bytes,
                         size_t length);

/* Why a message was refused, in words for a log; NULL when none was. Lives as the receiver does. */
const char *plain_receiver_refusal(const struct plain_receiver *receiver);

/* Copies what was fed and not used. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_keep(struct plain_receiver *receiver);

/*
 * The next effect: CERTPOST_OK; WANT_READ when there is none until something more goes in;
 * NO_MEMORY; INTERNAL. After the last two the connection can only be closed.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_next(struct plain_receiver *receiver,
                                         struct plain_effect *ret_effect,
                                         struct certpost_error *error);

/* Every message up to committed->seq is safe. INTERNAL if that was never given out, or is not news.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_committed(struct plain_receiver *receiver,
                                              const struct committed *committed,
                                              struct certpost_error *error);

/*
 * The messages after the last committed one could not be made safe. They will not be answered; the
 * peer is told that `reason` (a short literal) is why, and the connection ends.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_store_failed(struct plain_receiver *receiver,
                                                 const char *reason, struct certpost_error *error);

/*
 * Message `seq` is answered with `text` (1 to PLAIN_TEXT_MAX_BYTES bytes on one line, copied)
 * instead of the reply, once it is committed. In the order of the messages, each at most once,
 * before its commit. Errors: NO_MEMORY; INTERNAL when it was not given out, or is answered already.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_set_reply(struct plain_receiver *receiver, uint64_t seq,
                                              const char *text, struct certpost_error *error);

/*
 * Message `seq` is refused; it and all after it will not be committed, all before it will, and are
 * answered first. The peer is told `reason` (cut at PLAIN_TEXT_MAX_BYTES), and the connection ends.
 * INTERNAL when it was not given out, or is committed already.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_reject(struct plain_receiver *receiver, uint64_t seq,
                                           const char *reason, struct certpost_error *error);

/*
 * The server will take nothing more of this peer: what was taken is answered, then the peer is told
 * that `reason` (a short literal) is why, and the connection ends.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_refuse(struct plain_receiver *receiver, const char *reason,
                                           struct certpost_error *error);

/* No more input will come; `clean`: the peer said so with close_notify. */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_input_ended(struct plain_receiver *receiver, bool clean,
                                                struct certpost_error *error);

/* The server drains: take the whole messages that were fed, answer them, then close. */
CERTPOST_MUST_CHECK
enum certpost_status plain_receiver_drain(struct plain_receiver *receiver,
                                          struct certpost_error *error);

/* How many messages were given out and are not committed yet. */
uint64_t plain_receiver_uncommitted(const struct plain_receiver *receiver);

#endif
