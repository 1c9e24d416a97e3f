/*
 * plain_peer.c — a client in the plain exchange (server/plain_peer.h).
 *
 * Uses: net/conn, session/plain_receiver, worker, log.  Used by: worker.c.
 * Never: decides what a message is or when it is answered; that is the session's.
 *
 * Life: made when a connection is accepted; the connection's on_closed ends its talking, and it is
 * freed when the writer has returned the last of its entries, because these point to it.
 */
#include "server/plain_peer.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "server/peer_log.h"
#include "session/plain_receiver.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct plain_peer {
    struct plain_peer *next;
    struct plain_peer **previous; /* the pointer that points here */
    struct worker *worker;
    struct worker_state *state; /* the one that the connection was accepted under */
    struct net_conn *conn;      /* NULL once it is closed */
    struct plain_receiver receiver;
    struct handshake_node handshake;
    bool waits_for_total; /* paused by the bound of all connections together */
    bool has_place_of_address;
    struct sockaddr_storage address;
    size_t entries_at_writer;
    size_t uncommitted_bytes;
    size_t unfinished_bytes; /* counted in the limits */
    uint64_t opened_ms;
    uint64_t message_count;
    uint64_t message_bytes;
    bool store_failed;
};

void plain_peer_link(struct plain_peer **list, struct plain_peer *peer)
{
    peer->next = *list;
    peer->previous = list;
    if (*list != NULL)
        (*list)->previous = &peer->next;
    *list = peer;
}

void plain_peer_unlink(struct plain_peer **list, struct plain_peer *peer)
{
    (void)list;
    *peer->previous = peer->next;
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
}

struct plain_peer *plain_peer_next(const struct plain_peer *peer)
{
    return peer->next;
}

void plain_peer_evict(struct plain_peer *peer)
{
    handshakes_leave(&peer->worker->handshakes, &peer->handshake);
    net_conn_abort(peer->conn, CERTPOST_LIMIT,
                   "too many handshakes at once; the oldest gave way to a new one");
}

/*
 * Not when the connection has closed: what a peer left with the writer costs memory, and clients
 * who come, send and go while the writer stands still would pile it up without a bound.
 */
static void plain_peer_return_places(struct plain_peer *peer)
{
    struct limits *limits = peer->worker->limits;
    if (peer->has_place_of_address)
        limits_return_address(limits, (const struct sockaddr *)&peer->address);
    limits_return_connection(limits);
}

static void plain_peer_free_if_done(struct plain_peer *peer)
{
    if (peer->conn != NULL || peer->entries_at_writer > 0)
        return;
    limits_return_unfinished(peer->worker->limits, peer->unfinished_bytes);
    plain_peer_return_places(peer);
    worker_remove_peer(peer->worker, peer);
    plain_receiver_free(&peer->receiver);
    worker_state_release(peer->state);
    free(peer);
}

/* ------------------------------------------------------------------------------ effects */

static enum certpost_status plain_peer_hand_over(struct plain_peer *peer,
                                                 enum writer_entry_kind kind, uint64_t seq,
                                                 const void *bytes, size_t length)
{
    struct writer_entry entry = {
        .kind = kind,
        .owner = peer,
        .seq = seq,
        .bytes = bytes,
        .length = length,
    };
    enum certpost_status status = worker_submit(peer->worker, &entry);
    if (status != CERTPOST_OK)
        return status;
    peer->entries_at_writer++;
    peer->uncommitted_bytes += writer_entry_cost_bytes(length);
    limits_add_pending(peer->worker->limits, writer_entry_cost_bytes(length));
    return CERTPOST_OK;
}

static enum certpost_status plain_peer_store(struct plain_peer *peer,
                                             const struct plain_effect *effect,
                                             struct certpost_error *error)
{
    peer->message_count++;
    peer->message_bytes += effect->length;
    net_conn_note_progress(peer->conn);
    if (peer->worker->writer != NULL)
        return plain_peer_hand_over(peer, WRITER_MESSAGE, effect->seq, effect->bytes,
                                    effect->length);
    struct committed committed = writer_accepted(effect->seq);
    return plain_receiver_committed(&peer->receiver, &committed, error);
}

