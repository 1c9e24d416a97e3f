/*
 * client/plain_exchange.h — one message and its reply in the plain exchange.
 *
 * Strictly in turn: a reply carries no number, so it can only be told which message it is for if
 * there is never more than one under way, and nothing comes that was not asked for.
 */
#ifndef CLIENT_PLAIN_EXCHANGE_H
#define CLIENT_PLAIN_EXCHANGE_H

#include "base/buffer.h"
#include "client/send_options.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

/* The longest message in chunk framing: what one TLS record carries, and one read returns. */
enum { PLAIN_CHUNK_MAX_BYTES = 16384 };

/* The longest reply, without its newline. */
enum { PLAIN_REPLY_MAX_BYTES = 16384 };

struct plain_exchange {
    SSL *ssl; /* borrowed */
    enum plain_framing framing;
    int64_t ack_timeout_ms;
    struct buffer outgoing;
    struct buffer reply;
};

/* Free with plain_exchange_free. */
void plain_exchange_init(struct plain_exchange *exchange, SSL *ssl, enum plain_framing framing,
                         int64_t ack_timeout_ms);
void plain_exchange_free(struct plain_exchange *exchange);

/*
 * Puts the message into its framing, ready to be sent. LIMIT: the framing cannot carry it
 * unaltered; nothing was sent, and the words say which framing can. NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_exchange_prepare(struct plain_exchange *exchange,
                                            const unsigned char *message, size_t length,
                                            struct certpost_error *error);

/*
 * Sends what was prepared and waits for the reply, which comes without its newline and is good
 * until the next call. The server has acknowledged the message when, and only when, this is OK.
 *
 * Errors: REFUSED (the server said so; its words are in the error), PROTOCOL, TIMEOUT, and those of
 * certpost_tls_read.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_exchange_send(struct plain_exchange *exchange,
                                         const unsigned char **ret_reply, size_t *ret_length,
                                         struct certpost_error *error);

#endif
