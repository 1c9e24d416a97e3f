/*
 * tls/pin.h — pins: a public key named by its digest, `sha256//BASE64`, as curl and RFC 7469 write
 * it.
 *
 * The digest is taken over the DER form of the certificate's SubjectPublicKeyInfo. So a pin
 * survives the renewal of a certificate that keeps its key, and does not depend on any CA.
 */
#ifndef TLS_PIN_H
#define TLS_PIN_H

#include "certpost/status.h"

#include <openssl/x509.h>
#include <stdbool.h>

enum { TLS_PIN_BYTES = 32 }; /* SHA-256 */

#define TLS_PIN_PREFIX "sha256//"

/* The prefix, 32 bytes in base64, and a NUL. */
#define TLS_PIN_TEXT_BYTES (sizeof TLS_PIN_PREFIX + 44)

struct tls_pin {
    unsigned char digest[TLS_PIN_BYTES];
};

/* False when `text` is not the prefix and exactly 32 bytes in padded, canonical base64. */
CERTPOST_MUST_CHECK
bool tls_pin_parse(const char *text, struct tls_pin *ret_pin);

void tls_pin_format(const struct tls_pin *pin, char ret_text[TLS_PIN_TEXT_BYTES]);

/* The pin of a certificate's key; false when memory runs out, or the key cannot be encoded. */
CERTPOST_MUST_CHECK
bool tls_pin_of(const X509 *certificate, struct tls_pin *ret_pin);

#endif