static enum certpost_status plain_peer_carry_out(struct plain_peer *peer,
                                                 const struct plain_effect *effect,
                                                 struct certpost_error *error)
{
    switch (effect->kind) {
    case PLAIN_EFFECT_STORE:
        return plain_peer_store(peer, effect, error);
    case PLAIN_EFFECT_SEND:
        net_conn_send(peer->conn, effect->bytes, effect->length);
        net_conn_note_progress(peer->conn);
        break;
    case PLAIN_EFFECT_CLOSE:
        net_conn_close(peer->conn);
        break;
    }
    return CERTPOST_OK;
}

static void plain_peer_set_waiting(struct plain_peer *peer, bool waiting)
{
    if (waiting && !peer->waits_for_total)
        peer->worker->waiting_peer_count++;
    else if (!waiting && peer->waits_for_total)
        peer->worker->waiting_peer_count--;
    peer->waits_for_total = waiting;
}

/* Asked first and looked at again, so that no wake-up is missed. */
static bool plain_peer_waits_for_total(struct plain_peer *peer)
{
    struct limits *limits = peer->worker->limits;
    bool full = limits_pending_is_full(limits);
    if (full) {
        limits_wait(limits, peer->worker->index);
        full = limits_pending_is_full(limits);
    }
    plain_peer_set_waiting(peer, full);
    return full;
}

/*
 * Replies that are only gathered wake nobody up when they leave: they are sent before the answer,
 * so that "full" always means output that waits for the peer, and ends with on_writable.
 */
static bool plain_peer_must_wait(struct plain_peer *peer)
{
    if (net_conn_output_is_full(peer->conn))
        net_conn_flush(peer->conn);
    return net_conn_output_is_full(peer->conn) ||
           peer->uncommitted_bytes >= peer->state->config->limits.max_pending_bytes ||
           plain_peer_waits_for_total(peer);
}

/* Carries out what the session wants, until it wants nothing or the peer has to wait. */
static void plain_peer_run(struct plain_peer *peer)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    for (;;) {
        if (plain_peer_must_wait(peer)) {
            net_conn_pause(peer->conn);
            return;
        }
        struct plain_effect effect;
        enum certpost_status status = plain_receiver_next(&peer->receiver, &effect, &error);
        if (status == CERTPOST_WANT_READ)
            break;
        if (status == CERTPOST_OK)
            status = plain_peer_carry_out(peer, &effect, &error);
        if (status != CERTPOST_OK) {
            net_conn_abort(peer->conn, status, certpost_status_sentence(status));
            return;
        }
    }
    net_conn_resume(peer->conn);
}

void plain_peer_resume(struct plain_peer *peer)
{
    if (peer->conn != NULL && peer->waits_for_total)
        plain_peer_run(peer);
}

/* ------------------------------------------------------------------------------ connection */

/* The address whose place this connection has taken. */
static void plain_peer_note_address(struct plain_peer *peer, const struct sockaddr *address)
{
    memcpy(&peer->address, address,
           address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in));
    peer->has_place_of_address = true;
}

static void plain_peer_on_proxied(struct net_conn *conn, void *owner, const struct sockaddr *source)
{
    struct plain_peer *peer = owner;
    if (source == NULL)
        return;
    if (limits_take_address(peer->worker->limits, source))
        plain_peer_note_address(peer, source);
    else
        net_conn_abort(conn, CERTPOST_LIMIT, "its address has all its places");
}

static void plain_peer_on_open(struct net_conn *conn, void *owner)
{
    struct plain_peer *peer = owner;
    const char *address = net_conn_peer(conn);
    handshakes_leave(&peer->worker->handshakes, &peer->handshake);
    if (peer->worker->writer != NULL &&
        plain_peer_hand_over(peer, WRITER_CONNECTED, 0, address, strlen(address)) != CERTPOST_OK)
        net_conn_abort(conn, CERTPOST_NO_MEMORY, "out of memory");
}

/* What every connection may hold of an unfinished message without being counted. */
enum { PLAIN_PEER_UNFINISHED_FREE_BYTES = 4096 };

/* False when all connections together hold too much of what has begun and not ended. */
static bool plain_peer_count_unfinished(struct plain_peer *peer)
{
    struct limits *limits = peer->worker->limits;
    size_t held = plain_decoder_unfinished_bytes(&peer->receiver.decoder);
    size_t counted =
        held > PLAIN_PEER_UNFINISHED_FREE_BYTES ? held - PLAIN_PEER_UNFINISHED_FREE_BYTES : 0;
    if (counted > peer->unfinished_bytes &&
        !limits_take_unfinished(limits, counted - peer->unfinished_bytes))
        return false;
    if (counted < peer->unfinished_bytes)
        limits_return_unfinished(limits, peer->unfinished_bytes - counted);
    peer->unfinished_bytes = counted;
    return true;
}

