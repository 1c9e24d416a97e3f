/*
 * link_tls.c — TLS on a link: handshake, records, close_notify (agent/link.h).
 *
 * Uses: tls, OpenSSL.  Used by: link.c, client_talk.c.
 * Never: waits; speaks to a peer that has not agreed on certpost/1.
 */
#include "agent/link.h"
#include "base/error.h"
#include "tls/context.h"
#include "tls/outcome.h"

#include "certpost/tls_io.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

enum {
    LINK_RECORD_BYTES = 16384, /* the most that a TLS record carries */
    /* Everything is acknowledged by then: how the peer says goodbye changes nothing any more. */
    LINK_CLOSE_TIMEOUT_MS = 1000,
    LINK_CLOSE_READS = 16,
};

/* To be called right before each call into OpenSSL: tls_outcome needs clean evidence. */
static void link_clear_evidence(void)
{
    ERR_clear_error();
    errno = 0;
}

/* The alert tells more than the words that OpenSSL makes of it. */
static void link_on_message(int written, int version, int content_type, const void *bytes,
                            size_t length, SSL *ssl, void *argument)
{
    (void)version;
    (void)ssl;
    struct link *link = argument;
    const unsigned char *alert = bytes;
    if (written == 0 && content_type == SSL3_RT_ALERT && length == 2 &&
        alert[1] == SSL_AD_NO_APPLICATION_PROTOCOL)
        link->refused_alpn = true;
}

enum certpost_status link_tls_start(struct link *link, struct certpost_error *error)
{
    const char *name = link->config->server_name;
    if (name == NULL)
        name = link->config->servers[link->server].host;
    link_clear_evidence();
    enum certpost_status status =
        tls_client_session(link->context, name, TLS_ALPN_CERTPOST_1, &link->ssl, error);
    if (status == CERTPOST_OK && certpost_tls_set_socket(link->ssl, link->socket_fd) != CERTPOST_OK)
        status = error_no_memory(error);
    if (status != CERTPOST_OK) {
        link->outlook = status == CERTPOST_USAGE ? LINK_FINAL : LINK_MAY_PASS;
        return status;
    }
    link->refused_alpn = false;
    SSL_set_msg_callback(link->ssl, link_on_message);
    SSL_set_msg_callback_arg(link->ssl, link);
    /* One recv(2) for all that has come, instead of two for each record. */
    SSL_set_read_ahead(link->ssl, 1);
    return CERTPOST_OK;
}

static enum link_outlook link_judge(const struct link *link, enum certpost_status status)
{
    switch (status) {
    case CERTPOST_PEER_CERTIFICATE:
    case CERTPOST_CERTIFICATE_REFUSED:
    case CERTPOST_OWN_CERTIFICATE:
    case CERTPOST_USAGE:
    case CERTPOST_INTERNAL:
        return LINK_FINAL;
    case CERTPOST_HANDSHAKE:
        return link->refused_alpn ? LINK_FINAL : LINK_DOUBTFUL;
    default:
        return LINK_MAY_PASS;
    }
}

static bool link_speaks_certpost(const SSL *ssl)
{
    const unsigned char *name = NULL;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl, &name, &length);
    return length == strlen(TLS_ALPN_CERTPOST_1) && memcmp(name, TLS_ALPN_CERTPOST_1, length) == 0;
}

static enum certpost_status link_refuse_peer(struct link *link, struct certpost_error *error)
{
    link->refused_alpn = true;
    link->outlook = LINK_FINAL;
    return error_set(error, CERTPOST_HANDSHAKE,
                     "the server does not speak certpost/1 (ALPN); check that the port is "
                     "certpostd's, or use the plain exchange (certpost send --plain)");
}

/* What an SSL_* call came to. The bytes of a failed handshake are nobody's, so its end is no news.
 */
static enum certpost_status link_settle(struct link *link, int result, struct certpost_error *error)
{
    enum certpost_status status = tls_outcome(link->ssl, result, errno, error);
    if (certpost_status_group(status) > CERTPOST_GROUP_WAIT)
        link->outlook = link_judge(link, status);
    return status;
}

