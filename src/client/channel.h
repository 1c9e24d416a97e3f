/* client/channel.h — a verified TLS connection to the server, opened from options. */
#ifndef CLIENT_CHANNEL_H
#define CLIENT_CHANNEL_H

#include "client/send_options.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdio.h>

struct channel {
    SSL_CTX *context;
    SSL *ssl;
    FILE *keylog; /* NULL unless secrets are logged */
    int socket_fd;
};

/*
 * Reads certificates, resolves, connects and completes the handshake, offering the ALPN name
 * `alpn`. Local files are read first: what is wrong on this machine is said without bothering the
 * server. `options` must outlive the channel. End it with channel_free, which is a no-op on a
 * channel that was never opened.
 *
 * Errors: those of each step; a connection that ends within the handshake is HANDSHAKE.
 */
CERTPOST_MUST_CHECK
enum certpost_status channel_open(const struct send_options *options, const char *alpn,
                                  struct channel *ret_channel, struct certpost_error *error);

/*
 * Completes the handshake of an SSL that has its socket, in words for somebody who waits for it:
 * TIMEOUT; a connection that ends within it, or whose peer sends no TLS, is HANDSHAKE; else as
 * certpost_tls_handshake.
 */
CERTPOST_MUST_CHECK
enum certpost_status channel_shake_hands(SSL *ssl, int64_t deadline_ms,
                                         struct certpost_error *error);

/* Ends the conversation with close_notify and waits a moment for the peer's. */
void channel_finish(struct channel *channel);

void channel_free(struct channel *channel);

#endif
