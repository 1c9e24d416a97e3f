/*
 * worker_roster.c — what a worker tells of its connections (server/roster.h).
 *
 * Uses: roster, peer, net/conn, tls.  Used by: worker.c.
 * Never: looks at more than ROSTER_LOOK_MAX connections, so that a loop with very many goes on
 * after a moment; changes a peer.
 */
#include "server/peer.h"
#include "server/roster.h"
#include "server/worker.h"

#include <stdio.h>
#include <stdlib.h>

struct worker_roster_candidate {
    const struct peer *peer;
    uint64_t unacked_count;
};

static struct peer_facts worker_roster_facts(const struct peer *peer)
{
    struct peer_facts facts = {.exchange = NULL};
    if (peer->session != NULL)
        peer->exchange->describe(peer, &facts);
    return facts;
}

/* Why nothing is read from the client, in words for the page. */
static const char *worker_roster_waits(const struct peer *peer)
{
    if (peer->paused_since_ms == 0)
        return NULL;
    switch (peer->limit_met) {
    case METRICS_LIMIT_PENDING:
        return "max-pending";
    case METRICS_LIMIT_PENDING_TOTAL:
        return "max-pending-total";
    default:
        return "its client takes no answers";
    }
}

static void worker_roster_fill(const struct peer *peer, struct roster_row *row)
{
    const SSL *ssl = net_conn_ssl(peer->conn);
    const struct peer_facts facts = worker_roster_facts(peer);
    *row = (struct roster_row){
        .state = net_conn_state_name(peer->conn),
        .exchange = facts.exchange,
        .waits = worker_roster_waits(peer),
        .age_ms = uv_now(&peer->worker->loop) - peer->opened_ms,
        .message_count = peer->message_count,
        .message_bytes = peer->message_bytes,
        .unacked_count = facts.unacked_count,
        .unacked_bytes = peer->pending_bytes,
    };
    snprintf(row->address, sizeof row->address, "%.*s", (int)sizeof row->address - 1,
             net_conn_peer(peer->conn));
    roster_name_set(&row->stream, facts.stream.bytes, facts.stream.length);
    if (peer->exchange == NULL)
        return;
    const struct message_span identity = peer_identity(peer);
    roster_name_set(&row->identity, identity.bytes, identity.length);
    row->tls = SSL_get_version(ssl);
    row->is_resumed = SSL_session_reused(ssl) == 1;
}

/* Those behind come first; of equals the one that qsort likes. */
static int worker_roster_compare(const void *a, const void *b)
{
    const struct worker_roster_candidate *left = a;
    const struct worker_roster_candidate *right = b;
    if (left->unacked_count != right->unacked_count)
        return left->unacked_count > right->unacked_count ? -1 : 1;
    if (left->peer->opened_ms != right->peer->opened_ms)
        return left->peer->opened_ms > right->peer->opened_ms ? -1 : 1;
    return 0;
}

/* The newest, because new peers are at the list's front. */
static size_t worker_roster_gather(const struct worker *worker,
                                   struct worker_roster_candidate *candidates, size_t capacity)
{
    size_t count = 0;
    for (const struct peer *peer = worker->peers; peer != NULL && count < capacity;
         peer = peer->next) {
        if (peer->conn == NULL)
            continue;
        candidates[count].peer = peer;
        candidates[count].unacked_count = worker_roster_facts(peer).unacked_count;
        count++;
    }
    return count;
}

static void worker_roster_write(const struct worker *worker, struct roster_sheet *sheet)
{
    size_t capacity = worker->peer_count < ROSTER_LOOK_MAX ? worker->peer_count : ROSTER_LOOK_MAX;
    struct worker_roster_candidate *candidates = calloc(capacity, sizeof *candidates);
    sheet->connection_count = worker->peer_count;
    sheet->row_count = 0;
    if (candidates == NULL)
        return;
    size_t count = worker_roster_gather(worker, candidates, capacity);
    if (count > ROSTER_ROWS_MAX)
        qsort(candidates, count, sizeof *candidates, worker_roster_compare);
    for (size_t i = 0; i < count && i < ROSTER_ROWS_MAX; i++)
        worker_roster_fill(candidates[i].peer, &sheet->rows[sheet->row_count++]);
    free(candidates);
}

void worker_answer_roster(struct worker *worker)
{
    struct roster_sheet *sheet = roster_wanted_sheet(worker->roster, worker->index);
    if (sheet == NULL)
        return;
    worker_roster_write(worker, sheet);
    roster_hand_in(worker->roster, worker->index);
}