enum certpost_status link_tls_handshake(struct link *link, struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    link_clear_evidence();
    enum certpost_status status = link_settle(link, SSL_do_handshake(link->ssl), &cause);
    link->waits_for_room = status == CERTPOST_WANT_WRITE;
    if (link->refused_alpn || (status == CERTPOST_OK && !link_speaks_certpost(link->ssl)))
        return link_refuse_peer(link, error);
    if (status == CERTPOST_OK || certpost_status_group(status) == CERTPOST_GROUP_WAIT)
        return status;
    const char *text = certpost_error_text(&cause, status);
    if (status == CERTPOST_PROTOCOL)
        link->outlook = LINK_DOUBTFUL; /* hardly TLS */
    /* No message has been sent, so "the connection ended" is not the news: no TLS came about. */
    if (certpost_status_group(status) == CERTPOST_GROUP_ENDED || status == CERTPOST_NETWORK_IO ||
        status == CERTPOST_PROTOCOL)
        status = CERTPOST_HANDSHAKE;
    return error_set(error, status, "%s", text);
}

enum certpost_status link_read(struct link *link, unsigned char *ret_bytes, size_t capacity,
                               size_t *ret_length, struct certpost_error *error)
{
    size_t length = 0;
    link_clear_evidence();
    enum certpost_status status =
        link_settle(link, SSL_read_ex(link->ssl, ret_bytes, capacity, &length), error);
    if (status == CERTPOST_OK)
        *ret_length = length;
    if (status == CERTPOST_WANT_WRITE)
        link->waits_for_room = true;
    return status;
}

enum certpost_status link_write(struct link *link, const unsigned char *bytes, size_t length,
                                size_t *ret_written, struct certpost_error *error)
{
    size_t written = 0;
    size_t most = length < LINK_RECORD_BYTES ? length : LINK_RECORD_BYTES;
    link_clear_evidence();
    enum certpost_status status =
        link_settle(link, SSL_write_ex(link->ssl, bytes, most, &written), error);
    link->waits_for_room = status == CERTPOST_WANT_WRITE;
    if (status == CERTPOST_OK)
        *ret_written = written;
    return status;
}

/* Sends close_notify if it was not sent. WANT_READ: it was, and the peer's is still to come. */
static enum certpost_status link_say_goodbye(struct link *link)
{
    if (link->close_notify_sent)
        return CERTPOST_WANT_READ;
    link_clear_evidence();
    int result = SSL_shutdown(link->ssl);
    if (result < 0) {
        enum certpost_status status = link_settle(link, result, NULL);
        link->waits_for_room = status == CERTPOST_WANT_WRITE;
        return status;
    }
    link->waits_for_room = false;
    link->close_notify_sent = true;
    return result == 1 ? CERTPOST_OK : CERTPOST_WANT_READ;
}

static enum certpost_status link_await_goodbye(struct link *link)
{
    unsigned char dropped[4096];
    size_t length = 0;
    link_clear_evidence();
    return link_settle(link, SSL_read_ex(link->ssl, dropped, sizeof dropped, &length), NULL);
}

enum certpost_status link_close(struct link *link, int64_t now_ms)
{
    if (link_state(link) == LINK_OPEN) {
        link_move(link, LINK_CLOSING);
        link->deadline_ms = now_ms + LINK_CLOSE_TIMEOUT_MS;
    }
    enum certpost_status status = link_say_goodbye(link);
    if (status == CERTPOST_WANT_READ && link->close_notify_sent) {
        status = CERTPOST_OK;
        /* Bounded: a peer that talks on and on has its second and no more. */
        for (int reads = 0; status == CERTPOST_OK && reads < LINK_CLOSE_READS; reads++)
            status = link_await_goodbye(link);
        if (status == CERTPOST_OK)
            status = CERTPOST_WANT_READ;
    }
    if (certpost_status_group(status) == CERTPOST_GROUP_WAIT && now_ms < link->deadline_ms)
        return status;
    link_drop(link);
    return CERTPOST_OK;
}
