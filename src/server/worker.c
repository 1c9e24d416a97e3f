/*
 * worker.c — one thread that serves connections (server/worker.h).
 *
 * Uses: net, tls, peer, writer, libuv.  Used by: server.c.
 * Never: waits for the writer or for a peer; both call back through the loop.
 */
#include "server/worker.h"

#include "base/error.h"
#include "base/log.h"
#include "net/loop.h"
#include "server/peer.h"

#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------ batches */

/*
 * While so many batches are at the writer, what comes gathers in the open one until that is full: a
 * medium that stands still is then paid for in full batches, and not in one for each wake-up.
 */
enum { WORKER_BATCHES_AHEAD = 2 };

/* On the writer's thread. */
static void worker_take_delivery(struct writer_port *port, struct writer_delivery *delivery)
{
    struct worker *worker = (struct worker *)(void *)((char *)port - offsetof(struct worker, port));
    (void)pthread_mutex_lock(&worker->delivered_mutex);
    if (worker->delivered_last != NULL)
        worker->delivered_last->next = delivery;
    else
        worker->delivered_first = delivery;
    worker->delivered_last = delivery;
    (void)pthread_mutex_unlock(&worker->delivered_mutex);
    (void)uv_async_send(&worker->wake);
}

/* On the signing thread. */
static void worker_take_signed(struct signing_job *job)
{
    const struct peer *peer = job->owner;
    struct worker *worker = peer->worker;
    job->next = NULL;
    (void)pthread_mutex_lock(&worker->delivered_mutex);
    if (worker->signed_last != NULL)
        worker->signed_last->next = job;
    else
        worker->signed_first = job;
    worker->signed_last = job;
    (void)pthread_mutex_unlock(&worker->delivered_mutex);
    (void)uv_async_send(&worker->wake);
}

void worker_sign(struct worker *worker, struct signing_job *job)
{
    job->deliver = worker_take_signed;
    signing_submit(worker->signing, job);
}

static bool worker_has_open_batch(struct worker *worker)
{
    if (worker->open_batch == NULL) {
        worker->open_batch = worker->spare_batch;
        worker->spare_batch = NULL;
    }
    if (worker->open_batch == NULL)
        worker->open_batch = writer_batch_new(&worker->port);
    return worker->open_batch != NULL;
}

/* Without memory for a batch they stay for the next time: then one has come back. */
static void worker_hand_over_releases(struct worker *worker)
{
    if (worker->releases == NULL || !worker_has_open_batch(worker))
        return;
    while (worker->releases != NULL) {
        struct writer_stream *stream = worker->releases;
        worker->releases = stream->next_release;
        writer_batch_release(worker->open_batch, stream);
    }
}

static void worker_hand_over(struct worker *worker)
{
    struct writer_batch *batch = worker->open_batch;
    if (batch == NULL || writer_batch_is_empty(batch))
        return;
    worker->open_batch = NULL;
    worker->batches_at_writer++;
    writer_submit(worker->writer, batch);
}

enum certpost_status worker_submit(struct worker *worker, const struct writer_entry *entry)
{
    if (!worker_has_open_batch(worker))
        return CERTPOST_NO_MEMORY;
    enum certpost_status status = writer_batch_add(worker->open_batch, entry);
    if (status == CERTPOST_OK && writer_batch_is_full(worker->open_batch))
        worker_hand_over(worker);
    return status;
}

void worker_release_stream(struct worker *worker, struct writer_stream *stream)
{
    stream->next_release = worker->releases;
    worker->releases = stream;
}

/* Just before the loop waits: all that was gathered goes to the writer at once. */
static void worker_before_poll(uv_prepare_t *handle)
{
    struct worker *worker = handle->data;
    worker_hand_over_releases(worker);
    if (worker->batches_at_writer < WORKER_BATCHES_AHEAD)
        worker_hand_over(worker);
}

static struct writer_delivery *worker_pop_delivery(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->delivered_mutex);
    struct writer_delivery *delivery = worker->delivered_first;
    if (delivery != NULL)
        worker->delivered_first = delivery->next;
    if (worker->delivered_first == NULL)
        worker->delivered_last = NULL;
    (void)pthread_mutex_unlock(&worker->delivered_mutex);
    return delivery;
}

