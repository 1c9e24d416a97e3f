/*
 * tls/context.h — the names of the exchanges, and a client's SSL_CTX, complete and strict, or an
 * error in words. The server's is made from its material (tls/server_material.h).
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "tls/material.h"
#include "tls/settings.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* ALPN names of the two exchanges (RFC 7301). */
#define TLS_ALPN_PLAIN      "certpost-plain"
#define TLS_ALPN_CERTPOST_1 "certpost/1"

/* A client's context. Strings are borrowed until the call returns. */
struct tls_client_config {
    struct tls_settings settings;
    const char *ca_file; /* PEM; NULL with ca_path NULL: the system's certificates */
    const char *ca_path; /* hashed folder, as `openssl rehash` makes it; or NULL */
    const char *crl_file;
    const struct tls_pair *pair; /* the client's own certificate, or NULL */
    bool insecure;               /* verify nothing; the caller has warned */
};

/* Errors: CA_FILE, OWN_CERTIFICATE, USAGE, NO_MEMORY, each with words that name the file. */
CERTPOST_MUST_CHECK
enum certpost_status tls_context_client(const struct tls_client_config *config,
                                        SSL_CTX **ret_context, struct certpost_error *error);

/*
 * A connection's SSL that will accept only `server_name`, a DNS name or an IP address: strict chain
 * checks (X509_V_FLAG_X509_STRICT), subject alternative names only, no partial wildcards (RFC
 * 9525), SNI for names and never for addresses (RFC 6066, section 3), and the ALPN list `alpn` (one
 * name, or NULL for none). The SSL is the caller's (SSL_free).
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_client_session(SSL_CTX *context, const char *server_name, const char *alpn,
                                        SSL **ret_ssl, struct certpost_error *error);

#endif
