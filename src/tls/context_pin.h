/* tls/context_pin.h — a client that knows its server's key. */
#ifndef TLS_CONTEXT_PIN_H
#define TLS_CONTEXT_PIN_H

#include "tls/pin.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* The pins that are good; borrowed for the life of the context. */
struct tls_pins {
    const struct tls_pin *list;
    size_t count; /* 0: any key will do */
};

/*
 * Makes `context` refuse, inside the handshake, a server whose certificate has none of these keys.
 * This comes on top of the checks of chain and name; with `pin_only` it stands in for them, and the
 * server still has to prove that it holds the key. Does nothing without pins.
 */
void tls_context_pin(SSL_CTX *context, const struct tls_pins *pins, bool pin_only);

#endif
