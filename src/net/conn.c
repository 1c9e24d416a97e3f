/*
 * conn.c — the life of a connection: made, moved from state to state, ended (net/conn.h).
 *
 * Uses: base, tls/stream, libuv.  Used by: server.
 * Never: frees a connection inside one of its own calls; that happens when libuv has given back
 * both of its handles, from the loop.
 */
#include "base/error.h"
#include "net/address.h"
#include "net/conn_internal.h"
#include "net/loop.h"
#include "net/proxy.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Enough for all replies of one wake-up at their longest; see PLAIN_REPLY_MAX_BYTES. */
enum { NET_GATHER_MAX_BYTES = 32 * 1024 * 1024 };

/* A peer that vanished is found out after 60 s of silence and 3 unanswered probes. */
enum { NET_KEEPALIVE_IDLE_S = 60, NET_KEEPALIVE_INTERVAL_S = 15, NET_KEEPALIVE_PROBES = 3 };

#define TO_CLOSING (MACHINE_TO(NET_CONN_CLOSING) | MACHINE_TO(NET_CONN_CLOSED))

static const struct machine_state net_conn_states[] = {
    [NET_CONN_PROXY] = {"proxy", MACHINE_TO(NET_CONN_HANDSHAKE) | TO_CLOSING},
    [NET_CONN_HANDSHAKE] = {"handshake", MACHINE_TO(NET_CONN_OPEN) | TO_CLOSING},
    [NET_CONN_OPEN] = {"open", MACHINE_TO(NET_CONN_ENDING) | TO_CLOSING},
    [NET_CONN_ENDING] = {"ending", TO_CLOSING},
    [NET_CONN_CLOSING] = {"closing", MACHINE_TO(NET_CONN_LINGERING) | MACHINE_TO(NET_CONN_CLOSED)},
    [NET_CONN_LINGERING] = {"lingering", MACHINE_TO(NET_CONN_CLOSED)},
    [NET_CONN_CLOSED] = {"closed", 0},
};

void net_scratch_init(struct net_scratch *scratch)
{
    buffer_init(&scratch->replies, NET_GATHER_MAX_BYTES);
    buffer_init(&scratch->output, NET_GATHER_MAX_BYTES);
}

void net_scratch_free(struct net_scratch *scratch)
{
    if (scratch == NULL)
        return;
    buffer_wipe_free(&scratch->replies);
    buffer_free(&scratch->output);
    OPENSSL_cleanse(scratch->plaintext, sizeof scratch->plaintext);
}

void net_scratch_flush(struct net_scratch *scratch)
{
    if (scratch->working != NULL)
        net_conn_flush(scratch->working);
}

/* Makes the shared buffers this connection's; what another left in them leaves first. */
void net_conn_take_scratch(struct net_conn *conn)
{
    if (conn->scratch->working == conn)
        return;
    net_scratch_flush(conn->scratch);
    conn->scratch->working = conn;
}

enum net_conn_state net_conn_state(const struct net_conn *conn)
{
    return (enum net_conn_state)conn->machine.state;
}

bool net_conn_is_active(const struct net_conn *conn)
{
    return net_conn_state(conn) <= NET_CONN_ENDING;
}

/* An illegal move is a defect of ours: it costs this connection, and shows in its last log line. */
void net_conn_move(struct net_conn *conn, enum net_conn_state state)
{
    if (machine_move(&conn->machine, state, &conn->error) != CERTPOST_OK) {
        conn->status = CERTPOST_INTERNAL;
        net_conn_dispose(conn);
    }
}

static void net_conn_on_handle_closed(uv_handle_t *handle)
{
    struct net_conn *conn = handle->data;
    if (--conn->open_handles > 0)
        return;
    if (conn->handler != NULL) {
        struct net_conn_result result = {
            .status = conn->status == CERTPOST_OK ? CERTPOST_CLOSED : conn->status,
            .error = &conn->error,
            .deadline = conn->deadline_name,
            .handshake_done = conn->handshake_done,
            .is_probe = conn->is_probe,
        };
        conn->handler->on_closed(conn, conn->owner, &result);
    }
    tls_stream_free(conn->stream);
    buffer_free(&conn->proxy_bytes);
    free(conn);
}

