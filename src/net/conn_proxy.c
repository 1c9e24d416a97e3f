/*
 * conn_proxy.c — the PROXY header before a connection's TLS (net/conn.h).
 *
 * Uses: net/proxy.  Used by: conn.c, conn_io.c.
 * Never: reads a header from a peer that the owner has not named: anybody could claim any address.
 */
#include "base/error.h"
#include "net/address.h"
#include "net/conn_internal.h"
#include "net/proxy.h"

/* The rest of what was received is TLS; the header's buffer is no more needed. */
static void net_conn_finish_proxy(struct net_conn *conn, const struct proxy_header *header,
                                  size_t consumed)
{
    buffer_consume(&conn->proxy_bytes, consumed);
    const struct sockaddr *source = (const struct sockaddr *)&header->source;
    if (header->has_source)
        net_address_format(source, conn->peer);
    conn->is_probe = !header->has_source && conn->proxy_bytes.length == 0;
    net_conn_move(conn, NET_CONN_HANDSHAKE);
    conn->handler->on_proxied(conn, conn->owner, header->has_source ? source : NULL);
    if (!net_conn_is_active(conn))
        return;
    tls_stream_offer(conn->stream, buffer_bytes(&conn->proxy_bytes), conn->proxy_bytes.length);
    net_conn_pump(conn);
    buffer_free(&conn->proxy_bytes);
}

void net_conn_receive_proxy(struct net_conn *conn, const unsigned char *bytes, size_t length)
{
    struct proxy_header header;
    size_t consumed = 0;
    conn->is_probe = false;
    enum certpost_status status = buffer_append(&conn->proxy_bytes, bytes, length);
    if (status != CERTPOST_OK) {
        net_conn_abort(conn, status, certpost_status_sentence(status));
        return;
    }
    status = proxy_header_parse(buffer_bytes(&conn->proxy_bytes), conn->proxy_bytes.length, &header,
                                &consumed);
    if (status == CERTPOST_OK)
        net_conn_finish_proxy(conn, &header, consumed);
    else if (status != CERTPOST_WANT_READ)
        net_conn_abort(conn, CERTPOST_PROTOCOL,
                       "no PROXY header from an address of proxy-from; is the balancer set up to "
                       "send it?");
}
