/*
 * wire/statement.h — what a receipt says, as text: "this server holds this stream, up to this
 * message" (docs/protocol.md, section 4.9; docs/receipts.md has the whole format).
 *
 *     Content-Type: text/plain; charset=us-ascii
 *
 *     certpost-receipt: 1
 *     server: post.example
 *     identity: dns:sensor.example
 *     stream: temperature
 *     seq: 42
 *     digest: 64 hexadecimal digits, D(seq)
 *     time: 2026-11-22T13:21:17.123Z
 *
 * These bytes are what is signed. Lines end with CR LF and the first two are a MIME header, so that
 * the text is an S/MIME entity in its canonical form (RFC 8551, section 3.1.1) as it stands.
 *
 * The form is canonical: a statement has exactly one text, and a text that is not the one of the
 * statement it carries is refused. In a value, every byte that is not printable ASCII, a backslash,
 * a space at either end and a hyphen after a hyphen are written as \xHH with small digits; so no
 * line can be mistaken for another, nor for a MIME boundary, which begins with two hyphens.
 */
#ifndef WIRE_STATEMENT_H
#define WIRE_STATEMENT_H

#include "base/buffer.h"
#include "base/committed.h"

#include "certpost/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    STATEMENT_SERVER_MAX_BYTES = 255,
    STATEMENT_IDENTITY_MAX_BYTES = 1024,
    STATEMENT_STREAM_MAX_BYTES = 255,
    /* The longest text: every byte of every value escaped, and 400 for all else. */
    STATEMENT_TEXT_MAX_BYTES = 4 * (STATEMENT_SERVER_MAX_BYTES + STATEMENT_IDENTITY_MAX_BYTES +
                                    STATEMENT_STREAM_MAX_BYTES) +
                               400,
};

/* 9999-12-31T23:59:59.999Z: the last moment that RFC 3339 can write. */
#define STATEMENT_TIME_MAX_MS INT64_C(253402300799999)

/* Length-counted bytes, any bytes; a value. */
struct statement {
    size_t server_length;
    size_t identity_length; /* 0: a client without a certificate */
    size_t stream_length;
    unsigned char server[STATEMENT_SERVER_MAX_BYTES]; /* the name that WELCOME says */
    unsigned char identity[STATEMENT_IDENTITY_MAX_BYTES];
    unsigned char stream[STATEMENT_STREAM_MAX_BYTES];
    uint64_t seq;                             /* at most INT64_MAX */
    unsigned char digest[CHAIN_DIGEST_BYTES]; /* D(seq) */
    int64_t time_ms;                          /* since 1970, 0 to STATEMENT_TIME_MAX_MS */
};

/*
 * Appends the text. Errors: USAGE: a length, the number or the time is out of its bounds; LIMIT,
 * NO_MEMORY: of the buffer. Nothing is appended then.
 */
CERTPOST_MUST_CHECK
enum certpost_status statement_append(struct buffer *buffer, const struct statement *statement);

/*
 * Reads a text. PROTOCOL, with words that go on from "the statement", when it is not the canonical
 * text of a statement: another version, a line too many or too few or out of order, a value out of
 * its bounds or written in another way than statement_append writes it. NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status statement_parse(const void *text, size_t length,
                                     struct statement *ret_statement, struct certpost_error *error);

#endif