static void net_conn_close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, net_conn_on_handle_closed);
}

/* The end of every connection: its handles are given back, and then its owner is told. */
void net_conn_dispose(struct net_conn *conn)
{
    if (net_conn_state(conn) == NET_CONN_CLOSED || uv_is_closing((uv_handle_t *)&conn->socket))
        return;
    if (machine_move(&conn->machine, NET_CONN_CLOSED, &conn->error) != CERTPOST_OK)
        conn->status = CERTPOST_INTERNAL;
    if (conn->scratch->working == conn) {
        /* Bytes of one connection must never leave through another. */
        buffer_clear(&conn->scratch->replies);
        buffer_clear(&conn->scratch->output);
        conn->scratch->working = NULL;
    }
    net_conn_close_handle((uv_handle_t *)&conn->socket);
    net_conn_close_handle((uv_handle_t *)&conn->timer);
}

/* Sends what there is (an alert, the last replies, close_notify), then shuts our side. */
void net_conn_begin_closing(struct net_conn *conn)
{
    if (!net_conn_is_active(conn))
        return;
    net_conn_move(conn, NET_CONN_CLOSING);
    /* From here on only the time to close and to be sent counts: silence is what we wait for. */
    net_conn_clear_deadline(conn, NET_DEADLINE_HANDSHAKE);
    net_conn_clear_deadline(conn, NET_DEADLINE_FIRST_BYTE);
    net_conn_clear_deadline(conn, NET_DEADLINE_IDLE);
    net_conn_write_output(conn);
    net_conn_shut_when_sent(conn);
    net_conn_update_reading(conn);
}

/*
 * A failure that TLS has an alert for: the alert lies in the output, and is worth sending. What was
 * gathered as replies is not: the stream does not encrypt any more.
 */
void net_conn_fail(struct net_conn *conn, enum certpost_status status)
{
    if (conn->status == CERTPOST_OK)
        conn->status = status;
    buffer_clear(&conn->scratch->replies);
    if (status == CERTPOST_RESET || status == CERTPOST_NETWORK_IO || status == CERTPOST_TIMEOUT)
        net_conn_dispose(conn);
    else
        net_conn_begin_closing(conn);
}

void net_conn_close(struct net_conn *conn)
{
    if (!net_conn_is_active(conn))
        return;
    net_conn_take_scratch(conn);
    net_conn_flush(conn);
    if (!net_conn_is_active(conn))
        return;
    if (conn->status == CERTPOST_OK)
        conn->status = CERTPOST_CLOSED;
    tls_stream_close(conn->stream);
    net_conn_begin_closing(conn);
}

void net_conn_abort(struct net_conn *conn, enum certpost_status status, const char *words)
{
    if (conn->status == CERTPOST_OK)
        conn->status = error_set(&conn->error, status, "%s", words);
    net_conn_dispose(conn);
}

void net_conn_pause(struct net_conn *conn)
{
    conn->paused = true;
}

void net_conn_resume(struct net_conn *conn)
{
    if (!conn->paused)
        return;
    conn->paused = false;
    net_conn_pump(conn);
}

void net_conn_drain(struct net_conn *conn)
{
    if (conn->draining || !net_conn_is_active(conn))
        return;
    conn->draining = true;
    if (net_conn_state(conn) <= NET_CONN_HANDSHAKE)
        net_conn_abort(conn, CERTPOST_INTERRUPTED, "the server stops");
    else
        net_conn_pump(conn);
}

bool net_conn_output_is_full(const struct net_conn *conn)
{
    return conn->output_full;
}

const char *net_conn_peer(const struct net_conn *conn)
{
    return conn->peer;
}

SSL *net_conn_ssl(struct net_conn *conn)
{
    return tls_stream_ssl(conn->stream);
}

