/*
 * conn_io.c — bytes of a connection, in and out (net/conn.h).
 *
 * Uses: tls/stream, libuv.  Used by: conn.c.
 * Never: blocks; never reads more while the owner is paused or too much output waits.
 */
#include "base/error.h"
#include "net/conn_internal.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Gathered replies leave at the latest when there are so many, whoever asked for them. */
enum { NET_REPLIES_FLUSH_BYTES = 64 * 1024 };

/* What the shared output buffer may keep allocated when it is empty. */
enum { NET_OUTPUT_RETAIN_BYTES = 1024 * 1024 };

struct net_write {
    uv_write_t request;
    unsigned char bytes[];
};

static void net_conn_on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    (void)suggested;
    struct net_conn *conn = handle->data;
    ret_buffer->base = (char *)conn->scratch->input;
    ret_buffer->len = sizeof conn->scratch->input;
}

/* CLOSING and LINGERING: what still comes is dropped. The end is the end once all is sent. */
static void net_conn_discard_received(struct net_conn *conn, ssize_t received)
{
    if (received == UV_EOF && net_conn_state(conn) == NET_CONN_CLOSING)
        net_conn_update_reading(conn);
    else if (received < 0)
        net_conn_dispose(conn);
}

/*
 * The kernel gave the connection up. When its own bounds did it (TCP_USER_TIMEOUT, keepalive), it
 * is a deadline that passed, and not a reset by the peer.
 */
static void net_conn_lose(struct net_conn *conn, int failed, const char *what)
{
    if (conn->status == CERTPOST_OK && failed == UV_ETIMEDOUT)
        net_conn_note_kernel_timeout(conn);
    else if (conn->status == CERTPOST_OK)
        conn->status =
            error_set(&conn->error, CERTPOST_RESET, "%s failed: %s", what, uv_strerror(failed));
    net_conn_dispose(conn);
}

static void net_conn_on_received(uv_stream_t *socket, ssize_t received, const uv_buf_t *buffer)
{
    struct net_conn *conn = socket->data;
    if (received == 0)
        return;
    if (received == UV_EOF)
        conn->input_ended = true;
    if (!net_conn_is_active(conn)) {
        net_conn_discard_received(conn, received);
        return;
    }
    if (received == UV_EOF && net_conn_state(conn) == NET_CONN_PROXY) {
        net_conn_abort(conn, CERTPOST_TRUNCATED, "the peer vanished before its PROXY header");
        return;
    }
    if (received == UV_EOF) {
        tls_stream_end_input(conn->stream);
    } else if (received < 0) {
        net_conn_lose(conn, (int)received, "receiving");
        return;
    } else if (net_conn_state(conn) == NET_CONN_PROXY) {
        net_conn_receive_proxy(conn, (const unsigned char *)buffer->base, (size_t)received);
        return;
    } else {
        conn->is_probe = false;
        tls_stream_offer(conn->stream, (const unsigned char *)buffer->base, (size_t)received);
    }
    net_conn_pump(conn);
}

static bool net_conn_wants_input(const struct net_conn *conn)
{
    if (conn->input_ended)
        return false;
    switch (net_conn_state(conn)) {
    case NET_CONN_PROXY:
    case NET_CONN_HANDSHAKE:
        return !conn->output_full;
    case NET_CONN_OPEN:
        return !conn->paused && !conn->output_full && !conn->draining;
    case NET_CONN_CLOSING:
    case NET_CONN_LINGERING:
        return true;
    case NET_CONN_ENDING:
    case NET_CONN_CLOSED:
        break;
    }
    return false;
}

void net_conn_update_reading(struct net_conn *conn)
{
    bool wanted = net_conn_wants_input(conn);
    if (wanted == conn->reading || uv_is_closing((uv_handle_t *)&conn->socket))
        return;
    conn->reading = wanted;
    if (!wanted)
        (void)uv_read_stop((uv_stream_t *)&conn->socket);
    else if (uv_read_start((uv_stream_t *)&conn->socket, net_conn_on_allocate,
                           net_conn_on_received) != 0)
        net_conn_abort(conn, CERTPOST_NETWORK_IO, "the socket cannot be read");
}

void net_conn_report_end(struct net_conn *conn, enum certpost_status status)
{
    if (conn->end_reported)
        return;
    conn->end_reported = true;
    net_conn_clear_deadline(conn, NET_DEADLINE_FIRST_BYTE);
    net_conn_clear_deadline(conn, NET_DEADLINE_IDLE);
    if (status != CERTPOST_INTERRUPTED)
        conn->status = status;
    net_conn_move(conn, NET_CONN_ENDING);
    conn->handler->on_end(conn, conn->owner, status);
}

