/*
 * tls/trust.h — whom a server trusts to name its clients: CA certificates and revocation lists, as
 * bytes in memory (the reasons are those of tls/material.h).
 */
#ifndef TLS_TRUST_H
#define TLS_TRUST_H

#include "base/buffer.h"
#include "tls/validity.h"

#include "certpost/error.h"

#include <openssl/ssl.h>

/* A million revoked certificates are some 40 MB in PEM. */
enum { TLS_TRUST_FILE_MAX_BYTES = 64 * 1024 * 1024 };

/* CAs above a client's certificate, not counting the root. */
enum { TLS_TRUST_DEPTH_MAX = 6 };

/* The names of the CAs that a client is sent; with more, it is sent none and has to know. */
enum { TLS_TRUST_NAMES_MAX_BYTES = 8 * 1024 };

struct tls_trust {
    char *ca_path; /* for error messages */
    char *crl_path;
    struct buffer ca_pem;
    struct buffer crl_pem; /* empty: revocation is not checked */
};

/*
 * Reads and checks both files; `crl_path` may be NULL. What is in them is added to `validities`. On
 * failure CA_FILE (NO_MEMORY), with words that name the file and what is wrong with it. Free with
 * tls_trust_free.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_trust_load(const char *ca_path, const char *crl_path,
                                    struct tls_validities *validities, struct tls_trust **ret_trust,
                                    struct certpost_error *error);
void tls_trust_free(struct tls_trust *trust);

/*
 * Makes `context` verify clients against these CAs: strictly (X509_V_FLAG_X509_STRICT), for the
 * purpose of a TLS client, and, with revocation lists, against these: the CA of a client's own
 * certificate must have one here, CAs above it are checked as far as they have one. Also sets the
 * names of the CAs that clients are told. Errors: as tls_trust_load.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_trust_install(const struct tls_trust *trust, SSL_CTX *context,
                                       struct certpost_error *error);

#endif
