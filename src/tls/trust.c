/*
 * trust.c — CA certificates and revocation lists (tls/trust.h).
 *
 * Uses: file, explain, validity, OpenSSL.  Used by: server_material.c (load), context_verify.c
 * (install). Never: falls back to the system's CAs: these name web servers, not clients.
 */
#include "tls/trust.h"

#include "base/error.h"
#include "tls/explain.h"
#include "tls/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Stands in for OpenSSL's default, which would ask on the terminal. */
static int trust_no_passphrase(char *buffer, int size, int writing, void *unused)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

static BIO *trust_bio(const struct buffer *pem)
{
    return BIO_new_mem_buf(buffer_bytes(pem), (int)pem->length);
}

/* After the last item of a file: true when the file was read to its end, and not to a fault. */
static bool trust_at_end(void)
{
    unsigned long last = ERR_peek_last_error();
    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

/* What a file of `kind` came to, once `count` items were read from it. */
static enum certpost_status trust_check_read(size_t count, const char *kind, const char *item,
                                             const char *path, struct certpost_error *error)
{
    bool at_end = trust_at_end();
    if (tls_explain_no_memory(NULL))
        return error_no_memory(error);
    if (count == 0)
        return error_set(error, CERTPOST_CA_FILE,
                         "the %s %s holds no %s in PEM form; it must begin with -----BEGIN %s-----",
                         kind, path, strcmp(item, "CERTIFICATE") == 0 ? "certificate" : "CRL",
                         item);
    if (!at_end)
        return error_set(error, CERTPOST_CA_FILE, "the %s %s is damaged after its item number %zu",
                         kind, path, count);
    return CERTPOST_OK;
}

static bool trust_add_authority(X509 *authority, X509_STORE *store, STACK_OF(X509_NAME) * names)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(authority));
    bool stored = name != NULL && X509_STORE_add_cert(store, authority) == 1;
    if (!stored || sk_X509_NAME_find(names, name) >= 0 || sk_X509_NAME_push(names, name) == 0)
        X509_NAME_free(name);
    return stored;
}

/* `validities` may be NULL, here and below. */
static enum certpost_status trust_add_authorities(const struct tls_trust *trust, X509_STORE *store,
                                                  STACK_OF(X509_NAME) * names,
                                                  struct tls_validities *validities,
                                                  struct certpost_error *error)
{
    BIO *bio = trust_bio(&trust->ca_pem);
    if (bio == NULL)
        return error_no_memory(error);
    size_t count = 0;
    bool stored = true;
    X509 *authority = NULL;
    while (stored &&
           (authority = PEM_read_bio_X509(bio, NULL, trust_no_passphrase, NULL)) != NULL) {
        count++;
        stored = trust_add_authority(authority, store, names) &&
                 (validities == NULL ||
                  tls_validities_add_certificate(validities, TLS_VALIDITY_CLIENT_CA, trust->ca_path,
                                                 count, authority, error) == CERTPOST_OK);
        X509_free(authority);
    }
    BIO_free(bio);
    if (!stored)
        return error_no_memory(error);
    return trust_check_read(count, "client CA file", PEM_STRING_X509, trust->ca_path, error);
}

static enum certpost_status trust_add_revocations(const struct tls_trust *trust, X509_STORE *store,
                                                  struct tls_validities *validities,
                                                  struct certpost_error *error)
{
    if (trust->crl_pem.length == 0)
        return CERTPOST_OK;
    BIO *bio = trust_bio(&trust->crl_pem);
    if (bio == NULL)
        return error_no_memory(error);
    size_t count = 0;
    bool stored = true;
    X509_CRL *list = NULL;
    while (stored && (list = PEM_read_bio_X509_CRL(bio, NULL, trust_no_passphrase, NULL)) != NULL) {
        count++;
        stored = X509_STORE_add_crl(store, list) == 1 &&
                 (validities == NULL || tls_validities_add_crl(validities, trust->crl_path, count,
                                                               list, error) == CERTPOST_OK);
        X509_CRL_free(list);
    }
    BIO_free(bio);
    if (!stored)
        return error_no_memory(error);
    return trust_check_read(count, "CRL file", PEM_STRING_X509_CRL, trust->crl_path, error);
}

static int trust_compare_names(const X509_NAME *const *left, const X509_NAME *const *right)
{
    return X509_NAME_cmp(*left, *right);
}