static void net_conn_pump_handshake(struct net_conn *conn)
{
    enum certpost_status status = tls_stream_handshake(conn->stream, &conn->error);
    if (status == CERTPOST_WANT_READ)
        return;
    if (status != CERTPOST_OK) {
        net_conn_fail(conn, status);
        return;
    }
    conn->handshake_done = true;
    net_conn_clear_deadline(conn, NET_DEADLINE_HANDSHAKE);
    net_conn_set_deadline(conn, NET_DEADLINE_FIRST_BYTE);
    net_conn_move(conn, NET_CONN_OPEN);
    conn->handler->on_open(conn, conn->owner);
}

/* One record's data; false when there is nothing to go on with. */
static bool net_conn_pump_record(struct net_conn *conn)
{
    size_t length = 0;
    enum certpost_status status =
        tls_stream_read(conn->stream, conn->scratch->plaintext, sizeof conn->scratch->plaintext,
                        &length, &conn->error);
    switch (status) {
    case CERTPOST_OK:
        if (conn->deadline_ms[NET_DEADLINE_FIRST_BYTE] != 0) {
            net_conn_clear_deadline(conn, NET_DEADLINE_FIRST_BYTE);
            net_conn_set_deadline(conn, NET_DEADLINE_IDLE);
        }
        conn->handler->on_data(conn, conn->owner, conn->scratch->plaintext, length);
        return true;
    case CERTPOST_WANT_READ:
        if (conn->draining)
            net_conn_report_end(conn, CERTPOST_INTERRUPTED);
        return false;
    case CERTPOST_CLOSED:
    case CERTPOST_TRUNCATED:
        net_conn_report_end(conn, status);
        return false;
    default:
        net_conn_fail(conn, status);
        return false;
    }
}

static bool net_conn_may_pump(const struct net_conn *conn)
{
    return net_conn_state(conn) == NET_CONN_OPEN && !conn->paused && !conn->output_full;
}

/* Takes the connection as far as its input, its owner and its output let it go. */
void net_conn_pump(struct net_conn *conn)
{
    if (conn->pumping || !net_conn_is_active(conn))
        return;
    conn->pumping = true;
    net_conn_take_scratch(conn);
    if (net_conn_state(conn) == NET_CONN_HANDSHAKE)
        net_conn_pump_handshake(conn);
    while (net_conn_may_pump(conn)) {
        /* A handler may have sent for another connection, and TLS may answer this record. */
        net_conn_take_scratch(conn);
        if (!net_conn_pump_record(conn))
            break;
    }
    conn->pumping = false;
    if (net_conn_is_active(conn))
        net_conn_flush(conn);
    if (net_conn_is_active(conn) && tls_stream_keep(conn->stream) != CERTPOST_OK)
        net_conn_abort(conn, CERTPOST_NO_MEMORY, "out of memory");
    net_conn_update_reading(conn);
}

void net_conn_send(struct net_conn *conn, const void *bytes, size_t length)
{
    if (!net_conn_is_active(conn))
        return;
    net_conn_take_scratch(conn);
    enum certpost_status status = buffer_append(&conn->scratch->replies, bytes, length);
    if (status != CERTPOST_OK)
        net_conn_abort(conn, status, certpost_status_sentence(status));
    else if (conn->scratch->replies.length >= NET_REPLIES_FLUSH_BYTES)
        net_conn_flush(conn);
}

void net_conn_flush(struct net_conn *conn)
{
    struct buffer *replies = &conn->scratch->replies;
    if (!net_conn_is_active(conn) || conn->scratch->working != conn)
        return;
    enum certpost_status status = CERTPOST_OK;
    if (replies->length > 0)
        status =
            tls_stream_write(conn->stream, buffer_bytes(replies), replies->length, &conn->error);
    buffer_clear(replies);
    if (status != CERTPOST_OK)
        net_conn_fail(conn, status);
    else
        net_conn_write_output(conn);
}

/* ------------------------------------------------------------------------------ output */

size_t net_conn_waiting_bytes(const struct net_conn *conn)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&conn->socket);
}

/*
 * What the peer's machine has acknowledged. The kernel's queue counts as not sent: it holds
 * megabytes, and reports room only in large steps, so that a peer on a slow line would look dead.
 */