static struct signing_job *worker_pop_signed(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->delivered_mutex);
    struct signing_job *job = worker->signed_first;
    if (job != NULL)
        worker->signed_first = job->next;
    if (worker->signed_first == NULL)
        worker->signed_last = NULL;
    (void)pthread_mutex_unlock(&worker->delivered_mutex);
    return job;
}

/* Answers come first: a reply's text must be there when its message is committed. The releases come
 * last: a peer may be gone with its own. */
static void worker_settle_batch(struct worker *worker, struct writer_batch *batch)
{
    size_t count = 0;
    const struct writer_answer *answers = writer_batch_answers(batch, &count);
    for (size_t i = 0; i < count; i++)
        peer_answer(answers[i].stream->owner, &answers[i]);
    const struct writer_outcome *outcomes = writer_batch_outcomes(batch, &count);
    for (size_t i = 0; i < count; i++)
        peer_settle(outcomes[i].stream->owner, &outcomes[i]);
    for (struct writer_stream *stream = batch->releases; stream != NULL;) {
        struct writer_stream *next = stream->next_release;
        peer_released(stream->owner);
        stream = next;
    }
    worker->batches_at_writer--;
    if (worker->spare_batch == NULL) {
        writer_batch_reset(batch);
        worker->spare_batch = batch;
    } else {
        writer_batch_free(batch);
    }
}

static void worker_settle(struct worker *worker, struct writer_delivery *delivery)
{
    if (delivery->batch != NULL) {
        worker_settle_batch(worker, delivery->batch);
        return;
    }
    struct writer_stream *stream = delivery->stream;
    const struct writer_outcome lost = {.stream = stream, .lost_code = stream->notice_code};
    peer_settle(stream->owner, &lost);
}

void worker_stir(struct worker *worker, struct peer *peer)
{
    if (peer->is_stirred)
        return;
    peer->is_stirred = true;
    peer->next_stirred = worker->stirred;
    worker->stirred = peer;
}

/* A peer is stirred only while its connection lives, which ends from the loop alone. */
static void worker_go_on_stirred(struct worker *worker)
{
    while (worker->stirred != NULL) {
        struct peer *peer = worker->stirred;
        worker->stirred = peer->next_stirred;
        peer->is_stirred = false;
        peer_go_on(peer);
    }
    net_scratch_flush(&worker->scratch);
}

/* ------------------------------------------------------------------------------ end */

static void worker_close_handle(uv_handle_t *handle, uv_close_cb on_closed)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* When nothing is left to wait for, the last handles go, and with them the loop ends. */
static void worker_end_if_done(struct worker *worker)
{
    if (!worker->draining || worker->ended || worker->peer_count > 0 ||
        worker->batches_at_writer > 0)
        return;
    worker->ended = true;
    worker_close_handle((uv_handle_t *)&worker->wake, NULL);
    worker_close_handle((uv_handle_t *)&worker->before_poll, NULL);
    worker_close_handle((uv_handle_t *)&worker->drain_timer, NULL);
    worker_close_handle((uv_handle_t *)&worker->admission_timer, NULL);
    worker_close_handle((uv_handle_t *)&worker->trim_timer, NULL);
}

static void worker_on_drain_deadline(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    worker->cut_count += worker->peer_count;
    writer_stop_asking(worker->writer);
    for (struct peer *peer = worker->peers; peer != NULL; peer = peer->next)
        peer_cut(peer);
}

static void worker_begin_drain(struct worker *worker)
{
    worker->draining = true;
    worker_stop_listening(worker);
    (void)uv_timer_start(&worker->drain_timer, worker_on_drain_deadline,
                         (uint64_t)worker->state->config->drain_timeout_ms, 0);
    for (struct peer *peer = worker->peers; peer != NULL; peer = peer->next)
        peer_drain(peer);
}

void worker_adopt_state(struct worker *worker)
{
    if (atomic_load(&worker->new_state) == NULL)
        return;
    struct worker_state *state = atomic_exchange(&worker->new_state, NULL);
    if (state == NULL)
        return;
    worker_state_release(worker->state);
    worker->state = state;
}

