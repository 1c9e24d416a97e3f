/*
 * material.c — certificates and keys as bytes in memory (tls/material.h).
 *
 * Uses: base, file, passphrase, OpenSSL.  Used by: context_client.c, served.c, server_material.c,
 * client.
 * Never: asks a terminal for a passphrase, or leaves key bytes in memory that was given back.
 */
#include "tls/material.h"

#include "base/error.h"
#include "tls/explain.h"
#include "tls/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool tls_file_is_public(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && (about.st_mode & S_IROTH) != 0;
}

static BIO *tls_memory_bio(const struct buffer *buffer)
{
    return BIO_new_mem_buf(buffer_bytes(buffer), (int)buffer->length);
}

/* ------------------------------------------------------------------------------ key */

static enum certpost_status tls_key_refuse(const struct tls_pair *pair,
                                           const struct tls_passphrase_request *request,
                                           struct certpost_error *error)
{
    if (tls_explain_no_memory(NULL))
        return error_no_memory(error);
    if (!request->asked)
        return error_set(error, CERTPOST_OWN_CERTIFICATE, "%s holds no private key in PEM format",
                         pair->key_path);
    if (request->passphrase == NULL)
        return error_set(error, CERTPOST_OWN_CERTIFICATE,
                         "private key %s is encrypted; give one without a passphrase",
                         pair->key_path);
    if (request->passphrase->path == NULL)
        return error_set(error, CERTPOST_OWN_CERTIFICATE,
                         "private key %s is encrypted; name the file with its passphrase with "
                         "--passphrase-file",
                         pair->key_path);
    return error_set(
        error, CERTPOST_OWN_CERTIFICATE,
        "private key %s cannot be decrypted with the passphrase in %s: it is the wrong "
        "passphrase, or the key is damaged",
        pair->key_path, request->passphrase->path);
}

static enum certpost_status tls_key_keep(struct tls_pair *pair, EVP_PKEY *key,
                                         struct certpost_error *error)
{
    unsigned char *tail = NULL;
    int length = i2d_PrivateKey(key, NULL);
    const char *words = NULL;
    if (length <= 0)
        return tls_explain_no_memory(&words)
                   ? error_no_memory(error)
                   : error_set(error, CERTPOST_OWN_CERTIFICATE, "private key %s cannot be used: %s",
                               pair->key_path, words);
    if (buffer_reserve(&pair->key_der, (size_t)length, &tail) != CERTPOST_OK)
        return error_no_memory(error);
    if (i2d_PrivateKey(key, &tail) != length)
        return error_no_memory(error);
    buffer_commit(&pair->key_der, (size_t)length);
    return CERTPOST_OK;
}

static enum certpost_status tls_key_decrypt(struct tls_pair *pair, const struct buffer *pem,
                                            const struct tls_passphrase *passphrase,
                                            struct certpost_error *error)
{
    struct tls_passphrase_request request = {.passphrase = passphrase};
    BIO *bio = tls_memory_bio(pem);
    if (bio == NULL)
        return error_no_memory(error);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, tls_passphrase_answer, &request);
    BIO_free(bio);
    if (key == NULL)
        return tls_key_refuse(pair, &request, error);
    enum certpost_status status = tls_key_keep(pair, key, error);
    EVP_PKEY_free(key);
    return status;
}

static enum certpost_status tls_key_load(struct tls_pair *pair,
                                         const struct tls_passphrase *passphrase,
                                         struct certpost_error *error)
{
    struct buffer pem;
    pair->key_is_public = tls_file_is_public(pair->key_path);
    buffer_init(&pem, TLS_PEM_MAX_BYTES);
    enum certpost_status status =
        tls_file_load(pair->key_path, "private key", CERTPOST_OWN_CERTIFICATE, &pem, error);
    if (status == CERTPOST_OK)
        status = tls_key_decrypt(pair, &pem, passphrase, error);
    buffer_wipe_free(&pem);
    return status;
}

static EVP_PKEY *tls_key_parse(const struct tls_pair *pair)
{
    const unsigned char *der = buffer_bytes(&pair->key_der);
    return d2i_AutoPrivateKey(NULL, &der, (long)pair->key_der.length);
}

/* ------------------------------------------------------------------------------ certificate */

/* The certificates after the leaf: the chain that the peer is sent. */
static enum certpost_status tls_chain_parse(BIO *bio, const struct tls_pair *pair,
                                            STACK_OF(X509) * chain, struct certpost_error *error)
{
    for (;;) {
        struct tls_passphrase_request none = {0};
        X509 *link = PEM_read_bio_X509(bio, NULL, tls_passphrase_answer, &none);
        if (link == NULL)
            break;
        if (sk_X509_push(chain, link) <= 0) {
            X509_free(link);
            return error_no_memory(error);
        }
    }
    unsigned long last = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (tls_explain_no_memory(NULL))
        return error_no_memory(error);
    if (!at_end)
        return error_set(error, CERTPOST_OWN_CERTIFICATE,
                         "certificate file %s is damaged after its first certificate",
                         pair->certificate_path);
    return CERTPOST_OK;
}

