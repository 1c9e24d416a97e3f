/*
 * context_server.c — the server's SSL_CTX (tls/server_material.h): exchanges and tickets.
 *
 * Uses: base/cursor, settings, served, tickets.  Used by: the workers of certpostd.
 * Never: serves a name by ALPN that the server does not speak (RFC 7301, section 3.2).
 *
 * Who gets session tickets is decided when the ClientHello has come, before OpenSSL looks at a
 * ticket in it: a connection that will be certpost/1 has them, every other has SSL_OP_NO_TICKET,
 * under which it neither gets one nor resumes with one. A ticket is written after the handshake,
 * when a plain client may have written its message and closed already: the ticket then meets a
 * closed socket, and the reset that follows can destroy data on its way to us (openssl issue 7948).
 */
#include "base/cursor.h"
#include "base/error.h"
#include "tls/context.h"
#include "tls/context_verify.h"
#include "tls/explain.h"
#include "tls/rehearsal.h"
#include "tls/served.h"
#include "tls/server_material_internal.h"
#include "tls/tickets.h"

#include <openssl/err.h>
#include <stdbool.h>
#include <string.h>

/* As many as a client wants that opens a second connection soon. */
enum { TLS_TICKETS_PER_HANDSHAKE = 2 };

/* ------------------------------------------------------------------------------ ALPN */

/* Finds `name` in a list of names with length bytes in front. */
static bool tls_alpn_offers(struct cursor offered, const char *name, const unsigned char **ret_name)
{
    size_t name_length = strlen(name);
    const unsigned char *bytes = NULL;
    size_t length = 0;
    while (cursor_read_str8(&offered, &bytes, &length)) {
        if (length == name_length && memcmp(bytes, name, length) == 0) {
            *ret_name = bytes;
            return true;
        }
    }
    return false;
}

/* The better exchange of those that the client offers; NULL when there is none. */
static const char *tls_alpn_choose(const struct tls_server_material *material,
                                   struct cursor offered, const unsigned char **ret_name)
{
    if (material->setup->serve_certpost_1 &&
        tls_alpn_offers(offered, TLS_ALPN_CERTPOST_1, ret_name))
        return TLS_ALPN_CERTPOST_1;
    if (tls_alpn_offers(offered, TLS_ALPN_PLAIN, ret_name))
        return TLS_ALPN_PLAIN;
    return NULL;
}

static int tls_alpn_select(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_length,
                           const unsigned char *offered, unsigned int length, void *unused)
{
    (void)unused;
    const char *chosen =
        tls_alpn_choose(tls_served_material(ssl), cursor_over(offered, length), ret_name);
    if (chosen == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_length = (unsigned char)strlen(chosen);
    return SSL_TLSEXT_ERR_OK;
}

/* ------------------------------------------------------------------------------ tickets */

/* The same choice as tls_alpn_select will make; a list that is malformed is OpenSSL's to refuse. */
static bool tls_hello_is_certpost_1(SSL *ssl)
{
    const unsigned char *extension = NULL;
    const unsigned char *name = NULL;
    size_t length = 0;
    uint16_t list_bytes = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                  &extension, &length) != 1)
        return false;
    struct cursor list = cursor_over(extension, length);
    if (!cursor_read_u16(&list, &list_bytes) || list_bytes != list.left_bytes)
        return false;
    const char *chosen = tls_alpn_choose(tls_served_material(ssl), list, &name);
    return chosen != NULL && strcmp(chosen, TLS_ALPN_CERTPOST_1) == 0;
}

/* Both ways each time: after a HelloRetryRequest there is a second hello. */
static int tls_on_client_hello(SSL *ssl, int *alert, void *unused)
{
    (void)alert;
    (void)unused;
    if (tls_hello_is_certpost_1(ssl)) {
        (void)SSL_clear_options(ssl, SSL_OP_NO_TICKET);
        (void)SSL_set_num_tickets(ssl, TLS_TICKETS_PER_HANDSHAKE);
    } else {
        (void)SSL_set_options(ssl, SSL_OP_NO_TICKET);
        (void)SSL_set_num_tickets(ssl, 0);
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

static enum certpost_status tls_set_up_tickets(const struct tls_server_material *material,
                                               SSL_CTX *context, struct certpost_error *error)
{
    struct tls_ticket_keys *keys = material->setup->ticket_keys;
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(context, 0);
    /* Where clients are verified, tls_context_verify_clients narrows it to these very rules. */
    static const unsigned char session_context[] = "certpost/1";
    if (SSL_CTX_set_session_id_context(context, session_context, sizeof session_context) != 1)
        return error_no_memory(error);
    if (!material->setup->serve_certpost_1 || keys == NULL)
        return CERTPOST_OK;
    SSL_CTX_set_client_hello_cb(context, tls_on_client_hello, NULL);
    return tls_tickets_enable(context, keys, material->setup->ticket_lifetime_ms, error);
}

/* ------------------------------------------------------------------------------ context */

static enum certpost_status tls_set_up(const struct tls_server_material *material, SSL_CTX *context,
                                       struct certpost_error *error)
{
    enum certpost_status status = tls_settings_apply(context, &material->setup->settings, error);
    if (status == CERTPOST_OK)
        status = tls_served_install(material, context, error);
    SSL_CTX_set_alpn_select_cb(context, tls_alpn_select, NULL);
    if (status == CERTPOST_OK)
        status = tls_set_up_tickets(material, context, error);
    if (status == CERTPOST_OK)
        status = tls_context_verify_clients(material, context, error);
    return status;
}

enum certpost_status tls_context_server(const struct tls_server_material *material,
                                        SSL_CTX **ret_context, struct certpost_error *error)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return error_no_memory(error);
    enum certpost_status status = tls_set_up(material, context, error);
    if (status == CERTPOST_OK)
        status = tls_rehearse(context, &material->setup->settings, error);
    if (status == CERTPOST_OK)
        *ret_context = context;
    else
        SSL_CTX_free(context);
    return status;
}
