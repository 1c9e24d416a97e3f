/* session/receiver_internal.h — the receiver's memory; for the files receiver*.c only. */
#ifndef SESSION_RECEIVER_INTERNAL_H
#define SESSION_RECEIVER_INTERNAL_H

#include "session/fifo.h"
#include "session/receiver.h"

struct receiver_refusal {
    enum frame_type type; /* FRAME_GOAWAY or FRAME_REJECT; 0: none */
    bool due;
    uint64_t seq;
    uint16_t code;
    char text[MESSAGE_STR8_MAX_BYTES + 1];
};

struct receiver {
    const struct receiver_config *config;
    struct chain *chain;
    struct message_span identity;
    struct machine machine;
    struct frame_decoder decoder;

    unsigned char origin[CHAIN_DIGEST_BYTES]; /* D(0) */
    uint64_t received_seq;                    /* the last message that was given to the store */
    unsigned char received_digest[CHAIN_DIGEST_BYTES];
    bool newest_forgotten;   /* that digest is of a message which will not be stored */
    struct fifo uncommitted; /* u32 length of each message behind `committed` */
    uint64_t uncommitted_bytes;
    struct committed committed; /* by the store's word: WELCOME and every ACK are made from it */
    uint64_t acked_seq;         /* what the client has been told of */
    uint64_t ack_count;         /* ACKs that it was told by, and the messages in them */
    uint64_t acked_messages;

    struct receiver_effect effect; /* OPEN_STREAM or STORE that was not pulled yet */
    bool welcome_due;
    bool pong_due;
    unsigned char pong[MESSAGE_PING_BYTES];
    struct receiver_refusal refusal;
    bool receipt_wanted; /* between RECEIPT_REQUEST and receiver_append_receipt */
    bool receipt_asked;  /* SIGN_RECEIPT was pulled */
    uint64_t receipt_seq;
    bool close_now; /* nobody is left to be told anything, or the time for it is over */

    int64_t deadline_ms; /* of the present state; counts only while receiver_works is false */
    size_t progress_mark_bytes;
};

/* Ends the conversation with GOAWAY, unless that or REJECT was decided before. */
void receiver_refuse(struct receiver *receiver, uint16_t code, const char *text, int64_t now_ms);

/* Ends the conversation with REJECT for `seq`, likewise. */
void receiver_refuse_message(struct receiver *receiver, uint64_t seq, uint16_t code,
                             const char *text, int64_t now_ms);

/* Moves to LEAVING and starts its deadline. */
CERTPOST_MUST_CHECK
enum certpost_status receiver_leave(struct receiver *receiver, int64_t now_ms,
                                    struct certpost_error *error);

/* The idle time of an OPEN receiver starts again. */
void receiver_restart_idle(struct receiver *receiver, int64_t now_ms);

/* GOAWAY may go out at once; REJECT waits until everything before its message is committed. */
bool receiver_refusal_is_ready(const struct receiver *receiver);

#endif
