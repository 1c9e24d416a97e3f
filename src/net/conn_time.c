/*
 * conn_time.c — the deadlines of a connection (net/conn.h).
 *
 * Uses: libuv.  Used by: conn.c, conn_io.c.
 * Never: extends a deadline that runs. The one timer of a connection is set to the earliest of its
 * deadlines and, when it fires early because that one was cleared or moved, set again: so a message
 * costs no timer operation.
 */
#include "base/error.h"
#include "net/conn_internal.h"

static const char *const net_deadline_words[NET_DEADLINE_COUNT] = {
    [NET_DEADLINE_HANDSHAKE] = "the TLS handshake was not complete in time",
    [NET_DEADLINE_FIRST_BYTE] = "the peer sent nothing after its handshake",
    [NET_DEADLINE_IDLE] = "the peer was silent for too long",
    [NET_DEADLINE_WRITE] = "the peer took no data for too long",
    [NET_DEADLINE_CLOSE] = "the peer did not close in time",
};

static void net_conn_arm(struct net_conn *conn);

/* Output that shrank since the deadline was set is progress, and earns a new one. */
static bool net_conn_write_progressed(struct net_conn *conn)
{
    return net_conn_sent_bytes(conn) > conn->sent_at_last_look;
}

static void net_conn_expire(struct net_conn *conn, enum net_deadline kind)
{
    if (kind == NET_DEADLINE_WRITE && net_conn_write_progressed(conn)) {
        net_conn_set_deadline(conn, kind);
        return;
    }
    if (kind == NET_DEADLINE_CLOSE) {
        /* Everything worth saying has been said; the status of the end stays what it was. */
        net_conn_dispose(conn);
        return;
    }
    net_conn_abort(conn, CERTPOST_TIMEOUT, net_deadline_words[kind]);
}

static void net_conn_on_timer(uv_timer_t *timer)
{
    struct net_conn *conn = timer->data;
    uint64_t now_ms = uv_now(timer->loop);
    conn->timer_due_ms = 0;
    for (int kind = 0; kind < NET_DEADLINE_COUNT; kind++) {
        if (conn->deadline_ms[kind] == 0 || conn->deadline_ms[kind] > now_ms)
            continue;
        conn->deadline_ms[kind] = 0;
        net_conn_expire(conn, (enum net_deadline)kind);
        if (net_conn_state(conn) == NET_CONN_CLOSED)
            return;
    }
    net_conn_arm(conn);
}

/* Makes sure that the timer fires no later than the earliest deadline. */
static void net_conn_arm(struct net_conn *conn)
{
    uint64_t earliest_ms = 0;
    for (int kind = 0; kind < NET_DEADLINE_COUNT; kind++) {
        uint64_t deadline_ms = conn->deadline_ms[kind];
        if (deadline_ms != 0 && (earliest_ms == 0 || deadline_ms < earliest_ms))
            earliest_ms = deadline_ms;
    }
    if (earliest_ms == 0 || (conn->timer_due_ms != 0 && conn->timer_due_ms <= earliest_ms))
        return;
    uint64_t now_ms = uv_now(conn->timer.loop);
    uint64_t wait_ms = earliest_ms > now_ms ? earliest_ms - now_ms : 0;
    if (uv_timer_start(&conn->timer, net_conn_on_timer, wait_ms, 0) == 0)
        conn->timer_due_ms = earliest_ms;
}

void net_conn_set_deadline(struct net_conn *conn, enum net_deadline kind)
{
    if (uv_is_closing((uv_handle_t *)&conn->timer))
        return;
    if (kind == NET_DEADLINE_WRITE)
        conn->sent_at_last_look = net_conn_sent_bytes(conn);
    conn->deadline_ms[kind] = uv_now(conn->timer.loop) + (uint64_t)conn->limits->timeout_ms[kind];
    net_conn_arm(conn);
}

void net_conn_clear_deadline(struct net_conn *conn, enum net_deadline kind)
{
    conn->deadline_ms[kind] = 0;
}
