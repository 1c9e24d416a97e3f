/*
 * worker_accept.c — which connections a worker takes, and when (server/worker.h).
 *
 * Uses: net/acceptor, limits, peer, log.  Used by: worker.c.
 * Never: refuses for what others do: at the limit of connections, and above the rate of handshakes,
 * new ones wait in the kernel's queue; only the address that uses up its own places is refused.
 *
 * The rate and the number of handshakes are split evenly over the workers, as the kernel splits the
 * connections.
 */
#include "base/clock.h"
#include "base/error.h"
#include "net/address.h"
#include "server/peer.h"
#include "server/worker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long new connections wait before the rate is looked at again. */
enum { ADMISSION_WAIT_MS = 20, ADMISSION_HANDSHAKE = 1000 };

static void worker_note_refusal(struct worker *worker, const struct sockaddr *peer,
                                const char *message, const char *detail)
{
    char address[TEXT_ENDPOINT_BYTES];
    if (peer == NULL)
        return;
    net_address_format(peer, address);
    const struct refusal_event event = {
        .address = address,
        .reason = message,
        .detail = detail != NULL && strcmp(detail, address) != 0 ? detail : NULL,
    };
    refusals_note(worker->refusals, &event, clock_wall_ms());
}

/* Peers cause these lines, and as many as they like. `value` tells more, under `key`. */
static void worker_warn(struct worker *worker, const struct sockaddr *peer, const char *message,
                        const char *key, const char *value)
{
    worker_note_refusal(worker, peer, message, value);
    const struct log_limit_event event = {
        .level = LOG_LEVEL_WARNING,
        .is_fault = true,
        .peer = peer,
    };
    log_limit_message(worker->log_limit, &event, message, key, value);
}

static void worker_count_limit(const struct worker *worker, enum metrics_limit limit)
{
    metrics_add(worker->metrics, METRICS_LIMITS + limit, 1);
}

/* ------------------------------------------------------------------------------ admission */

/* A worker's share of a limit, rounded up. */
static size_t worker_share(const struct worker *worker, size_t limit)
{
    return (limit + worker->worker_count - 1) / worker->worker_count;
}

/* Refills at the rate; what is saved up is one second's worth. */
static void worker_refill_admission(struct worker *worker)
{
    int64_t rate = (int64_t)worker_share(worker, worker->state->config->limits.max_handshake_rate);
    uint64_t now_ms = uv_now(&worker->loop);
    uint64_t passed_ms = now_ms - worker->admission_counted_ms;
    int64_t most = rate * ADMISSION_HANDSHAKE;
    worker->admission_counted_ms = now_ms;
    worker->admission_tokens += passed_ms >= 1000 ? most : rate * (int64_t)passed_ms;
    if (worker->admission_tokens > most)
        worker->admission_tokens = most;
}

static void worker_on_admission_timer(uv_timer_t *timer)
{
    worker_resume_accepting(timer->data);
}

static bool worker_may_begin_handshake(struct worker *worker)
{
    worker_refill_admission(worker);
    if (worker->admission_tokens >= ADMISSION_HANDSHAKE)
        return true;
    worker_count_limit(worker, METRICS_LIMIT_HANDSHAKE_RATE);
    (void)uv_timer_start(&worker->admission_timer, worker_on_admission_timer, ADMISSION_WAIT_MS, 0);
    return false;
}

/* Takes a place, or asks to be woken; asked first and tried again, so that no wake-up is missed. */
static bool worker_take_place(struct worker *worker)
{
    if (limits_take_connection(worker->limits))
        return true;
    limits_wait(worker->limits, worker->index);
    return limits_take_connection(worker->limits);
}

static bool worker_reserve(void *owner)
{
    const struct worker_door *door = owner;
    struct worker *worker = door->worker;
    if (!worker_may_begin_handshake(worker))
        return false;
    bool taken = worker_take_place(worker);
    if (!taken && !worker->said_full) {
        worker_count_limit(worker, METRICS_LIMIT_CONNECTIONS);
        worker_warn(worker, NULL, "all places for connections are taken; new ones wait", NULL,
                    NULL);
    }
    worker->said_full = !taken;
    return taken;
}

