/*
 * context_pin.c — the server's key compared with pins (tls/context_pin.h).
 *
 * It happens inside the handshake, so that a server with another key sees neither the client's own
 * certificate nor a byte of a message.
 *
 * Uses: pin, peer.  Used by: context_client.c.
 * Never: takes a pin for a reason to overlook another fault of the certificate, unless told to.
 */
#include "tls/context_pin.h"

#include "tls/peer_internal.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

/* A pin, and the sentence around it. */
enum { PIN_WORDS_BYTES = 256 };

static bool pin_is_among(const struct tls_pins *pins, const struct tls_pin *pin)
{
    for (size_t i = 0; i < pins->count; i++) {
        if (memcmp(pins->list[i].digest, pin->digest, sizeof pin->digest) == 0)
            return true;
    }
    return false;
}

static int pin_check(X509_STORE_CTX *chain, void *argument)
{
    const struct tls_pins *pins = argument;
    X509 *certificate = X509_STORE_CTX_get0_cert(chain);
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_pin pin;
    char text[TLS_PIN_TEXT_BYTES];
    char words[PIN_WORDS_BYTES];
    if (!tls_pin_of(certificate, &pin)) {
        X509_STORE_CTX_set_error(chain, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    if (pin_is_among(pins, &pin)) {
        X509_STORE_CTX_set_error(chain, X509_V_OK);
        return 1;
    }
    tls_pin_format(&pin, text);
    snprintf(words, sizeof words,
             "its key's pin is %s, and not %s with --pin; if this is the server's new key, give "
             "that pin",
             text, pins->count == 1 ? "the one given" : "one of those given");
    (void)tls_peer_refuse(ssl, certificate, X509_V_ERR_CERT_REJECTED, words);
    X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static int pin_check_after_chain(X509_STORE_CTX *chain, void *argument)
{
    return X509_verify_cert(chain) == 1 ? pin_check(chain, argument) : 0;
}

void tls_context_pin(SSL_CTX *context, const struct tls_pins *pins, bool pin_only)
{
    if (pins == NULL || pins->count == 0)
        return;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    /* The callbacks only read them. */
    SSL_CTX_set_cert_verify_callback(context, pin_only ? pin_check : pin_check_after_chain,
                                     (void *)(uintptr_t)pins);
}
