/*
 * served.c — pairs of one context, chosen by SNI, with stapled OCSP responses (tls/served.h).
 *
 * Uses: base/clock, material, sni, ocsp, OpenSSL.  Used by: context_server.c.
 * Never: changes the material, which other threads read.
 */
#include "tls/served.h"

#include "base/clock.h"
#include "base/error.h"
#include "tls/server_material_internal.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parsed once for each context: a worker shares no counted reference with another. */
struct tls_served {
    const struct tls_server_material *material;
    uint64_t installed; /* the set that the context itself has */
    size_t count;
    struct tls_credential credentials[];
};

static pthread_once_t served_index_once = PTHREAD_ONCE_INIT;
static int served_index = -1;

static void served_free(struct tls_served *served)
{
    if (served == NULL)
        return;
    for (size_t i = 0; i < served->count; i++)
        tls_credential_free(&served->credentials[i]);
    free(served);
}

static void served_on_context_free(void *parent, void *served, CRYPTO_EX_DATA *data, int index,
                                   long number, void *argument)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)number;
    (void)argument;
    served_free(served);
}

static void served_make_index(void)
{
    served_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, served_on_context_free);
}

/* ------------------------------------------------------------------------------ SNI */

static bool served_put(SSL *ssl, const struct tls_served *served, uint64_t set)
{
    SSL_certs_clear(ssl);
    for (size_t i = 0; i < served->count; i++) {
        const struct tls_credential *credential = &served->credentials[i];
        if ((set & UINT64_C(1) << i) != 0 &&
            SSL_use_cert_and_key(ssl, credential->leaf, credential->key, credential->chain, 1) != 1)
            return false;
    }
    return true;
}

/*
 * Called for every ClientHello, also one that resumes. A client without SNI (one that connects to
 * an address has none to send: RFC 6066, section 3) is served with the default pairs, strict or
 * not.
 */
static int served_on_server_name(SSL *ssl, int *ret_alert, void *argument)
{
    const struct tls_served *served = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    uint64_t set = tls_sni_find(&served->material->sni, name);
    if (set == 0 && served->material->setup->sni_strict) {
        *ret_alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (set == 0)
        return SSL_TLSEXT_ERR_NOACK;
    if (set != served->installed && !served_put(ssl, served, set)) {
        ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
        *ret_alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* ------------------------------------------------------------------------------ OCSP */

static struct tls_ocsp *served_find_staple(const struct tls_served *served, const X509 *leaf)
{
    for (size_t i = 0; i < served->count; i++) {
        if (served->credentials[i].leaf == leaf)
            return served->material->pairs[i].staple;
    }
    return NULL;
}

static void served_note_expiry(const struct tls_served *served, struct tls_ocsp *staple)
{
    char words[TLS_WARNING_BYTES];
    if (served->material->setup->warn == NULL || !tls_ocsp_note_expiry(staple))
        return;
    (void)snprintf(words, sizeof words,
                   "the OCSP response %s has expired and is not stapled any more", staple->path);
    served->material->setup->warn(words);
}

/* Called when the client has asked, and the certificate has been chosen. */
static int served_on_status_request(SSL *ssl, void *argument)
{
    const struct tls_served *served = argument;
    struct tls_ocsp *staple = served_find_staple(served, SSL_get_certificate(ssl));
    if (staple == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    if (!tls_ocsp_is_current(staple, clock_wall_ms() / 1000)) {
        served_note_expiry(served, staple);
        return SSL_TLSEXT_ERR_NOACK;
    }
    /* The SSL takes the copy over. */
    unsigned char *copy = OPENSSL_memdup(buffer_bytes(&staple->der), staple->der.length);
    if (copy == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->der.length);
    return SSL_TLSEXT_ERR_OK;
}

/* ------------------------------------------------------------------------------ set-up */

static enum certpost_status served_new(const struct tls_server_material *material,
                                       struct tls_served **ret_served, struct certpost_error *error)
{
    struct tls_served *served =
        calloc(1, sizeof *served + material->pair_count * sizeof served->credentials[0]);
    if (served == NULL)
        return error_no_memory(error);
    served->material = material;
    served->installed = tls_sni_default(&material->sni);
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < material->pair_count && status == CERTPOST_OK; i++) {
        status = tls_credential_parse(material->pairs[i].pair, &served->credentials[i], error);
        if (status == CERTPOST_OK)
            served->count++;
    }
    if (status == CERTPOST_OK)
        *ret_served = served;
    else
        served_free(served);
    return status;
}

static enum certpost_status served_install_default(const struct tls_served *served,
                                                   SSL_CTX *context, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < served->count && status == CERTPOST_OK; i++) {
        if ((served->installed & UINT64_C(1) << i) != 0)
            status = tls_credential_install(&served->credentials[i],
                                            served->material->pairs[i].pair, context, error);
    }
    return status;
}

enum certpost_status tls_served_install(const struct tls_server_material *material,
                                        SSL_CTX *context, struct certpost_error *error)
{
    struct tls_served *served = NULL;
    (void)pthread_once(&served_index_once, served_make_index);
    enum certpost_status status = served_new(material, &served, error);
    if (status != CERTPOST_OK)
        return status;
    if (SSL_CTX_set_ex_data(context, served_index, served) != 1) {
        served_free(served);
        return error_no_memory(error);
    }
    SSL_CTX_set_tlsext_servername_callback(context, served_on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, served);
    SSL_CTX_set_tlsext_status_cb(context, served_on_status_request);
    SSL_CTX_set_tlsext_status_arg(context, served);
    return served_install_default(served, context, error);
}

const struct tls_server_material *tls_served_material(const SSL *ssl)
{
    const struct tls_served *served = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), served_index);
    return served->material;
}
