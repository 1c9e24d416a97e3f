/*
 * tls/material.h — certificates and keys as bytes in memory.
 *
 * The files are read once, checked, and kept; each worker then makes its own OpenSSL objects from
 * the same bytes. So all workers serve the same pair, a reload is all or nothing, and a key file
 * can be out of reach once the server has dropped its rights.
 */
#ifndef TLS_MATERIAL_H
#define TLS_MATERIAL_H

#include "base/buffer.h"

#include "certpost/error.h"

#include <openssl/ssl.h>

struct tls_pair {
    char *certificate_path; /* for error messages */
    char *key_path;
    struct buffer certificate_pem; /* leaf first, then the chain */
    struct buffer key_pem;         /* secret */
};

/* A PEM file of more than this is a mistake (a log file, a device). */
enum { TLS_PEM_MAX_BYTES = 4 * 1024 * 1024 };

/*
 * Reads and checks a certificate chain and its key: both must parse, and belong together. On
 * failure CERTPOST_OWN_CERTIFICATE (NO_MEMORY), with words that name the file and what is wrong
 * with it. The pair is the caller's; free it with tls_pair_free, which wipes the key.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_pair_load(const char *certificate_path, const char *key_path,
                                   struct tls_pair **ret_pair, struct certpost_error *error);
void tls_pair_free(struct tls_pair *pair);

/* Installs the pair into a context; errors as tls_pair_load. */
CERTPOST_MUST_CHECK
enum certpost_status tls_pair_install(const struct tls_pair *pair, SSL_CTX *context,
                                      struct certpost_error *error);

#endif