uint64_t net_conn_sent_bytes(const struct net_conn *conn)
{
    uv_os_fd_t descriptor = -1;
    int unacknowledged = 0;
    if (uv_fileno((const uv_handle_t *)&conn->socket, &descriptor) != 0 ||
        ioctl(descriptor, SIOCOUTQ, &unacknowledged) != 0)
        unacknowledged = 0;
    return conn->output_bytes - net_conn_waiting_bytes(conn) - (uint64_t)unacknowledged;
}

static void net_conn_on_shut(uv_shutdown_t *request, int failed)
{
    struct net_conn *conn = request->data;
    if (failed != 0 && net_conn_state(conn) != NET_CONN_CLOSED)
        net_conn_dispose(conn);
}

/* In CLOSING: once everything is out, shut our side and wait for the peer's. */
void net_conn_shut_when_sent(struct net_conn *conn)
{
    if (net_conn_state(conn) != NET_CONN_CLOSING || net_conn_waiting_bytes(conn) > 0)
        return;
    net_conn_clear_deadline(conn, NET_DEADLINE_WRITE);
    if (conn->input_ended) {
        net_conn_dispose(conn);
        return;
    }
    net_conn_move(conn, NET_CONN_LINGERING);
    net_conn_set_deadline(conn, NET_DEADLINE_CLOSE);
    conn->shutdown_request.data = conn;
    if (uv_shutdown(&conn->shutdown_request, (uv_stream_t *)&conn->socket, net_conn_on_shut) != 0)
        net_conn_dispose(conn);
}

static void net_conn_on_written(uv_write_t *request, int failed)
{
    struct net_conn *conn = request->handle->data;
    free(request->data);
    if (net_conn_state(conn) == NET_CONN_CLOSED)
        return;
    if (failed != 0) {
        net_conn_lose(conn, failed, "sending");
        return;
    }
    if (net_conn_waiting_bytes(conn) == 0)
        net_conn_clear_deadline(conn, NET_DEADLINE_WRITE);
    net_conn_shut_when_sent(conn);
    if (conn->output_full && net_conn_waiting_bytes(conn) < NET_CONN_OUTPUT_HIGH_BYTES / 2) {
        conn->output_full = false;
        if (net_conn_is_active(conn)) {
            conn->handler->on_writable(conn, conn->owner);
            net_conn_flush(conn);
            net_conn_pump(conn);
        }
    }
}

static enum certpost_status net_conn_queue_write(struct net_conn *conn, const unsigned char *bytes,
                                                 size_t length)
{
    struct net_write *write = malloc(sizeof *write + length);
    if (write == NULL)
        return CERTPOST_NO_MEMORY;
    memcpy(write->bytes, bytes, length);
    write->request.data = write;
    uv_buf_t piece = {.base = (char *)write->bytes, .len = length};
    if (uv_write(&write->request, (uv_stream_t *)&conn->socket, &piece, 1, net_conn_on_written) !=
        0) {
        free(write);
        return CERTPOST_NETWORK_IO;
    }
    conn->output_bytes += length;
    if (conn->deadline_ms[NET_DEADLINE_WRITE] == 0)
        net_conn_set_deadline(conn, NET_DEADLINE_WRITE);
    /* Only on_writable takes it back: the owner may be waiting for that. */
    if (net_conn_waiting_bytes(conn) > NET_CONN_OUTPUT_HIGH_BYTES)
        conn->output_full = true;
    return CERTPOST_OK;
}

/* Sends the output now as far as the socket takes it, and leaves the rest to libuv. */
void net_conn_write_output(struct net_conn *conn)
{
    struct buffer *output = &conn->scratch->output;
    const unsigned char *bytes = buffer_bytes(output);
    size_t length = output->length;
    if (length == 0)
        return;
    enum certpost_status status = CERTPOST_OK;
    uv_buf_t piece = {.base = (char *)(uintptr_t)bytes, .len = length};
    int sent = uv_try_write((uv_stream_t *)&conn->socket, &piece, 1);
    if (sent < 0 && sent != UV_EAGAIN)
        status = CERTPOST_RESET;
    size_t sent_bytes = sent > 0 ? (size_t)sent : 0;
    conn->output_bytes += sent_bytes;
    if (status == CERTPOST_OK && sent_bytes < length)
        status = net_conn_queue_write(conn, bytes + sent_bytes, length - sent_bytes);
    buffer_clear(output);
    if (output->capacity > NET_OUTPUT_RETAIN_BYTES)
        buffer_free(output);
    if (status != CERTPOST_OK)
        net_conn_abort(conn, status,
                       status == CERTPOST_RESET ? "the peer has gone"
                                                : certpost_status_sentence(status));
}