static void plain_peer_refuse(struct plain_peer *peer, const char *reason)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = plain_receiver_refuse(&peer->receiver, reason, &error);
    if (status != CERTPOST_OK)
        net_conn_abort(peer->conn, status, certpost_status_sentence(status));
    else
        plain_peer_run(peer);
}

static void plain_peer_on_data(struct net_conn *conn, void *owner, const unsigned char *bytes,
                               size_t length)
{
    struct plain_peer *peer = owner;
    plain_receiver_feed(&peer->receiver, bytes, length);
    plain_peer_run(peer);
    if (plain_receiver_keep(&peer->receiver) != CERTPOST_OK)
        net_conn_abort(conn, CERTPOST_NO_MEMORY, "out of memory");
    else if (!plain_peer_count_unfinished(peer))
        plain_peer_refuse(peer, "the server holds too many unfinished messages; try again later");
}

static void plain_peer_on_end(struct net_conn *conn, void *owner, enum certpost_status status)
{
    struct plain_peer *peer = owner;
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status moved = CERTPOST_OK;
    if (status == CERTPOST_INTERRUPTED)
        moved = plain_receiver_drain(&peer->receiver, &error);
    else
        moved = plain_receiver_input_ended(&peer->receiver, status == CERTPOST_CLOSED, &error);
    if (moved != CERTPOST_OK)
        net_conn_abort(conn, moved, certpost_status_sentence(moved));
    else
        plain_peer_run(peer);
}

static void plain_peer_on_writable(struct net_conn *conn, void *owner)
{
    (void)conn;
    plain_peer_run(owner);
}

static bool plain_peer_is_busy(const void *owner)
{
    const struct plain_peer *peer = owner;
    return peer->entries_at_writer > 0;
}

static void plain_peer_log_tls(struct log_line *line, SSL *ssl)
{
    int group = (int)SSL_get_negotiated_group(ssl);
    log_text(line, "tls", SSL_get_version(ssl));
    log_text(line, "cipher", SSL_get_cipher_name(ssl));
    log_text(line, "group", group == NID_undef ? NULL : SSL_group_to_name(ssl, group));
}

/* A client that was refused something may close as cleanly as it likes: it is no normal end. */
static bool plain_peer_may_log(const struct plain_peer *peer, enum certpost_status status,
                               const char *reason, uint64_t *ret_suppressed)
{
    bool is_refused = plain_receiver_refusal(&peer->receiver) != NULL;
    bool is_normal = status == CERTPOST_CLOSED || status == CERTPOST_INTERRUPTED;
    struct log_limit_event event = {
        .level = LOG_LEVEL_INFO,
        .reason = is_refused ? "refused" : reason,
        .is_fault = is_refused || !is_normal,
        .peer = (const struct sockaddr *)&peer->address,
    };
    return log_limit_allows(peer->worker->log_limit, &event, clock_monotonic_ms(), ret_suppressed);
}

static void plain_peer_log_end(struct plain_peer *peer, struct net_conn *conn,
                               const struct net_conn_result *result)
{
    struct log_line line;
    char reason[64];
    uint64_t suppressed = 0;
    snprintf(reason, sizeof reason, "%s%s%s", certpost_status_name(result->status),
             result->deadline != NULL ? ": " : "",
             result->deadline != NULL ? result->deadline : "");
    if (!plain_peer_may_log(peer, result->status, reason, &suppressed))
        return;
    log_begin(&line, LOG_LEVEL_INFO, "connection ended");
    log_text(&line, "peer", net_conn_peer(conn));
    log_text(&line, "reason", reason);
    if (result->error->text[0] != '\0')
        log_text(&line, "detail", result->error->text);
    log_text(&line, "refused", plain_receiver_refusal(&peer->receiver));
    peer_log_identity(&line, net_conn_ssl(conn), result->handshake_done);
    if (result->handshake_done) {
        plain_peer_log_tls(&line, net_conn_ssl(conn));
        log_u64(&line, "messages", peer->message_count);
        log_u64(&line, "bytes", peer->message_bytes);
        size_t unfinished = plain_decoder_unfinished_bytes(&peer->receiver.decoder);
        if (unfinished > 0)
            log_u64(&line, "discarded_bytes", unfinished);
    }
    log_u64(&line, "duration_ms", uv_now(&peer->worker->loop) - peer->opened_ms);
    if (suppressed > 0)
        log_u64(&line, "suppressed", suppressed);
    log_end(&line);
}

