/*
 * context_client.c — a client's SSL_CTX, and an SSL for one server name (tls/context.h).
 *
 * Verification is on, strict and complete, or the caller has said `insecure`; there is no state in
 * between. What a person can get wrong (a path, a file of another kind) is looked at before OpenSSL
 * sees it, because OpenSSL says the same for a missing file and for one without a certificate.
 *
 * Uses: base, tls/settings, tls/material, tls/explain.  Used by: client.
 * Never: connects, reads the environment, or turns a check off by itself.
 */
#include "base/error.h"
#include "tls/context.h"
#include "tls/explain.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* RFC 1035: the longest name, in text form and without its final dot. */
enum { CONTEXT_NAME_MAX_BYTES = 253 };

/* Tells a missing, an unreadable and an empty file apart; `what` says whose option it is. */
static enum certpost_status context_check_file(const char *what, const char *path,
                                               struct certpost_error *error)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return error_set_errno(error, CERTPOST_CA_FILE, errno, "cannot open the %s %s", what, path);
    char first = 0;
    size_t length = fread(&first, 1, 1, file);
    int read_errno = ferror(file) ? errno : 0;
    fclose(file);
    if (read_errno != 0)
        return error_set_errno(error, CERTPOST_CA_FILE, read_errno, "cannot read the %s %s", what,
                               path);
    if (length == 0)
        return error_set(error, CERTPOST_CA_FILE, "the %s %s is empty", what, path);
    return CERTPOST_OK;
}

static enum certpost_status context_load_ca_file(SSL_CTX *context, const char *path,
                                                 struct certpost_error *error)
{
    enum certpost_status status = context_check_file("CA file", path, error);
    if (status != CERTPOST_OK)
        return status;
    ERR_clear_error();
    const char *words = NULL;
    if (SSL_CTX_load_verify_file(context, path) == 1)
        return CERTPOST_OK;
    if (tls_explain_no_memory(&words))
        return error_no_memory(error);
    return error_set(error, CERTPOST_CA_FILE,
                     "the CA file %s holds no certificate in PEM form (%s); it must begin with "
                     "-----BEGIN CERTIFICATE-----",
                     path, words);
}

static enum certpost_status context_load_ca_path(SSL_CTX *context, const char *path,
                                                 struct certpost_error *error)
{
    /* OpenSSL opens the folder only when it looks for a CA, and would then say "unknown CA". */
    DIR *folder = opendir(path);
    if (folder == NULL)
        return error_set_errno(error, CERTPOST_CA_FILE, errno, "cannot open the CA folder %s",
                               path);
    closedir(folder);
    ERR_clear_error();
    const char *words = NULL;
    if (SSL_CTX_load_verify_dir(context, path) == 1)
        return CERTPOST_OK;
    if (tls_explain_no_memory(&words))
        return error_no_memory(error);
    return error_set(error, CERTPOST_CA_FILE, "the CA folder %s cannot be used (%s)", path, words);
}

static enum certpost_status context_load_crl(SSL_CTX *context, const char *path,
                                             struct certpost_error *error)
{
    enum certpost_status status = context_check_file("CRL file", path, error);
    if (status != CERTPOST_OK)
        return status;
    ERR_clear_error();
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (lookup == NULL)
        return error_no_memory(error);
    if (X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) < 1) {
        const char *words = NULL;
        if (tls_explain_no_memory(&words))
            return error_no_memory(error);
        return error_set(error, CERTPOST_CA_FILE,
                         "the CRL file %s holds no revocation list in PEM form (%s); it must begin "
                         "with -----BEGIN X509 CRL-----",
                         path, words);
    }
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_CRL_CHECK);
    return CERTPOST_OK;
}