static enum certpost_status tls_certificate_parse(const struct tls_pair *pair,
                                                  struct tls_credential *credential,
                                                  struct certpost_error *error)
{
    struct tls_passphrase_request none = {0};
    BIO *bio = tls_memory_bio(&pair->certificate_pem);
    credential->chain = sk_X509_new_null();
    if (bio == NULL || credential->chain == NULL) {
        BIO_free(bio);
        return error_no_memory(error);
    }
    enum certpost_status status = CERTPOST_OK;
    credential->leaf = PEM_read_bio_X509_AUX(bio, NULL, tls_passphrase_answer, &none);
    if (credential->leaf == NULL) {
        status = tls_explain_no_memory(NULL)
                     ? error_no_memory(error)
                     : error_set(error, CERTPOST_OWN_CERTIFICATE,
                                 "%s holds no certificate in PEM format", pair->certificate_path);
    } else {
        status = tls_chain_parse(bio, pair, credential->chain, error);
    }
    BIO_free(bio);
    return status;
}

/* Before the key is looked at: with both files swapped, the words should name the right one. */
static enum certpost_status tls_certificate_check(const struct tls_pair *pair,
                                                  struct certpost_error *error)
{
    struct tls_credential probe = {0};
    ERR_clear_error();
    enum certpost_status status = tls_certificate_parse(pair, &probe, error);
    tls_credential_free(&probe);
    return status;
}

/* ------------------------------------------------------------------------------ credential */

enum certpost_status tls_credential_parse(const struct tls_pair *pair,
                                          struct tls_credential *ret_credential,
                                          struct certpost_error *error)
{
    struct tls_credential credential = {0};
    ERR_clear_error();
    enum certpost_status status = tls_certificate_parse(pair, &credential, error);
    if (status == CERTPOST_OK) {
        credential.key = tls_key_parse(pair);
        if (credential.key == NULL)
            status = error_no_memory(error);
        else if (X509_get0_pubkey(credential.leaf) == NULL)
            status = error_set(error, CERTPOST_OWN_CERTIFICATE,
                               "certificate %s holds a public key that this OpenSSL cannot use, or "
                               "there is not enough memory for it",
                               pair->certificate_path);
        else if (X509_check_private_key(credential.leaf, credential.key) != 1)
            status = tls_explain_no_memory(NULL)
                         ? error_no_memory(error)
                         : error_set(error, CERTPOST_OWN_CERTIFICATE,
                                     "private key %s does not belong to certificate %s",
                                     pair->key_path, pair->certificate_path);
    }
    ERR_clear_error();
    if (status == CERTPOST_OK)
        *ret_credential = credential;
    else
        tls_credential_free(&credential);
    return status;
}

void tls_credential_free(struct tls_credential *credential)
{
    if (credential == NULL)
        return;
    X509_free(credential->leaf);
    sk_X509_pop_free(credential->chain, X509_free);
    EVP_PKEY_free(credential->key);
    *credential = (struct tls_credential){0};
}

enum certpost_status tls_credential_install(const struct tls_credential *credential,
                                            const struct tls_pair *pair, SSL_CTX *context,
                                            struct certpost_error *error)
{
    if (SSL_CTX_use_cert_and_key(context, credential->leaf, credential->key, credential->chain,
                                 1) == 1)
        return CERTPOST_OK;
    const char *words = NULL;
    if (tls_explain_no_memory(&words))
        return error_no_memory(error);
    return error_set(error, CERTPOST_OWN_CERTIFICATE,
                     "certificate %s with private key %s cannot be used: %s",
                     pair->certificate_path, pair->key_path, words);
}

enum certpost_status tls_pair_install(const struct tls_pair *pair, SSL_CTX *context,
                                      struct certpost_error *error)
{
    struct tls_credential credential = {0};
    enum certpost_status status = tls_credential_parse(pair, &credential, error);
    if (status == CERTPOST_OK)
        status = tls_credential_install(&credential, pair, context, error);
    tls_credential_free(&credential);
    return status;
}

/* ------------------------------------------------------------------------------ pair */

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

enum certpost_status tls_pair_load_encrypted(const char *certificate_path, const char *key_path,
                                             const struct tls_passphrase *passphrase,
                                             struct tls_pair **ret_pair,
                                             struct certpost_error *error)
{
    struct tls_pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        return error_no_memory(error);
    buffer_init(&pair->certificate_pem, TLS_PEM_MAX_BYTES);
    buffer_init(&pair->key_der, TLS_PEM_MAX_BYTES);
    enum certpost_status status = CERTPOST_OK;
    pair->certificate_path = strdup(certificate_path);
    pair->key_path = strdup(key_path);
    if (pair->certificate_path == NULL || pair->key_path == NULL)
        status = error_no_memory(error);
    if (status == CERTPOST_OK)
        status = tls_file_load(certificate_path, "certificate", CERTPOST_OWN_CERTIFICATE,
                               &pair->certificate_pem, error);
    if (status == CERTPOST_OK)
        status = tls_certificate_check(pair, error);
    if (status == CERTPOST_OK)
        status = tls_key_load(pair, passphrase, error);
    if (status == CERTPOST_OK)
        status = tls_pair_check(pair, error);
    if (status == CERTPOST_OK)
        *ret_pair = pair;
    else
        tls_pair_free(pair);
    return status;
}

enum certpost_status tls_pair_load(const char *certificate_path, const char *key_path,
                                   struct tls_pair **ret_pair, struct certpost_error *error)
{
    return tls_pair_load_encrypted(certificate_path, key_path, NULL, ret_pair, error);
}

void tls_pair_free(struct tls_pair *pair)
{
    if (pair == NULL)
        return;
    buffer_free(&pair->certificate_pem);
    buffer_wipe_free(&pair->key_der);
    free(pair->certificate_path);
    free(pair->key_path);
    free(pair);
}