/* A state that the worker has not looked at yet was never used, so this thread may release it. */
void worker_replace_state(struct worker *worker, struct worker_state *state)
{
    worker_state_release(atomic_exchange(&worker->new_state, state));
    (void)uv_async_send(&worker->wake);
}

/* What waited for a limit may go on; whoever still has to wait will say so again. */
static void worker_resume(struct worker *worker)
{
    if (!worker->draining)
        worker_resume_accepting(worker);
    /* Also while draining: a paused peer has messages that were read and are to be answered. */
    if (worker->waiting_peer_count == 0)
        return;
    for (struct peer *peer = worker->peers; peer != NULL; peer = peer->next)
        peer_resume(peer);
}

void worker_wake(struct worker *worker)
{
    (void)uv_async_send(&worker->wake);
}

void worker_ask_pulse(struct worker *worker)
{
    atomic_store(&worker->pulse_asked, true);
    (void)uv_async_send(&worker->wake);
}

bool worker_has_pulse(const struct worker *worker)
{
    return !atomic_load(&worker->pulse_asked) || atomic_load(&worker->is_over);
}

static void worker_on_wake(uv_async_t *handle)
{
    struct worker *worker = handle->data;
    atomic_store(&worker->pulse_asked, false);
    struct writer_delivery *delivery = NULL;
    while ((delivery = worker_pop_delivery(worker)) != NULL)
        worker_settle(worker, delivery);
    struct signing_job *job = NULL;
    while ((job = worker_pop_signed(worker)) != NULL)
        peer_signed(job->owner);
    worker_go_on_stirred(worker);
    worker_adopt_state(worker);
    worker_resume(worker);
    worker_answer_roster(worker);
    if (atomic_load(&worker->drain_requested) && !worker->draining)
        worker_begin_drain(worker);
    worker_end_if_done(worker);
}

void worker_request_drain(struct worker *worker)
{
    atomic_store(&worker->drain_requested, true);
    (void)uv_async_send(&worker->wake);
}

/* ------------------------------------------------------------------------------ peers */

/* Below it, what the allocator keeps of them is not worth the call. */
enum { WORKER_TRIM_PEERS = 64, WORKER_TRIM_FRACTION = 8, WORKER_TRIM_WAIT_MS = 1000 };

/*
 * What a flood of connections has cost lies in the allocator when they have gone, and the process
 * would look as large as at its worst for ever.
 */
