/*
 * tls/stream.h — the server's half of a TLS connection, between bytes in memory.
 *
 * The stream never sees a descriptor. Ciphertext that the network delivered is offered to it and
 * borrowed; ciphertext that it produces is appended to one output buffer that belongs to the
 * worker. So one receive and one send serve a whole wake-up, however many records are in it
 * (docs/architecture.md).
 *
 *     tls_stream_offer(stream, received, n);
 *     while (tls_stream_read(stream, …) == CERTPOST_OK) …;      until WANT_READ
 *     tls_stream_write(stream, replies, n);
 *     send(output); tls_stream_keep(stream);
 *
 * Threads: one thread per stream; the output buffer and the context must be that thread's too.
 */
#ifndef TLS_STREAM_H
#define TLS_STREAM_H

#include "base/buffer.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* What one receive may deliver, and so the most that is ever kept while a connection is paused. */
enum { TLS_STREAM_INPUT_MAX_BYTES = 64 * 1024 };

/* OpenSSL takes key updates without end; a peer that sends more than this without data is ended. */
enum { TLS_STREAM_KEY_UPDATES_MAX = 32 };

struct tls_stream;

/* `output` is borrowed for the stream's life. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status tls_stream_new(SSL_CTX *context, struct buffer *output,
                                    struct tls_stream **ret_stream, struct certpost_error *error);
void tls_stream_free(struct tls_stream *stream);

/*
 * Offers ciphertext. `bytes` is borrowed until it is used up or tls_stream_keep is called,
 * whichever comes first; the one before must have been used up or kept.
 */
void tls_stream_offer(struct tls_stream *stream, const unsigned char *bytes, size_t length);

/* Tells the stream that the network has ended: what is missing now will never come. */
void tls_stream_end_input(struct tls_stream *stream);

/* Copies what is left of the offered ciphertext, so that its memory can be used again. */
CERTPOST_MUST_CHECK
enum certpost_status tls_stream_keep(struct tls_stream *stream);

/* True when there is ciphertext that no read has looked at. */
bool tls_stream_has_input(const struct tls_stream *stream);

/* CERTPOST_OK when the handshake is complete; WANT_READ; else as tls_outcome (tls/outcome.h). */
CERTPOST_MUST_CHECK
enum certpost_status tls_stream_handshake(struct tls_stream *stream, struct certpost_error *error);

/*
 * Decrypts up to `capacity` bytes of at most one record. CERTPOST_OK with `*ret_length` > 0,
 * WANT_READ, CLOSED (close_notify), TRUNCATED (end of input without it), else as tls_outcome.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_stream_read(struct tls_stream *stream, unsigned char *ret_bytes,
                                     size_t capacity, size_t *ret_length,
                                     struct certpost_error *error);

/* Encrypts all of `bytes` into the output. Errors as tls_outcome, or LIMIT from the output. */
CERTPOST_MUST_CHECK
enum certpost_status tls_stream_write(struct tls_stream *stream, const unsigned char *bytes,
                                      size_t length, struct certpost_error *error);

/* Puts close_notify into the output, once; later calls, and calls after a fatal error, do nothing.
 */
void tls_stream_close(struct tls_stream *stream);

/* The SSL, for asking what was negotiated. Borrowed. */
SSL *tls_stream_ssl(struct tls_stream *stream);

#endif
