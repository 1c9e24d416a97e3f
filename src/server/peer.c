/*
 * peer.c — a client of the server (server/peer.h).
 *
 * Uses: net/conn, limits, worker, writer.  Used by: worker.c, worker_accept.c, and the exchanges
 * plain_peer.c and certpost_peer.c.
 * Never: decides what a message is or when it is answered; that is the session's.
 */
#include "server/peer.h"

#include "base/error.h"
#include "server/certpost_peer.h"
#include "server/metrics_peer.h"
#include "server/peer_log.h"
#include "server/plain_peer.h"
#include "tls/context.h"
#include "tls/peer.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void peer_link(struct peer **list, struct peer *peer)
{
    peer->next = *list;
    peer->previous = list;
    if (*list != NULL)
        (*list)->previous = &peer->next;
    *list = peer;
}

void peer_unlink(struct peer *peer)
{
    *peer->previous = peer->next;
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
}

int64_t peer_now_ms(const struct peer *peer)
{
    return (int64_t)uv_now(&peer->worker->loop);
}

struct message_span peer_identity(const struct peer *peer)
{
    const struct tls_identity *identity = tls_peer_identity(net_conn_ssl(peer->conn));
    return (struct message_span){identity->bytes, identity->length};
}

/* ------------------------------------------------------------------------------ end */

/*
 * Not when the connection has closed: what a peer left with the writer costs memory, and clients
 * who come, send and go while the writer stands still would pile it up without a bound.
 */
static void peer_return_places(struct peer *peer)
{
    struct limits *limits = peer->worker->limits;
    if (peer->has_place_of_address)
        limits_return_address(limits, (const struct sockaddr *)&peer->address);
    limits_return_connection(limits);
}

static void peer_free_if_done(struct peer *peer)
{
    if (peer->conn != NULL || peer->entries_at_writer > 0 || peer->has_stream ||
        peer->signing_job != NULL)
        return;
    limits_return_unfinished(peer->worker->limits, peer->unfinished_bytes);
    peer_return_places(peer);
    worker_remove_peer(peer->worker, peer);
    worker_state_release(peer->state);
    free(peer->stream.key);
    free(peer);
}

void peer_released(struct peer *peer)
{
    peer->has_stream = false;
    peer_free_if_done(peer);
}

/* ------------------------------------------------------------------------------ writer */

enum certpost_status peer_submit(struct peer *peer, struct writer_entry *entry)
{
    entry->stream = &peer->stream;
    enum certpost_status status = worker_submit(peer->worker, entry);
    if (status != CERTPOST_OK)
        return status;
    size_t cost_bytes = writer_entry_cost_bytes(entry);
    peer->entries_at_writer++;
    peer->pending_bytes += cost_bytes;
    limits_add_pending(peer->worker->limits, cost_bytes);
    return CERTPOST_OK;
}

enum certpost_status peer_name_stream(struct peer *peer, struct message_span name)
{
    struct message_span identity = peer_identity(peer);
    if (!peer->worker->has_judge)
        return CERTPOST_OK;
    struct writer_key *key = malloc(sizeof *key + identity.length + name.length);
    if (key == NULL)
        return CERTPOST_NO_MEMORY;
    key->identity_length = identity.length;
    key->name_length = name.length;
    if (identity.length > 0)
        memcpy(key->bytes, identity.bytes, identity.length);
    memcpy(key->bytes + identity.length, name.bytes, name.length);
    peer->stream.key = key;
    return CERTPOST_OK;
}

enum certpost_status peer_open_stream(struct peer *peer, struct message_span name)
{
    unsigned char key[TLS_IDENTITY_MAX_BYTES + MESSAGE_STR8_MAX_BYTES];
    struct message_span identity = peer_identity(peer);
    if (identity.length + name.length > sizeof key)
        return CERTPOST_NO_MEMORY;
    if (identity.length > 0)
        memcpy(key, identity.bytes, identity.length);
    memcpy(key + identity.length, name.bytes, name.length);
    struct writer_entry entry = {
        .kind = WRITER_OPEN,
        .bytes = key,
        .length = identity.length + name.length,
        .identity_length = identity.length,
    };
    enum certpost_status status = peer_name_stream(peer, name);
    if (status == CERTPOST_OK)
        status = peer_submit(peer, &entry);
    peer->has_stream = status == CERTPOST_OK;
    return status;
}

void peer_settle(struct peer *peer, const struct writer_outcome *outcome)
{
    peer->entries_at_writer -= outcome->entry_count;
    peer->pending_bytes -= outcome->cost_bytes;
    limits_remove_pending(peer->worker->limits, outcome->cost_bytes);
    if (peer->conn == NULL) {
        peer_free_if_done(peer);
        return;
    }
    if (peer->session == NULL)
        return;
    peer->exchange->settle(peer, outcome);
    worker_stir(peer->worker, peer);
}

void peer_answer(struct peer *peer, const struct writer_answer *answer)
{
    if (peer->conn != NULL && peer->session != NULL)
        peer->exchange->answer(peer, answer);
}

