/*
 * tls/settings.h — what both ends set on an SSL_CTX alike: versions, groups, cipher suites, modes.
 */
#ifndef TLS_SETTINGS_H
#define TLS_SETTINGS_H

#include "certpost/error.h"

#include <openssl/ssl.h>

/* The strings are borrowed and must live until the context is made. */
struct tls_settings {
    int min_version;          /* TLS1_3_VERSION (0 means that) or TLS1_2_VERSION */
    const char *groups;       /* colon-separated, best first; NULL: TLS_DEFAULT_GROUPS */
    const char *ciphersuites; /* of TLS 1.3, colon-separated; NULL: OpenSSL's own order */
};

/*
 * Hybrid post-quantum first, where the OpenSSL in use has it; names it lacks are skipped. The
 * asterisk (OpenSSL 3.5) marks groups that a client sends a key share for: with both, a server that
 * lacks the first needs no HelloRetryRequest, which would cost a round trip.
 */
#define TLS_DEFAULT_GROUPS "*X25519MLKEM768:*X25519:P-256:P-384"

/* "1.2" or "1.3"; CERTPOST_USAGE for anything else, with words. */
CERTPOST_MUST_CHECK
enum certpost_status tls_settings_parse_version(const char *text, int *ret_version,
                                                struct certpost_error *error);

/*
 * Applies the settings: TLS 1.3, or 1.2 and up with AEAD and ECDHE only; no compression, no
 * renegotiation; moving write buffers and partial writes allowed; buffers released while idle.
 * CERTPOST_USAGE with words when no group or no cipher suite of a list is known to this OpenSSL.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_settings_apply(SSL_CTX *context, const struct tls_settings *settings,
                                        struct certpost_error *error);

#endif
