/*
 * tls/material.h — certificates and keys as bytes in memory.
 *
 * The files are read once, checked, and kept; each worker then makes its own OpenSSL objects from
 * the same bytes. So all workers serve the same pair, a reload is all or nothing, and a key file
 * can be out of reach once the server has dropped its rights. A key is kept decrypted, so that the
 * passphrase need not be.
 */
#ifndef TLS_MATERIAL_H
#define TLS_MATERIAL_H

#include "base/buffer.h"
#include "tls/passphrase.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct tls_pair {
    char *certificate_path; /* for error messages */
    char *key_path;
    struct buffer certificate_pem; /* leaf first, then the chain */
    struct buffer key_der;         /* secret: the key itself, not encrypted */
    bool key_is_public;            /* everybody on this machine can read the key's file */
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

/* The same, where an encrypted key (PKCS #8 or traditional PEM) can be opened by `passphrase`. */
CERTPOST_MUST_CHECK
enum certpost_status tls_pair_load_encrypted(const char *certificate_path, const char *key_path,
                                             const struct tls_passphrase *passphrase,
                                             struct tls_pair **ret_pair,
                                             struct certpost_error *error);
void tls_pair_free(struct tls_pair *pair);

/* A pair as OpenSSL's objects, for one thread. {0} is none. */
struct tls_credential {
    X509 *leaf;
    STACK_OF(X509) * chain; /* what the peer is sent after the leaf */
    EVP_PKEY *key;
};

/* Errors as tls_pair_load. Free with tls_credential_free. */
CERTPOST_MUST_CHECK
enum certpost_status tls_credential_parse(const struct tls_pair *pair,
                                          struct tls_credential *ret_credential,
                                          struct certpost_error *error);
void tls_credential_free(struct tls_credential *credential);

/*
 * Adds a credential to a context, which takes references of its own; one of the same key type is
 * replaced. `pair` is for the words. Errors as tls_pair_load.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_credential_install(const struct tls_credential *credential,
                                            const struct tls_pair *pair, SSL_CTX *context,
                                            struct certpost_error *error);

/* Installs the pair into a context; errors as tls_pair_load. */
CERTPOST_MUST_CHECK
enum certpost_status tls_pair_install(const struct tls_pair *pair, SSL_CTX *context,
                                      struct certpost_error *error);

/* True when everybody on this machine can read the file; only a hint, for warnings. */
bool tls_file_is_public(const char *path);

#endif