/* ------------------------------------------------------------------------------ receipts */

enum certpost_status peer_sign(struct peer *peer, const struct receipt_signer *signer,
                               const struct statement *statement)
{
    struct signing_job *job = signing_job_new();
    if (job == NULL)
        return CERTPOST_NO_MEMORY;
    job->signer = signer;
    job->statement = *statement;
    job->owner = peer;
    peer->signing_job = job;
    worker_sign(peer->worker, job);
    return CERTPOST_OK;
}

void peer_signed(struct peer *peer)
{
    struct signing_job *job = peer->signing_job;
    peer->signing_job = NULL;
    if (peer->conn == NULL) {
        peer_free_if_done(peer);
    } else if (peer->session != NULL) {
        peer->exchange->settle_receipt(peer, job);
        worker_stir(peer->worker, peer);
    }
    signing_job_free(job);
}

/* ------------------------------------------------------------------------------ waiting */

static void peer_set_waiting(struct peer *peer, bool waiting)
{
    if (waiting && !peer->waits_for_total)
        peer->worker->waiting_peer_count++;
    else if (!waiting && peer->waits_for_total)
        peer->worker->waiting_peer_count--;
    peer->waits_for_total = waiting;
}

/* Asked first and looked at again, so that no wake-up is missed. */
static bool peer_waits_for_total(struct peer *peer)
{
    struct limits *limits = peer->worker->limits;
    bool full = limits_pending_is_full(limits);
    if (full) {
        limits_wait(limits, peer->worker->index);
        full = limits_pending_is_full(limits);
    }
    peer_set_waiting(peer, full);
    return full;
}

/*
 * Replies that are only gathered wake nobody up when they leave: they are sent before the answer,
 * so that "full" always means output that waits for the peer, and ends with on_writable.
 */
bool peer_must_wait(struct peer *peer)
{
    if (net_conn_output_is_full(peer->conn))
        net_conn_flush(peer->conn);
    bool must = true;
    if (net_conn_output_is_full(peer->conn))
        peer->limit_met = METRICS_LIMIT_OUTPUT;
    else if (peer->pending_bytes >= peer->state->config->limits.max_pending_bytes)
        peer->limit_met = METRICS_LIMIT_PENDING;
    else if (peer_waits_for_total(peer))
        peer->limit_met = METRICS_LIMIT_PENDING_TOTAL;
    else
        must = false;
    return must;
}

void peer_pause(struct peer *peer)
{
    metrics_count_pause(peer);
    net_conn_pause(peer->conn);
}

void peer_read_on(struct peer *peer)
{
    metrics_count_resume(peer);
    net_conn_resume(peer->conn);
}

void peer_go_on(struct peer *peer)
{
    if (peer->conn == NULL || peer->session == NULL)
        return;
    peer->exchange->go_on(peer);
    metrics_count_work(peer);
}

void peer_resume(struct peer *peer)
{
    if (peer->waits_for_total)
        peer_go_on(peer);
}

/* What every connection may hold of an unfinished message without being counted. */
enum { PEER_UNFINISHED_FREE_BYTES = 4096 };

void peer_count_unfinished(struct peer *peer)
{
    struct limits *limits = peer->worker->limits;
    size_t held = peer->exchange->unfinished_bytes(peer);
    size_t counted = held > PEER_UNFINISHED_FREE_BYTES ? held - PEER_UNFINISHED_FREE_BYTES : 0;
    if (counted > peer->unfinished_bytes &&
        !limits_take_unfinished(limits, counted - peer->unfinished_bytes)) {
        metrics_add(peer->worker->metrics, METRICS_LIMITS + METRICS_LIMIT_UNFINISHED, 1);
        peer->exchange->refuse_unfinished(peer);
        return;
    }
    if (counted < peer->unfinished_bytes)
        limits_return_unfinished(limits, peer->unfinished_bytes - counted);
    peer->unfinished_bytes = counted;
}

/* ------------------------------------------------------------------------------ connection */

/* The address whose place this connection has taken. */
static void peer_note_address(struct peer *peer, const struct sockaddr *address)
{
    memcpy(&peer->address, address,
           address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in));
    peer->has_place_of_address = true;
}

static void peer_on_proxied(struct net_conn *conn, void *owner, const struct sockaddr *source)
{
    struct peer *peer = owner;
    if (source == NULL)
        return;
    if (limits_take_address(peer->worker->limits, source)) {
        peer_note_address(peer, source);
        return;
    }
    metrics_add(peer->worker->metrics, METRICS_LIMITS + METRICS_LIMIT_CONNECTIONS_PER_ADDRESS, 1);
    net_conn_abort(conn, CERTPOST_LIMIT, "its address has all its places");
}

static const struct peer_exchange *peer_choose_exchange(const SSL *ssl)
{
    const unsigned char *name = NULL;
    unsigned int length = 0;
    SSL_get0_alpn_selected(ssl, &name, &length);
    bool is_certpost_1 =
        length == strlen(TLS_ALPN_CERTPOST_1) && memcmp(name, TLS_ALPN_CERTPOST_1, length) == 0;
    return is_certpost_1 ? &certpost_peer_exchange : &plain_peer_exchange;
}

