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

static const struct {
    const char *name;
    const char *words;
} net_deadline_rows[NET_DEADLINE_COUNT] = {
    [NET_DEADLINE_HANDSHAKE] = {"handshake", "the TLS handshake was not complete in time"},
    [NET_DEADLINE_FIRST_BYTE] = {"first byte", "the peer sent nothing after its handshake"},
    [NET_DEADLINE_IDLE] = {"idle", "the peer completed no message for too long"},
    [NET_DEADLINE_WRITE] = {"write", "the peer took no data for too long"},
    [NET_DEADLINE_CLOSE] = {"close", "the peer did not close in time"},
};

static void net_conn_arm(struct net_conn *conn);

/* Output that shrank since the deadline was set is progress, and earns a new one. */
static bool net_conn_write_progressed(struct net_conn *conn)
{
    return net_conn_sent_bytes(conn) > conn->sent_at_last_look;
}

/* A peer that waits for us, or that has yet to read our answer, is not idle. */
static bool net_conn_is_idle(const struct net_conn *conn)
{
    return !conn->paused && net_conn_waiting_bytes(conn) == 0 &&
           !conn->handler->is_busy(conn->owner);
}

/* A silent peer is told: the owner ends the connection, with all that it earned and close_notify.
 */
static void net_conn_expire_silence(struct net_conn *conn, enum net_deadline kind)
{
    if (!net_conn_is_idle(conn)) {
        net_conn_set_deadline(conn, kind);
        return;
    }
    conn->deadline_name = net_deadline_rows[kind].name;
    (void)error_set(&conn->error, CERTPOST_TIMEOUT, "%s", net_deadline_rows[kind].words);
    net_conn_take_scratch(conn);
    net_conn_report_end(conn, CERTPOST_TIMEOUT);
    net_conn_flush(conn);
}

static void net_conn_expire(struct net_conn *conn, enum net_deadline kind)
{
    switch (kind) {
    case NET_DEADLINE_FIRST_BYTE:
    case NET_DEADLINE_IDLE:
        net_conn_expire_silence(conn, kind);
        return;
    case NET_DEADLINE_CLOSE:
        /* Everything worth saying has been said; the status of the end stays what it was. */
        net_conn_dispose(conn);
        return;
    case NET_DEADLINE_WRITE:
        if (net_conn_write_progressed(conn)) {
            net_conn_set_deadline(conn, kind);
            return;
        }
        break;
    case NET_DEADLINE_HANDSHAKE:
    case NET_DEADLINE_COUNT:
        break;
    }
    conn->deadline_name = net_deadline_rows[kind].name;
    net_conn_abort(conn, CERTPOST_TIMEOUT, net_deadline_rows[kind].words);
}

static void net_conn_wake_owner(struct net_conn *conn, uint64_t now_ms)
{
    if (conn->owner_due_ms == 0 || conn->owner_due_ms > now_ms)
        return;
    conn->owner_due_ms = 0;
    if (!net_conn_is_active(conn))
        return;
    net_conn_take_scratch(conn);
    conn->handler->on_time(conn, conn->owner);
    net_conn_flush(conn);
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
    net_conn_wake_owner(conn, now_ms);
    if (net_conn_state(conn) != NET_CONN_CLOSED)
        net_conn_arm(conn);
}

void net_conn_note_kernel_timeout(struct net_conn *conn)
{
    /* What the kernel counts began earlier than what waits here, so it can be first. */
    bool is_write = conn->deadline_ms[NET_DEADLINE_WRITE] != 0;
    conn->deadline_name = is_write ? net_deadline_rows[NET_DEADLINE_WRITE].name : "network";
    conn->status = error_set(&conn->error, CERTPOST_TIMEOUT, "%s",
                             is_write ? net_deadline_rows[NET_DEADLINE_WRITE].words
                                      : "the peer cannot be reached any more");
}

/* Makes sure that the timer fires no later than the earliest deadline. */
static void net_conn_arm(struct net_conn *conn)
{
    uint64_t earliest_ms = conn->owner_due_ms;
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

void net_conn_note_progress(struct net_conn *conn)
{
    if (net_conn_state(conn) == NET_CONN_OPEN && conn->deadline_ms[NET_DEADLINE_FIRST_BYTE] == 0)
        net_conn_set_deadline(conn, NET_DEADLINE_IDLE);
}

void net_conn_mind_silence(struct net_conn *conn)
{
    net_conn_clear_deadline(conn, NET_DEADLINE_FIRST_BYTE);
    net_conn_clear_deadline(conn, NET_DEADLINE_IDLE);
}

void net_conn_wake_at(struct net_conn *conn, uint64_t at_ms)
{
    if (uv_is_closing((uv_handle_t *)&conn->timer))
        return;
    conn->owner_due_ms = at_ms;
    net_conn_arm(conn);
}