static void worker_on_trim_timer(uv_timer_t *timer)
{
    (void)timer;
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

/* A moment later, and once for all that leave together: giving back takes milliseconds. */
static void worker_trim_after_many(struct worker *worker)
{
    if (worker->peer_peak < WORKER_TRIM_PEERS ||
        worker->peer_count > worker->peer_peak / WORKER_TRIM_FRACTION)
        return;
    worker->peer_peak = worker->peer_count;
    if (!uv_is_closing((uv_handle_t *)&worker->trim_timer))
        (void)uv_timer_start(&worker->trim_timer, worker_on_trim_timer, WORKER_TRIM_WAIT_MS, 0);
}

void worker_add_peer(struct worker *worker, struct peer *peer)
{
    peer_link(&worker->peers, peer);
    worker->peer_count++;
    if (worker->peer_count > worker->peer_peak)
        worker->peer_peak = worker->peer_count;
}

void worker_remove_peer(struct worker *worker, struct peer *peer)
{
    peer_unlink(peer);
    worker->peer_count--;
    worker_trim_after_many(worker);
    worker_end_if_done(worker);
}

/* ------------------------------------------------------------------------------ set-up */

static enum certpost_status worker_uv_error(int failed, const char *what,
                                            struct certpost_error *error)
{
    if (failed == 0)
        return CERTPOST_OK;
    return error_set(error, CERTPOST_SYSTEM, "%s: %s", what, uv_strerror(failed));
}

static enum certpost_status worker_init_loop(struct worker *worker, struct certpost_error *error)
{
    enum certpost_status status = net_loop_init(&worker->loop, error);
    if (status != CERTPOST_OK)
        return status;
    worker->loop_ready = true;
    int failed = uv_async_init(&worker->loop, &worker->wake, worker_on_wake);
    if (failed == 0)
        failed = uv_prepare_init(&worker->loop, &worker->before_poll);
    if (failed == 0)
        failed = uv_timer_init(&worker->loop, &worker->drain_timer);
    if (failed == 0)
        failed = uv_timer_init(&worker->loop, &worker->admission_timer);
    if (failed == 0)
        failed = uv_timer_init(&worker->loop, &worker->trim_timer);
    if (failed == 0)
        failed = uv_tcp_init(&worker->loop, &worker->first_stream);
    if (failed == 0)
        uv_close((uv_handle_t *)&worker->first_stream, NULL);
    worker->admission_timer.data = worker;
    worker->wake.data = worker;
    worker->before_poll.data = worker;
    worker->drain_timer.data = worker;
    if (failed == 0)
        failed = uv_prepare_start(&worker->before_poll, worker_before_poll);
    return worker_uv_error(failed, "cannot start an event loop", error);
}

enum certpost_status worker_init(struct worker *worker, const struct worker_setup *setup,
                                 struct certpost_error *error)
{
    worker->state = setup->state;
    worker->limits = setup->limits;
    worker->log_limit = setup->log_limit;
    worker->refusals = setup->refusals;
    worker->roster = setup->roster;
    worker->metrics = setup->metrics;
    worker->index = setup->index;
    worker->worker_count = setup->worker_count;
    worker->gate = setup->gate;
    worker->on_ended = setup->on_ended;
    worker->on_ended_argument = setup->on_ended_argument;
    net_scratch_init(&worker->scratch);
    buffer_init(&worker->frames, WORKER_FRAMES_BYTES);
    worker->port.deliver = worker_take_delivery;
    (void)pthread_mutex_init(&worker->delivered_mutex, NULL);
    atomic_init(&worker->drain_requested, false);
    atomic_init(&worker->new_state, NULL);
    atomic_init(&worker->pulse_asked, false);
    atomic_init(&worker->is_over, false);
    enum certpost_status status = chain_new(&worker->chain, error);
    worker->spare_batch = writer_batch_new(&worker->port);
    if (status == CERTPOST_OK && worker->spare_batch == NULL)
        status = error_no_memory(error);
    if (status == CERTPOST_OK)
        status = worker_init_loop(worker, error);
    if (status == CERTPOST_OK)
        status = worker_listen(worker, setup->listeners, error);
    return status;
}

void worker_set_writer(struct worker *worker, struct writer *writer, bool has_store, bool prints,
                       bool has_judge)
{
    worker->writer = writer;
    worker->has_store = has_store;
    worker->prints = prints;
    worker->has_judge = has_judge;
}

void worker_set_signing(struct worker *worker, struct signing *signing)
{
    worker->signing = signing;
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    (void)pthread_mutex_lock(worker->gate);
    (void)pthread_mutex_unlock(worker->gate);
    (void)uv_run(&worker->loop, UV_RUN_DEFAULT);
    atomic_store(&worker->is_over, true);
    OPENSSL_thread_stop();
    roster_leave(worker->roster, worker->index);
    worker->on_ended(worker->on_ended_argument);
    return NULL;
}

enum certpost_status worker_start(struct worker *worker, struct certpost_error *error)
{
    int failed = pthread_create(&worker->thread, NULL, worker_run, worker);
    if (failed != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, failed, "cannot start a thread");
    return CERTPOST_OK;
}

static void worker_close_any(uv_handle_t *handle, void *unused)
{
    (void)unused;
    worker_close_handle(handle, NULL);
}

void worker_join(struct worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
}

void worker_free(struct worker *worker)
{
    worker_stop_listening(worker);
    if (worker->loop_ready) {
        /* Only a worker whose set-up failed half-way still has handles here. */
        uv_walk(&worker->loop, worker_close_any, NULL);
        (void)uv_run(&worker->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&worker->loop);
    }
    writer_batch_free(worker->open_batch);
    writer_batch_free(worker->spare_batch);
    free(worker->doors);
    net_scratch_free(&worker->scratch);
    buffer_free(&worker->frames);
    chain_free(worker->chain);
    worker_state_release(atomic_exchange(&worker->new_state, NULL));
    if (worker->state != NULL)
        (void)pthread_mutex_destroy(&worker->delivered_mutex);
    worker_state_release(worker->state);
}