const char *net_conn_state_name(const struct net_conn *conn)
{
    return machine_state_name(&conn->machine);
}

/* Options that every connection wants; none is worth losing the connection for. */
static void net_conn_set_socket_options(struct net_conn *conn, int descriptor)
{
    static const int interval_s = NET_KEEPALIVE_INTERVAL_S;
    static const int probes = NET_KEEPALIVE_PROBES;
    /*
     * Ends a connection whose data the other machine does not confirm, which the kernel else tries
     * for a quarter of an hour. Later than the write deadline: to the kernel a window that stays
     * shut is the same, and whether a slow reader makes progress is for that deadline to say.
     */
    unsigned unconfirmed_ms =
        (unsigned)conn->limits->timeout_ms[NET_DEADLINE_WRITE] + NET_KEEPALIVE_INTERVAL_S * 1000U;
    (void)uv_tcp_nodelay(&conn->socket, 1);
    (void)uv_tcp_keepalive(&conn->socket, 1, NET_KEEPALIVE_IDLE_S);
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &unconfirmed_ms,
                     sizeof unconfirmed_ms);
}

/* Both handles belong to the loop from here on, so that a failure is undone through it. */
static int net_conn_init_handles(struct net_conn *conn, uv_loop_t *loop)
{
    int failed = uv_tcp_init(loop, &conn->socket);
    if (failed != 0)
        return failed;
    conn->open_handles++;
    conn->socket.data = conn;
    failed = uv_timer_init(loop, &conn->timer);
    if (failed == 0) {
        conn->open_handles++;
        conn->timer.data = conn;
    }
    return failed;
}

static void net_conn_discard(struct net_conn *conn)
{
    if (conn->open_handles == 0) {
        tls_stream_free(conn->stream);
        free(conn);
        return;
    }
    bool has_timer = conn->open_handles == 2;
    conn->handler = NULL;
    net_conn_close_handle((uv_handle_t *)&conn->socket);
    if (has_timer)
        net_conn_close_handle((uv_handle_t *)&conn->timer);
}

enum certpost_status net_conn_serve(uv_loop_t *loop, const struct net_conn_origin *origin,
                                    struct net_scratch *scratch, SSL_CTX *context,
                                    const struct net_limits *limits,
                                    const struct net_conn_handler *handler, void *owner,
                                    struct net_conn **ret_conn, struct certpost_error *error)
{
    struct net_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        close(origin->descriptor);
        return error_no_memory(error);
    }
    conn->machine =
        machine_start(net_conn_states, origin->expect_proxy ? NET_CONN_PROXY : NET_CONN_HANDSHAKE);
    conn->is_probe = origin->expect_proxy;
    conn->scratch = scratch;
    conn->limits = limits;
    conn->handler = handler;
    conn->owner = owner;
    buffer_init(&conn->proxy_bytes, PROXY_HEADER_MAX_BYTES + TLS_STREAM_INPUT_MAX_BYTES);
    net_address_format(origin->peer, conn->peer);
    int failed = net_conn_init_handles(conn, loop);
    if (failed == 0)
        failed = -net_loop_add_socket(loop, origin->descriptor);
    if (failed == 0)
        failed = uv_tcp_open(&conn->socket, origin->descriptor);
    if (failed != 0) {
        close(origin->descriptor);
        net_conn_discard(conn);
        return error_set(error, CERTPOST_SYSTEM, "cannot serve a connection: %s",
                         uv_strerror(failed));
    }
    enum certpost_status status = tls_stream_new(context, &scratch->output, &conn->stream, error);
    if (status != CERTPOST_OK) {
        net_conn_discard(conn);
        return status;
    }
    net_conn_set_socket_options(conn, origin->descriptor);
    net_conn_set_deadline(conn, NET_DEADLINE_HANDSHAKE);
    net_conn_update_reading(conn);
    *ret_conn = conn;
    return CERTPOST_OK;
}
