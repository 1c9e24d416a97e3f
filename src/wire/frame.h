/*
 * wire/frame.h — frames of certpost/1: where each begins and ends in the stream of bytes
 * (docs/protocol.md, section 3).
 *
 *   offset 0  u8   type
 *   offset 1  u24  length of the body
 *   offset 4       body
 *
 * What a peer can make the decoder hold is bounded by the type in the header, which is judged
 * before a byte of the body is waited for. A frame that lies whole in the input is not copied.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/buffer.h"
#include "base/cursor.h"

#include "certpost/error.h"

enum frame_type {
    FRAME_HELLO = 1,
    FRAME_WELCOME = 2,
    FRAME_MESSAGE = 3,
    FRAME_ACK = 4,
    FRAME_REJECT = 5,
    FRAME_GOAWAY = 6,
    FRAME_BYE = 7,
    FRAME_PING = 8,
    FRAME_PONG = 9,
    FRAME_RECEIPT_REQUEST = 10,
    FRAME_RECEIPT = 11,
};

/* A set of frame types: FRAME_BIT(a) | FRAME_BIT(b) … */
#define FRAME_BIT(type) (UINT32_C(1) << (type))

enum {
    FRAME_HEADER_BYTES = 4,
    FRAME_MESSAGE_MAX_BYTES = 0xffffff, /* what a u24 holds */
    FRAME_GREETING_MAX_BYTES = 1024,    /* HELLO and WELCOME */
    FRAME_RECEIPT_MAX_BYTES = 16384,
};

/* "MESSAGE"; "unknown" for a number that is no type. Static. */
const char *frame_type_name(unsigned type);

struct frame {
    enum frame_type type;
    const unsigned char *body; /* good until the next call of the decoder or change of its input */
    size_t length;
};

struct frame_decoder {
    struct buffer partial;      /* a frame of which not everything has come yet */
    uint32_t max_message_bytes; /* a longer MESSAGE is refused at its header */
    bool partial_delivered;     /* `partial` is the frame that was returned last */
};

/* Allocates nothing. */
void frame_decoder_init(struct frame_decoder *decoder, uint32_t max_message_bytes);
/* NULL does nothing. */
void frame_decoder_free(struct frame_decoder *decoder);

/*
 * The frame that was returned last is not needed any more; gives its memory back, if it had any.
 * The next frame_decoder_next does so too, but for a peer that falls silent there may be none.
 */
void frame_decoder_release(struct frame_decoder *decoder);

/* The bytes of an incomplete frame that are held. */
size_t frame_decoder_partial_bytes(const struct frame_decoder *decoder);

/*
 * Takes the next frame out of `input`, and only that. `allowed` is the set of types that the peer
 * may send now.
 *
 * CERTPOST_WANT_READ: all of `input` was taken, and more is needed. CERTPOST_PROTOCOL: the header
 * is of another type, or has a length that its type cannot have. CERTPOST_LIMIT: it is a MESSAGE
 * above max_message_bytes. CERTPOST_NO_MEMORY. After one of the last three nothing more can be
 * decoded from this stream.
 */
CERTPOST_MUST_CHECK
enum certpost_status frame_decoder_next(struct frame_decoder *decoder, struct cursor *input,
                                        uint32_t allowed, struct frame *ret_frame,
                                        struct certpost_error *error);

#endif
