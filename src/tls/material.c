/*
 * material.c — certificates and keys as bytes in memory (tls/material.h).
 *
 * Uses: base, OpenSSL.  Used by: context_server.c, context_client.c, and the mains.
 * Never: asks a terminal for a passphrase, or leaves key bytes in memory that was given back.
 */
#include "tls/material.h"

#include "base/error.h"
#include "tls/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TLS_READ_BYTES = 16 * 1024 };

static enum certpost_status tls_file_fill(int descriptor, struct buffer *buffer, const char *kind,
                                          const char *path, struct certpost_error *error)
{
    for (;;) {
        unsigned char *tail = NULL;
        enum certpost_status status = buffer_reserve(buffer, TLS_READ_BYTES, &tail);
        if (status == CERTPOST_LIMIT)
            return error_set(error, CERTPOST_OWN_CERTIFICATE, "%s %s is too large to be one", kind,
                             path);
        if (status != CERTPOST_OK)
            return error_no_memory(error);
        ssize_t got = read(descriptor, tail, TLS_READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, CERTPOST_OWN_CERTIFICATE, errno, "cannot read %s %s",
                                   kind, path);
        if (got == 0)
            return CERTPOST_OK;
        buffer_commit(buffer, (size_t)got);
    }
}

static enum certpost_status tls_file_read(const char *path, const char *kind, struct buffer *buffer,
                                          struct certpost_error *error)
{
    /* O_NONBLOCK: a named pipe without a writer must not hang the start. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return error_set_errno(error, CERTPOST_OWN_CERTIFICATE, errno, "cannot read %s %s", kind,
                               path);
    enum certpost_status status = tls_file_fill(descriptor, buffer, kind, path, error);
    close(descriptor);
    if (status == CERTPOST_OK && buffer->length == 0)
        status = error_set(error, CERTPOST_OWN_CERTIFICATE, "%s %s is empty", kind, path);
    return status;
}

static BIO *tls_memory_bio(const struct buffer *buffer)
{
    return BIO_new_mem_buf(buffer_bytes(buffer), (int)buffer->length);
}

/* Stands in for OpenSSL's default, which would ask on the terminal and so hang a service. */
static int tls_no_passphrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static enum certpost_status tls_key_parse(const struct tls_pair *pair, EVP_PKEY **ret_key,
                                          struct certpost_error *error)
{
    bool passphrase_asked = false;
    BIO *bio = tls_memory_bio(&pair->key_pem);
    if (bio == NULL)
        return error_no_memory(error);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_passphrase, &passphrase_asked);
    BIO_free(bio);
    if (key != NULL) {
        *ret_key = key;
        return CERTPOST_OK;
    }
    ERR_clear_error();
    if (passphrase_asked)
        return error_set(error, CERTPOST_OWN_CERTIFICATE,
                         "private key %s is encrypted; give one without a passphrase",
                         pair->key_path);
    return error_set(error, CERTPOST_OWN_CERTIFICATE, "%s holds no private key in PEM format",
                     pair->key_path);
}

/* Adds the certificates after the leaf to the chain that the peer is sent. */
static enum certpost_status tls_chain_install(BIO *bio, const struct tls_pair *pair,
                                              SSL_CTX *context, struct certpost_error *error)
{
    for (;;) {
        X509 *link = PEM_read_bio_X509(bio, NULL, tls_no_passphrase, &(bool){false});
        if (link == NULL)
            break;
        if (SSL_CTX_add0_chain_cert(context, link) != 1) {
            X509_free(link);
            return error_set(error, CERTPOST_OWN_CERTIFICATE, "certificate chain %s: %s",
                             pair->certificate_path, tls_explain_local());
        }
    }
    unsigned long last = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (!at_end)
        return error_set(error, CERTPOST_OWN_CERTIFICATE,
                         "certificate file %s is damaged after its first certificate",
                         pair->certificate_path);
    return CERTPOST_OK;
}

static enum certpost_status tls_certificate_install(const struct tls_pair *pair, SSL_CTX *context,
                                                    struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    BIO *bio = tls_memory_bio(&pair->certificate_pem);
    if (bio == NULL)
        return error_no_memory(error);
    X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, tls_no_passphrase, &(bool){false});
    if (leaf == NULL) {
        ERR_clear_error();
        status = error_set(error, CERTPOST_OWN_CERTIFICATE, "%s holds no certificate in PEM format",
                           pair->certificate_path);
    } else if (SSL_CTX_use_certificate(context, leaf) != 1) {
        status = error_set(error, CERTPOST_OWN_CERTIFICATE, "certificate %s cannot be used: %s",
                           pair->certificate_path, tls_explain_local());
    } else {
        status = tls_chain_install(bio, pair, context, error);
    }
    X509_free(leaf);
    BIO_free(bio);
    return status;
}

enum certpost_status tls_pair_install(const struct tls_pair *pair, SSL_CTX *context,
                                      struct certpost_error *error)
{
    EVP_PKEY *key = NULL;
    ERR_clear_error();
    enum certpost_status status = tls_certificate_install(pair, context, error);
    if (status == CERTPOST_OK)
        status = tls_key_parse(pair, &key, error);
    if (status != CERTPOST_OK)
        return status;
    if (X509_check_private_key(SSL_CTX_get0_certificate(context), key) != 1) {
        ERR_clear_error();
        status = error_set(error, CERTPOST_OWN_CERTIFICATE,
                           "private key %s does not belong to certificate %s", pair->key_path,
                           pair->certificate_path);
    } else if (SSL_CTX_use_PrivateKey(context, key) != 1) {
        status = error_set(error, CERTPOST_OWN_CERTIFICATE, "private key %s cannot be used: %s",
                           pair->key_path, tls_explain_local());
    }
    EVP_PKEY_free(key);
    return status;
}

/* Tries the pair in a context that is thrown away, so that every fault shows when it is loaded. */
static enum certpost_status tls_pair_check(const struct tls_pair *pair,
                                           struct certpost_error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL)
        return error_no_memory(error);
    enum certpost_status status = tls_pair_install(pair, context, error);
    SSL_CTX_free(context);
    return status;
}

enum certpost_status tls_pair_load(const char *certificate_path, const char *key_path,
                                   struct tls_pair **ret_pair, struct certpost_error *error)
{
    struct tls_pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        return error_no_memory(error);
    buffer_init(&pair->certificate_pem, TLS_PEM_MAX_BYTES);
    buffer_init(&pair->key_pem, TLS_PEM_MAX_BYTES);
    enum certpost_status status = CERTPOST_OK;
    pair->certificate_path = strdup(certificate_path);
    pair->key_path = strdup(key_path);
    if (pair->certificate_path == NULL || pair->key_path == NULL)
        status = error_no_memory(error);
    if (status == CERTPOST_OK)
        status = tls_file_read(certificate_path, "certificate", &pair->certificate_pem, error);
    if (status == CERTPOST_OK)
        status = tls_file_read(key_path, "private key", &pair->key_pem, error);
    if (status == CERTPOST_OK)
        status = tls_pair_check(pair, error);
    if (status == CERTPOST_OK)
        *ret_pair = pair;
    else
        tls_pair_free(pair);
    return status;
}

void tls_pair_free(struct tls_pair *pair)
{
    if (pair == NULL)
        return;
    buffer_free(&pair->certificate_pem);
    buffer_wipe_free(&pair->key_pem);
    free(pair->certificate_path);
    free(pair->key_path);
    free(pair);
}
