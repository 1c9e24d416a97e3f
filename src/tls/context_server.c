/*
 * context_server.c — the server's SSL_CTX (tls/server_material.h).
 *
 * Uses: settings, material.  Used by: the workers of certpostd.
 * Never: serves a name by ALPN that the server does not speak (RFC 7301, section 3.2).
 */
#include "base/error.h"
#include "tls/context.h"
#include "tls/explain.h"
#include "tls/server_material_internal.h"

#include <openssl/err.h>
#include <stdbool.h>
#include <string.h>

/* True when `name` is in the client's list of length-counted names. */
static bool tls_alpn_offers(const unsigned char *offered, unsigned int length, const char *name,
                            const unsigned char **ret_name)
{
    size_t name_length = strlen(name);
    for (unsigned int at = 0; at < length; at += 1U + offered[at]) {
        if (offered[at] == name_length && length - at > name_length &&
            memcmp(offered + at + 1, name, name_length) == 0) {
            *ret_name = offered + at + 1;
            return true;
        }
    }
    return false;
}

static int tls_alpn_select(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_length,
                           const unsigned char *offered, unsigned int length, void *unused)
{
    (void)ssl;
    (void)unused;
    if (!tls_alpn_offers(offered, length, TLS_ALPN_PLAIN, ret_name))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_length = sizeof TLS_ALPN_PLAIN - 1;
    return SSL_TLSEXT_ERR_OK;
}

enum certpost_status tls_context_server(const struct tls_server_material *material,
                                        SSL_CTX **ret_context, struct certpost_error *error)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return error_no_memory(error);
    enum certpost_status status = tls_settings_apply(context, &material->setup->settings, error);
    if (status == CERTPOST_OK)
        status = tls_pair_install(material->pairs[0], context, error);
    if (status != CERTPOST_OK) {
        SSL_CTX_free(context);
        return status;
    }
    SSL_CTX_set_alpn_select_cb(context, tls_alpn_select, NULL);
    /*
     * A ticket is written after the handshake, when a plain client may have written its message and
     * closed already: the ticket then meets a closed socket, and the reset that follows can destroy
     * data on its way to us (openssl issue 7948). So plain gets none, and nothing is cached.
     */
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    *ret_context = context;
    return CERTPOST_OK;
}
