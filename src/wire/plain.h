/*
 * wire/plain.h — the two framings of the plain exchange: bytes into messages.
 *
 *   chunk   What one read returned is one message; a trailing LF or CR LF is not part of it.
 *   line    LF ends a message; a CR before it is dropped. What stands before a clean end is the
 *           last line, less a CR at its end: the LF after it may have been on its way.
 *
 * A message longer than the limit, its ending not counted, cannot be taken.
 *
 * Pure: no I/O, no clock. Memory: at most one unfinished line plus what one read delivers.
 */
#ifndef WIRE_PLAIN_H
#define WIRE_PLAIN_H

#include "base/buffer.h"

#include "certpost/status.h"

#include <stdbool.h>

enum plain_framing {
    PLAIN_CHUNK,
    PLAIN_LINE,
};

/* "chunk" or "line"; false for anything else. */
CERTPOST_MUST_CHECK
bool plain_framing_from_name(const char *name, enum plain_framing *ret_framing);

/* The most that one read delivers: the plaintext of one TLS record (RFC 8446, section 5.1). */
enum { PLAIN_CHUNK_MAX_BYTES = 16 * 1024 };

/* A message's bytes, borrowed from the decoder until its next call that is not const. */
struct plain_span {
    const unsigned char *bytes;
    size_t length;
};

struct plain_decoder {
    enum plain_framing framing;
    size_t max_message_bytes;
    struct buffer kept;       /* an unfinished line, or what was fed and not yet taken */
    size_t kept_searched;     /* so many bytes of `kept` hold no LF */
    size_t kept_taken;        /* so many bytes of `kept` are the span that was returned last */
    const unsigned char *fed; /* borrowed */
    size_t fed_bytes;
    bool fed_is_message; /* chunk: what was fed has not been taken */
};

void plain_decoder_init(struct plain_decoder *decoder, enum plain_framing framing,
                        size_t max_message_bytes);
void plain_decoder_free(struct plain_decoder *decoder);

/*
 * Feeds what one read returned. It is borrowed until plain_decoder_next returns WANT_READ or
 * plain_decoder_keep is called. What was fed before must have been used up or kept.
 */
void plain_decoder_feed(struct plain_decoder *decoder, const unsigned char *bytes, size_t length);

/*
 * The next whole message. CERTPOST_OK; WANT_READ when more has to be fed first; LIMIT when a
 * message is longer than the limit (the decoder is then of no more use); NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_decoder_next(struct plain_decoder *decoder,
                                        struct plain_span *ret_message);

/*
 * Copies what was fed and not used, so that its memory can be used again. Errors: NO_MEMORY; LIMIT
 * when more than one whole read is kept and nothing of it was taken.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_decoder_keep(struct plain_decoder *decoder);

/*
 * After a clean end of the input, when plain_decoder_next has returned WANT_READ: the last line,
 * which no LF ended. False when there is none.
 */
CERTPOST_MUST_CHECK
bool plain_decoder_last(struct plain_decoder *decoder, struct plain_span *ret_message);

/* How many bytes of an unfinished message the decoder holds. */
size_t plain_decoder_unfinished_bytes(const struct plain_decoder *decoder);

#endif