static enum certpost_status context_load_trust(SSL_CTX *context,
                                               const struct tls_client_config *config,
                                               struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    if (config->ca_file == NULL && config->ca_path == NULL &&
        SSL_CTX_set_default_verify_paths(context) != 1) {
        const char *words = NULL;
        if (tls_explain_no_memory(&words))
            return error_no_memory(error);
        return error_set(error, CERTPOST_CA_FILE,
                         "the system's CA certificates cannot be used (%s)", words);
    }
    if (config->ca_file != NULL)
        status = context_load_ca_file(context, config->ca_file, error);
    if (status == CERTPOST_OK && config->ca_path != NULL)
        status = context_load_ca_path(context, config->ca_path, error);
    if (status == CERTPOST_OK && config->crl_file != NULL)
        status = context_load_crl(context, config->crl_file, error);
    return status;
}

static void context_be_strict(SSL_CTX *context, bool insecure)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_CTX_set_verify(context, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
}

enum certpost_status tls_context_client(const struct tls_client_config *config,
                                        SSL_CTX **ret_context, struct certpost_error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        ERR_clear_error();
        return error_no_memory(error);
    }
    enum certpost_status status = tls_settings_apply(context, &config->settings, error);
    if (status == CERTPOST_OK)
        status = context_load_trust(context, config, error);
    if (status == CERTPOST_OK && config->pair != NULL)
        status = tls_pair_install(config->pair, context, error);
    if (status == CERTPOST_OK) {
        context_be_strict(context, config->insecure);
        tls_context_pin(context, config->pins, config->insecure);
        *ret_context = context;
        context = NULL;
    }
    SSL_CTX_free(context);
    return status;
}

static bool context_is_address(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/*
 * Copies the name without what must not take part in the comparison: the final dot of a DNS name,
 * the zone of an IPv6 address (RFC 6874: it means something on this machine only).
 */
static enum certpost_status context_bare_name(const char *server_name,
                                              char ret_name[CONTEXT_NAME_MAX_BYTES + 1],
                                              struct certpost_error *error)
{
    size_t length = strlen(server_name);
    const char *zone = strchr(server_name, ':') != NULL ? strchr(server_name, '%') : NULL;
    if (zone != NULL)
        length = (size_t)(zone - server_name);
    else if (length > 1 && server_name[length - 1] == '.')
        length--;
    /* OpenSSL takes a name with a dot in front for "any name below this one". */
    if (length == 0 || length > CONTEXT_NAME_MAX_BYTES || server_name[0] == '.')
        return error_set(error, CERTPOST_USAGE,
                         "the server's name must have 1 to %d letters and not begin with a dot",
                         CONTEXT_NAME_MAX_BYTES);
    memcpy(ret_name, server_name, length);
    ret_name[length] = '\0';
    return CERTPOST_OK;
}

/* `name` is not changed; OpenSSL's macro casts its const away, which compilers rightly dislike. */
static bool context_expect_name(SSL *ssl, char *name)
{
    if (context_is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool context_offer_alpn(SSL *ssl, const char *alpn)
{
    unsigned char list[1 + UINT8_MAX];
    size_t length = alpn == NULL ? 0 : strlen(alpn);
    if (length == 0)
        return true;
    if (length > UINT8_MAX)
        return false;
    list[0] = (unsigned char)length;
    memcpy(list + 1, alpn, length);
    /* Unlike nearly all else in OpenSSL, this returns 0 for success. */
    return SSL_set_alpn_protos(ssl, list, (unsigned)length + 1) == 0;
}

enum certpost_status tls_client_session(SSL_CTX *context, const char *server_name, const char *alpn,
                                        SSL **ret_ssl, struct certpost_error *error)
{
    char name[CONTEXT_NAME_MAX_BYTES + 1];
    enum certpost_status status = context_bare_name(server_name, name, error);
    if (status != CERTPOST_OK)
        return status;
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || !context_expect_name(ssl, name) || !context_offer_alpn(ssl, alpn)) {
        const char *words = NULL;
        SSL_free(ssl);
        (void)tls_explain_no_memory(&words);
        return error_set(error, CERTPOST_NO_MEMORY, "TLS cannot be set up for %s (%s)", name,
                         words);
    }
    SSL_set_connect_state(ssl);
    *ret_ssl = ssl;
    return CERTPOST_OK;
}
