/*
 * pin.c — public keys named by their digest (tls/pin.h).
 *
 * Uses: OpenSSL.  Used by: allow.c, context_pin.c, the clients' options.
 * Never: takes a second spelling of the same pin: what compares equal must look equal.
 */
#include "tls/pin.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* 32 bytes are ten groups of three and one of two: 44 characters, the last one padding. */
enum { PIN_BASE64_BYTES = 44, PIN_DECODED_BYTES = 33 };

void tls_pin_format(const struct tls_pin *pin, char ret_text[TLS_PIN_TEXT_BYTES])
{
    unsigned char base64[PIN_BASE64_BYTES + 1];
    EVP_EncodeBlock(base64, pin->digest, TLS_PIN_BYTES);
    snprintf(ret_text, TLS_PIN_TEXT_BYTES, "%s%s", TLS_PIN_PREFIX, (const char *)base64);
}

bool tls_pin_parse(const char *text, struct tls_pin *ret_pin)
{
    unsigned char decoded[PIN_DECODED_BYTES];
    char again[TLS_PIN_TEXT_BYTES];
    struct tls_pin pin;
    size_t prefix = sizeof TLS_PIN_PREFIX - 1;
    if (strlen(text) != prefix + PIN_BASE64_BYTES)
        return false;
    if (EVP_DecodeBlock(decoded, (const unsigned char *)text + prefix, PIN_BASE64_BYTES) !=
        PIN_DECODED_BYTES)
        return false;
    memcpy(pin.digest, decoded, TLS_PIN_BYTES);
    /* The decoder takes white space and stray bits; only the one canonical text comes back. */
    tls_pin_format(&pin, again);
    if (strcmp(text, again) != 0)
        return false;
    *ret_pin = pin;
    return true;
}

bool tls_pin_of(const X509 *certificate, struct tls_pin *ret_pin)
{
    struct tls_pin pin;
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool done =
        length > 0 && EVP_Digest(der, (size_t)length, pin.digest, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    if (done)
        *ret_pin = pin;
    else
        ERR_clear_error();
    return done;
}