static void plain_peer_on_closed(struct net_conn *conn, void *owner,
                                 const struct net_conn_result *result)
{
    struct plain_peer *peer = owner;
    plain_peer_log_end(peer, conn, result);
    handshakes_leave(&peer->worker->handshakes, &peer->handshake);
    plain_peer_set_waiting(peer, false);
    peer->conn = NULL;
    plain_peer_free_if_done(peer);
}

static const struct net_conn_handler plain_peer_handler = {
    .on_proxied = plain_peer_on_proxied,
    .on_open = plain_peer_on_open,
    .on_data = plain_peer_on_data,
    .on_end = plain_peer_on_end,
    .is_busy = plain_peer_is_busy,
    .on_writable = plain_peer_on_writable,
    .on_closed = plain_peer_on_closed,
};

/* ------------------------------------------------------------------------------ worker */

enum certpost_status plain_peer_serve(struct worker *worker, const struct net_conn_origin *origin,
                                      struct certpost_error *error)
{
    const struct server_config *config = worker->state->config;
    struct plain_receiver_config session = {
        .framing = config->framing,
        .max_message_bytes = config->limits.max_message_bytes,
        .reply = config->reply,
    };
    struct plain_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        close(origin->descriptor);
        return error_no_memory(error);
    }
    peer->worker = worker;
    peer->opened_ms = uv_now(&worker->loop);
    enum certpost_status status = plain_receiver_init(&peer->receiver, &session, error);
    if (status == CERTPOST_OK)
        status = net_conn_serve(&worker->loop, origin, &worker->scratch, worker->state->context,
                                &config->times, &plain_peer_handler, peer, &peer->conn, error);
    else
        close(origin->descriptor);
    if (status != CERTPOST_OK) {
        plain_receiver_free(&peer->receiver);
        free(peer);
        return status;
    }
    if (!origin->expect_proxy)
        plain_peer_note_address(peer, origin->peer);
    peer->state = worker_state_hold(worker->state);
    worker_add_peer(worker, peer);
    handshakes_join(&worker->handshakes, &peer->handshake, peer);
    return CERTPOST_OK;
}

static enum certpost_status plain_peer_settle(struct plain_peer *peer,
                                              const struct writer_batch *batch,
                                              const struct writer_entry *entry,
                                              struct certpost_error *error)
{
    struct committed committed;
    if (peer->store_failed)
        return CERTPOST_OK; /* nothing after a message that failed is answered */
    if (writer_committed(batch, entry, &committed))
        return plain_receiver_committed(&peer->receiver, &committed, error);
    if (batch->status == CERTPOST_OK)
        return CERTPOST_OK;
    peer->store_failed = true;
    return plain_receiver_store_failed(&peer->receiver, "the server cannot take messages now",
                                       error);
}

void plain_peer_complete(struct plain_peer *peer, const struct writer_batch *batch,
                         const struct writer_entry *entry)
{
    peer->entries_at_writer--;
    peer->uncommitted_bytes -= writer_entry_cost_bytes(entry->length);
    limits_remove_pending(peer->worker->limits, writer_entry_cost_bytes(entry->length));
    if (peer->conn == NULL) {
        plain_peer_free_if_done(peer);
        return;
    }
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = plain_peer_settle(peer, batch, entry, &error);
    if (status != CERTPOST_OK) {
        net_conn_abort(peer->conn, status, certpost_status_sentence(status));
        return;
    }
    plain_peer_run(peer);
}

void plain_peer_drain(struct plain_peer *peer)
{
    if (peer->conn != NULL)
        net_conn_drain(peer->conn);
}

void plain_peer_cut(struct plain_peer *peer)
{
    if (peer->conn != NULL)
        net_conn_abort(peer->conn, CERTPOST_INTERRUPTED, "the time for draining is over");
}
