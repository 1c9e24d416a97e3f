/*
 * metrics_peer.c — what is counted of one connection (server/metrics_peer.h).
 *
 * Uses: metrics, tls/failure.  Used by: peer.c.
 * Never: makes a label of anything that a peer sent.
 */
#include "server/metrics_peer.h"

#include <openssl/ssl.h>
#include <string.h>

void metrics_count_begin(const struct peer *peer)
{
    struct metrics_block *block = peer->worker->metrics;
    metrics_add(block, METRICS_CONNECTIONS_OPENED, 1);
    metrics_add(block, METRICS_CONNECTIONS_OPEN, 1);
    metrics_add(block, METRICS_HANDSHAKES_UNDER_WAY, 1);
}

void metrics_count_open(const struct peer *peer)
{
    struct metrics_block *block = peer->worker->metrics;
    SSL *ssl = net_conn_ssl(peer->conn);
    size_t kind = SSL_version(ssl) == TLS1_3_VERSION ? METRICS_TLS_1_3 : METRICS_TLS_1_2;
    kind += SSL_session_reused(ssl) != 0;
    metrics_subtract(block, METRICS_HANDSHAKES_UNDER_WAY, 1);
    metrics_add(block, METRICS_HANDSHAKES + kind, 1);
}

/* ------------------------------------------------------------------------------ work */

void metrics_count_work(struct peer *peer)
{
    struct metrics_block *block = peer->worker->metrics;
    struct peer_work *before = &peer->counted;
    struct peer_work now = {.messages = peer->message_count, .bytes = peer->message_bytes};
    if (block == NULL || peer->session == NULL)
        return;
    size_t exchange = peer->exchange->kind;
    peer->exchange->tell_work(peer, &now);
    if (now.messages != before->messages) {
        metrics_add(block, METRICS_MESSAGES + exchange, now.messages - before->messages);
        metrics_add(block, METRICS_MESSAGE_BYTES + exchange, now.bytes - before->bytes);
    }
    if (now.acknowledgements != before->acknowledgements) {
        metrics_add(block, METRICS_ACKNOWLEDGEMENTS + exchange,
                    now.acknowledgements - before->acknowledgements);
        metrics_add(block, METRICS_ACKNOWLEDGED + exchange,
                    now.acknowledged - before->acknowledged);
    }
    *before = now;
}

/* ------------------------------------------------------------------------------ waiting */

void metrics_count_pause(struct peer *peer)
{
    struct metrics_block *block = peer->worker->metrics;
    if (peer->paused_since_ms != 0)
        return;
    peer->paused_since_ms = uv_now(&peer->worker->loop);
    metrics_add(block, METRICS_PAUSES, 1);
    metrics_add(block, METRICS_CONNECTIONS_PAUSED, 1);
    metrics_add(block, METRICS_LIMITS + peer->limit_met, 1);
}

void metrics_count_resume(struct peer *peer)
{
    struct metrics_block *block = peer->worker->metrics;
    if (peer->paused_since_ms == 0)
        return;
    metrics_add(block, METRICS_PAUSED_MS, uv_now(&peer->worker->loop) - peer->paused_since_ms);
    metrics_subtract(block, METRICS_CONNECTIONS_PAUSED, 1);
    peer->paused_since_ms = 0;
}

/* ------------------------------------------------------------------------------ end */

static enum metrics_end metrics_end_of_deadline(const char *deadline)
{
    static const char *const names[] = {"handshake", "first byte", "idle", "write", "close"};
    for (size_t i = 0; deadline != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(deadline, names[i]) == 0)
            return (enum metrics_end)(METRICS_END_TIMEOUT_HANDSHAKE + i);
    }
    return METRICS_END_OTHER;
}

static enum metrics_end metrics_end_of(const struct net_conn_result *result)
{
    switch (result->status) {
    case CERTPOST_CLOSED:
        return METRICS_END_CLOSED;
    case CERTPOST_TRUNCATED:
        return METRICS_END_TRUNCATED;
    case CERTPOST_RESET:
        return METRICS_END_RESET;
    case CERTPOST_TIMEOUT:
        return metrics_end_of_deadline(result->deadline);
    case CERTPOST_HANDSHAKE:
    case CERTPOST_PEER_CERTIFICATE:
    case CERTPOST_CERTIFICATE_REFUSED:
        return METRICS_END_HANDSHAKE;
    case CERTPOST_PROTOCOL:
        return METRICS_END_PROTOCOL;
    case CERTPOST_LIMIT:
        return METRICS_END_LIMIT;
    case CERTPOST_INTERRUPTED:
        return METRICS_END_DRAIN;
    default:
        return METRICS_END_OTHER;
    }
}

/* What TLS found says more than that the handshake failed, but less than what ended it earlier. */
static size_t metrics_failure_slot(const SSL *ssl, enum certpost_status status)
{
    enum tls_failure failure = tls_failure_of(ssl);
    switch (status) {
    case CERTPOST_TRUNCATED:
        return METRICS_HANDSHAKES_BROKEN + METRICS_BROKEN_TRUNCATED;
    case CERTPOST_RESET:
        return METRICS_HANDSHAKES_BROKEN + METRICS_BROKEN_RESET;
    case CERTPOST_TIMEOUT:
        return METRICS_HANDSHAKES_BROKEN + METRICS_BROKEN_TIMEOUT;
    case CERTPOST_LIMIT:
        return METRICS_HANDSHAKES_BROKEN + METRICS_BROKEN_LIMIT;
    case CERTPOST_INTERRUPTED:
        return METRICS_HANDSHAKES_BROKEN + METRICS_BROKEN_DRAIN;
    default:
        return failure == TLS_FAILURE_NONE ? METRICS_HANDSHAKES_BROKEN + METRICS_BROKEN_OTHER
                                           : METRICS_HANDSHAKES_FAILED + failure - 1;
    }
}

void metrics_count_end(struct peer *peer, const struct net_conn_result *result)
{
    struct metrics_block *block = peer->worker->metrics;
    metrics_subtract(block, METRICS_CONNECTIONS_OPEN, 1);
    metrics_add(block, METRICS_CONNECTIONS_CLOSED + metrics_end_of(result), 1);
    if (peer->exchange == NULL) {
        metrics_subtract(block, METRICS_HANDSHAKES_UNDER_WAY, 1);
        metrics_add(block, metrics_failure_slot(net_conn_ssl(peer->conn), result->status), 1);
        return;
    }
    metrics_count_resume(peer);
    metrics_count_work(peer);
    uint16_t code = peer->session == NULL ? 0 : peer->exchange->refusal_code(peer);
    if (code != 0)
        metrics_add(block, METRICS_REFUSALS + metrics_code_index(code), 1);
}