/* Hands the names to the context, unless they would swell every handshake. */
static void trust_set_names(SSL_CTX *context, STACK_OF(X509_NAME) * names)
{
    int bytes = 0;
    for (int i = 0; i < sk_X509_NAME_num(names) && bytes <= TLS_TRUST_NAMES_MAX_BYTES; i++)
        bytes += 2 + i2d_X509_NAME(sk_X509_NAME_value(names, i), NULL);
    if (bytes <= TLS_TRUST_NAMES_MAX_BYTES)
        SSL_CTX_set_client_CA_list(context, names);
    else
        sk_X509_NAME_pop_free(names, X509_NAME_free);
}

static enum certpost_status trust_set_param(SSL_CTX *context, bool revocation,
                                            struct certpost_error *error)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    unsigned long flags = X509_V_FLAG_X509_STRICT;
    if (revocation)
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    if (X509_VERIFY_PARAM_set_flags(param, flags) != 1 ||
        X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1)
        return error_no_memory(error);
    X509_VERIFY_PARAM_set_depth(param, TLS_TRUST_DEPTH_MAX);
    return CERTPOST_OK;
}

static enum certpost_status trust_fill(const struct tls_trust *trust, SSL_CTX *context,
                                       struct tls_validities *validities,
                                       struct certpost_error *error)
{
    ERR_clear_error();
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new(trust_compare_names);
    enum certpost_status status = CERTPOST_OK;
    if (store == NULL || names == NULL)
        status = error_no_memory(error);
    if (status == CERTPOST_OK)
        status = trust_add_authorities(trust, store, names, validities, error);
    if (status == CERTPOST_OK)
        status = trust_add_revocations(trust, store, validities, error);
    if (status == CERTPOST_OK)
        status = trust_set_param(context, trust->crl_pem.length > 0, error);
    if (status == CERTPOST_OK) {
        SSL_CTX_set_cert_store(context, store);
        trust_set_names(context, names);
        return CERTPOST_OK;
    }
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    X509_STORE_free(store);
    ERR_clear_error();
    return status;
}

enum certpost_status tls_trust_install(const struct tls_trust *trust, SSL_CTX *context,
                                       struct certpost_error *error)
{
    return trust_fill(trust, context, NULL, error);
}

/* Tries both in a context that is thrown away, so that every fault shows when they are loaded. */
static enum certpost_status trust_check(const struct tls_trust *trust,
                                        struct tls_validities *validities,
                                        struct certpost_error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return error_no_memory(error);
    enum certpost_status status = trust_fill(trust, context, validities, error);
    SSL_CTX_free(context);
    return status;
}

enum certpost_status tls_trust_load(const char *ca_path, const char *crl_path,
                                    struct tls_validities *validities, struct tls_trust **ret_trust,
                                    struct certpost_error *error)
{
    struct tls_trust *trust = calloc(1, sizeof *trust);
    if (trust == NULL)
        return error_no_memory(error);
    buffer_init(&trust->ca_pem, TLS_TRUST_FILE_MAX_BYTES);
    buffer_init(&trust->crl_pem, TLS_TRUST_FILE_MAX_BYTES);
    enum certpost_status status = CERTPOST_OK;
    trust->ca_path = strdup(ca_path);
    trust->crl_path = strdup(crl_path == NULL ? "" : crl_path);
    if (trust->ca_path == NULL || trust->crl_path == NULL)
        status = error_no_memory(error);
    if (status == CERTPOST_OK)
        status = tls_file_load(ca_path, "client CA file", CERTPOST_CA_FILE, &trust->ca_pem, error);
    if (status == CERTPOST_OK && crl_path != NULL)
        status = tls_file_load(crl_path, "CRL file", CERTPOST_CA_FILE, &trust->crl_pem, error);
    if (status == CERTPOST_OK)
        status = trust_check(trust, validities, error);
    if (status == CERTPOST_OK)
        *ret_trust = trust;
    else
        tls_trust_free(trust);
    return status;
}

void tls_trust_free(struct tls_trust *trust)
{
    if (trust == NULL)
        return;
    buffer_free(&trust->ca_pem);
    buffer_free(&trust->crl_pem);
    free(trust->ca_path);
    free(trust->crl_path);
    free(trust);
}