static enum certpost_status peer_print_connected(struct peer *peer)
{
    const char *address = net_conn_peer(peer->conn);
    struct writer_entry entry = {
        .kind = WRITER_CONNECTED,
        .bytes = (const unsigned char *)address,
        .length = strlen(address),
    };
    return peer->worker->prints ? peer_submit(peer, &entry) : CERTPOST_OK;
}

static void peer_on_open(struct net_conn *conn, void *owner)
{
    struct peer *peer = owner;
    struct certpost_error error;
    certpost_error_clear(&error);
    handshakes_leave(&peer->worker->handshakes, &peer->handshake);
    peer->exchange = peer_choose_exchange(net_conn_ssl(conn));
    metrics_count_open(peer);
    enum certpost_status status = peer->exchange->begin(peer, &error);
    if (status == CERTPOST_OK)
        status = peer_print_connected(peer);
    if (status != CERTPOST_OK)
        net_conn_abort(conn, status, certpost_status_sentence(status));
}

static void peer_on_data(struct net_conn *conn, void *owner, const unsigned char *bytes,
                         size_t length)
{
    (void)conn;
    struct peer *peer = owner;
    peer->exchange->take(peer, bytes, length);
    metrics_count_work(peer);
}

static void peer_on_end(struct net_conn *conn, void *owner, enum certpost_status status)
{
    (void)conn;
    struct peer *peer = owner;
    peer->exchange->end_input(peer, status);
    metrics_count_work(peer);
}

static void peer_on_time(struct net_conn *conn, void *owner)
{
    (void)conn;
    struct peer *peer = owner;
    peer->exchange->pass_time(peer);
}

static void peer_on_writable(struct net_conn *conn, void *owner)
{
    (void)conn;
    peer_go_on(owner);
}

static bool peer_is_busy(const void *owner)
{
    const struct peer *peer = owner;
    return peer->entries_at_writer > 0 || peer->signing_job != NULL;
}

static void peer_on_closed(struct net_conn *conn, void *owner, const struct net_conn_result *result)
{
    struct peer *peer = owner;
    metrics_count_end(peer, result);
    peer_log_end(peer, conn, result); /* whoever has read the line finds it counted */
    handshakes_leave(&peer->worker->handshakes, &peer->handshake);
    peer_set_waiting(peer, false);
    if (peer->session != NULL)
        peer->exchange->end(peer);
    peer->session = NULL;
    peer->conn = NULL;
    if (peer->signing_job != NULL)
        signing_job_abandon(peer->signing_job);
    if (peer->has_stream)
        worker_release_stream(peer->worker, &peer->stream);
    peer_free_if_done(peer);
}

static const struct net_conn_handler peer_handler = {
    .on_proxied = peer_on_proxied,
    .on_open = peer_on_open,
    .on_data = peer_on_data,
    .on_end = peer_on_end,
    .is_busy = peer_is_busy,
    .on_time = peer_on_time,
    .on_writable = peer_on_writable,
    .on_closed = peer_on_closed,
};

/* ------------------------------------------------------------------------------ worker */

enum certpost_status peer_serve(struct worker *worker, const struct state_listener *listener,
                                const struct net_conn_origin *origin, struct certpost_error *error)
{
    const struct server_config *config = worker->state->config;
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        close(origin->descriptor);
        return error_no_memory(error);
    }
    peer->worker = worker;
    peer->stream.port = &worker->port;
    peer->stream.owner = peer;
    peer->opened_ms = uv_now(&worker->loop);
    enum certpost_status status =
        net_conn_serve(&worker->loop, origin, &worker->scratch, worker->state->context,
                       &config->times, &peer_handler, peer, &peer->conn, error);
    if (status != CERTPOST_OK) {
        free(peer);
        return status;
    }
    if (!origin->expect_proxy)
        peer_note_address(peer, origin->peer);
    peer->state = worker_state_hold(worker->state);
    peer->listener = listener;
    worker_add_peer(worker, peer);
    metrics_count_begin(peer);
    handshakes_join(&worker->handshakes, &peer->handshake, peer);
    return CERTPOST_OK;
}

void peer_evict(struct peer *peer)
{
    handshakes_leave(&peer->worker->handshakes, &peer->handshake);
    metrics_add(peer->worker->metrics, METRICS_LIMITS + METRICS_LIMIT_HANDSHAKES, 1);
    net_conn_abort(peer->conn, CERTPOST_LIMIT,
                   "too many handshakes at once; the oldest gave way to a new one");
}

void peer_drain(struct peer *peer)
{
    if (peer->conn != NULL)
        net_conn_drain(peer->conn);
}

void peer_cut(struct peer *peer)
{
    if (peer->conn != NULL)
        net_conn_abort(peer->conn, CERTPOST_INTERRUPTED, "the time for draining is over");
}
