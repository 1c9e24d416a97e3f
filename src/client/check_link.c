/*
 * check_link.c — a TLS connection of `certpost check` (client/check_link.h).
 *
 * Uses: tls, channel, connect.  Used by: check_tls.c, check_exchange.c.
 * Never: sends a byte beyond the handshake; judges.
 */
#include "client/check_link.h"

#include "agent/dial.h"
#include "base/clock.h"
#include "base/error.h"
#include "client/channel.h"
#include "client/check_report.h"
#include "client/connect.h"
#include "tls/context.h"

#include "certpost/tls_io.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

/* In front of a Certificate's list: type and u24 length, in TLS 1.3 the context, the list's u24. */
enum { LINK_EMPTY_CERTIFICATE_MAX_BYTES = 8 };

void check_link_init(struct check_link *link)
{
    *link = (struct check_link){.socket_fd = -1, .alert = -1};
}

void check_link_hang_up(struct check_link *link)
{
    if (link->socket_fd < 0)
        return;
    /* Once is enough: nothing was sent that the peer could miss. */
    if (link->ssl != NULL && SSL_is_init_finished(link->ssl))
        (void)SSL_shutdown(link->ssl);
    ERR_clear_error();
    close(link->socket_fd);
    link->socket_fd = -1;
}

void check_link_free(struct check_link *link)
{
    check_link_hang_up(link);
    SSL_free(link->ssl);
    check_link_init(link);
}

/* ---- what is seen ---- */

static void link_see_handshake(struct check_link *link, bool written, const unsigned char *bytes,
                               size_t length)
{
    if (length == 0)
        return;
    if (!written && bytes[0] == SSL3_MT_CERTIFICATE_REQUEST)
        link->asked = true;
    if (written && bytes[0] == SSL3_MT_CERTIFICATE)
        link->sent = length > LINK_EMPTY_CERTIFICATE_MAX_BYTES;
    if (!written && bytes[0] == SSL3_MT_NEWSESSION_TICKET)
        link->tickets++;
}

static void link_on_message(int written, int version, int content_type, const void *bytes,
                            size_t length, SSL *ssl, void *argument)
{
    (void)version;
    (void)ssl;
    struct check_link *link = argument;
    const unsigned char *alert = bytes;
    if (content_type == SSL3_RT_HANDSHAKE)
        link_see_handshake(link, written != 0, bytes, length);
    else if (content_type == SSL3_RT_ALERT && written == 0 && length == 2 &&
             alert[1] != SSL_AD_CLOSE_NOTIFY)
        link->alert = alert[1];
}

static long link_on_bytes(BIO *bio, int operation, const char *bytes, size_t length, int flag,
                          long number, int result, size_t *processed)
{
    (void)length;
    (void)flag;
    (void)number;
    struct check_link *link = (struct check_link *)(void *)BIO_get_callback_arg(bio);
    size_t room = sizeof link->first - link->first_length;
    if (operation != (BIO_CB_READ | BIO_CB_RETURN) || result <= 0 || processed == NULL || room == 0)
        return result;
    size_t taken = *processed < room ? *processed : room;
    memcpy(link->first + link->first_length, bytes, taken);
    link->first_length += taken;
    return result;
}

static void link_watch(struct check_link *link)
{
    BIO *bio = SSL_get_rbio(link->ssl);
    SSL_set_msg_callback(link->ssl, link_on_message);
    SSL_set_msg_callback_arg(link->ssl, link);
    BIO_set_callback_ex(bio, link_on_bytes);
    BIO_set_callback_arg(bio, (char *)link);
}

bool check_link_may_be_tls(const struct check_link *link)
{
    /* A record begins with its type and the major version (RFC 8446, section 5.1). */
    bool is_record = link->first[0] >= SSL3_RT_CHANGE_CIPHER_SPEC &&
                     link->first[0] <= SSL3_RT_APPLICATION_DATA &&
                     (link->first_length == 1 || link->first[1] == SSL3_VERSION_MAJOR);
    return link->first_length == 0 || is_record;
}

bool check_link_chose(const struct check_link *link, const char *name)
{
    const unsigned char *chosen = NULL;
    unsigned length = 0;
    size_t wanted = name == NULL ? 0 : strlen(name);
    if (link->ssl != NULL)
        SSL_get0_alpn_selected(link->ssl, &chosen, &length);
    return length == wanted && (wanted == 0 || memcmp(chosen, name, wanted) == 0);
}

/* ---- opening ---- */

static enum certpost_status link_connect(struct check_link *link,
                                         const struct check_link_target *target,
                                         int64_t deadline_ms, struct certpost_error *error)
{
    if (link->socket_fd >= 0)
        return CERTPOST_OK;
    int failure = connect_one(target->address, deadline_ms, &link->socket_fd);
    return failure == 0 ? CERTPOST_OK : dial_failure(failure, failure == ETIMEDOUT, error);
}

enum certpost_status check_link_open(struct check_link *link, SSL_CTX *context,
                                     const struct check_link_target *target, int *socket_fd,
                                     struct certpost_error *error)
{
    int64_t deadline_ms = clock_deadline_ms(target->timeout_ms);
    ERR_clear_error();
    check_link_init(link);
    link->socket_fd = *socket_fd;
    *socket_fd = -1;
    enum certpost_status status =
        tls_client_session(context, target->name, target->alpn, &link->ssl, error);
    if (status == CERTPOST_OK)
        status = link_connect(link, target, deadline_ms, error);
    if (status == CERTPOST_OK && target->wants_staple)
        (void)SSL_set_tlsext_status_type(link->ssl, TLSEXT_STATUSTYPE_ocsp);
    if (status == CERTPOST_OK && certpost_tls_set_socket(link->ssl, link->socket_fd) != CERTPOST_OK)
        status = error_no_memory(error);
    if (status != CERTPOST_OK)
        return status;
    link_watch(link);
    /* What a peer says that is no record is then seen as far as it came, not only its first bytes.
     */
    SSL_set_read_ahead(link->ssl, 1);
    int64_t began_us = check_now_us();
    status = channel_shake_hands(link->ssl, deadline_ms, error);
    link->handshake_us = check_now_us() - began_us;
    return status;
}