static void worker_release(void *owner)
{
    const struct worker_door *door = owner;
    limits_return_connection(door->worker->limits);
}

/* The handshake that has been under way for longest gives way to a new one: an honest client needs
 * milliseconds, so a flood of idle ones pushes out its own. */
static void worker_make_room_for_handshake(struct worker *worker)
{
    size_t most = worker_share(worker, worker->state->config->limits.max_handshakes);
    while (worker->handshakes.count >= most && worker->handshakes.oldest != NULL)
        peer_evict(worker->handshakes.oldest->owner);
}

static void worker_on_accepted(void *owner, int descriptor, const struct sockaddr *peer)
{
    const struct worker_door *door = owner;
    struct worker *worker = door->worker;
    /* Once a reload is in the log, no connection is served under what was before it. */
    worker_adopt_state(worker);
    const struct state_listener *listener =
        state_find_listener(worker->state->shared, door->listener);
    struct net_conn_origin origin = {
        .descriptor = descriptor,
        .peer = peer,
        .expect_proxy = state_expects_proxy(listener, peer),
    };
    /* A balancer's own address has no bound: its header says whose places count. */
    if (!origin.expect_proxy && !limits_take_address(worker->limits, peer)) {
        char text[TEXT_ENDPOINT_BYTES];
        net_address_format(peer, text);
        close(descriptor);
        limits_return_connection(worker->limits);
        worker_count_limit(worker, METRICS_LIMIT_CONNECTIONS_PER_ADDRESS);
        worker_warn(worker, peer, "connection refused: its address has all its places", "peer",
                    text);
        return;
    }
    /* Only now: what is refused must not use up the rate that all addresses share. */
    worker->admission_tokens -= ADMISSION_HANDSHAKE;
    worker_make_room_for_handshake(worker);
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = peer_serve(worker, listener, &origin, &error);
    if (status == CERTPOST_OK)
        return;
    if (!origin.expect_proxy)
        limits_return_address(worker->limits, peer);
    limits_return_connection(worker->limits);
    worker_warn(worker, peer, "connection lost before it began", "reason",
                certpost_error_text(&error, status));
}

static void worker_on_exhausted(void *owner, int system_errno)
{
    const struct worker_door *door = owner;
    worker_warn(door->worker, NULL, "cannot accept connections now; trying again", "reason",
                strerror(system_errno));
}

static const struct net_acceptor_handler worker_acceptor_handler = {
    .reserve = worker_reserve,
    .release = worker_release,
    .on_accepted = worker_on_accepted,
    .on_exhausted = worker_on_exhausted,
};

/* ------------------------------------------------------------------------------ listening */

enum certpost_status worker_listen(struct worker *worker, struct net_listeners *listeners,
                                   struct certpost_error *error)
{
    worker->doors = calloc(listeners->count, sizeof *worker->doors);
    if (worker->doors == NULL)
        return error_no_memory(error);
    for (size_t i = 0; i < listeners->count; i++) {
        int descriptor = net_listener_take_socket(&listeners->list[i], worker->index);
        struct worker_door *door = &worker->doors[i];
        door->worker = worker;
        door->listener = listeners->list[i].name;
        enum certpost_status status = net_acceptor_start(&door->acceptor, &worker->loop, descriptor,
                                                         &worker_acceptor_handler, door, error);
        if (status != CERTPOST_OK)
            return status;
        if (listeners->list[i].is_shared)
            net_acceptor_share(&door->acceptor);
        worker->door_count++;
    }
    return CERTPOST_OK;
}

void worker_stop_listening(struct worker *worker)
{
    for (size_t i = 0; i < worker->door_count; i++)
        net_acceptor_close(&worker->doors[i].acceptor);
}

void worker_resume_accepting(struct worker *worker)
{
    for (size_t i = 0; i < worker->door_count; i++)
        net_acceptor_resume(&worker->doors[i].acceptor);
}
