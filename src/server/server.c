/*
 * server.c — the thread above workers and writer: sets everything up, reloads, tears it down
 * (server/server.h).
 *
 * Uses: worker, writer, net/listener, tls/material, libuv.  Used by: daemon.c, embedded.c.
 * Never: touches a connection; a signal, a right or a standard stream of the process, unless that
 * is its own.
 *
 * All that can fail is made before the first worker starts, so that a wrong start is one error and
 * no half-started server.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "net/loop.h"
#include "server/activation.h"
#include "server/admin_routes.h"
#include "server/config_file.h"
#include "server/descriptors.h"
#include "server/expiry.h"
#include "server/fixed_options.h"
#include "server/open_store.h"
#include "server/rights.h"
#include "server/server_internal.h"
#include "server/signing.h"
#include "server/status.h"
#include "tls/tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ticket keys of a very short lifetime are looked after no more often than this. */
enum { SERVER_TICKET_TIMER_MIN_MS = 1000 };

/* What the store opens later, in recovery too, when descriptors cannot be counted any more. */
enum { SERVER_STORE_DESCRIPTORS = 16 };

/* ------------------------------------------------------------------------------ end */

static void server_close_any(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void server_on_worker_ended(uv_async_t *handle)
{
    struct server *server = handle->data;
    if (atomic_load(&server->workers_ended) == server->workers_started)
        uv_walk(&server->loop, server_close_any, NULL);
}

/* On a worker's thread. */
static void server_note_worker_ended(void *argument)
{
    struct server *server = argument;
    atomic_fetch_add(&server->workers_ended, 1);
    (void)uv_async_send(&server->worker_ended);
}

/* ------------------------------------------------------------------------------ tickets */

/* So that old keys go also while nobody asks for a ticket. */
static void server_on_ticket_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    tls_ticket_keys_rotate(server->ticket_keys);
}

static void server_start_ticket_timer(struct server *server, int64_t lifetime_ms)
{
    uint64_t interval_ms = (uint64_t)lifetime_ms / 2;
    if (interval_ms < SERVER_TICKET_TIMER_MIN_MS)
        interval_ms = SERVER_TICKET_TIMER_MIN_MS;
    (void)uv_timer_start(&server->ticket_timer, server_on_ticket_timer, interval_ms, interval_ms);
}

/* The keys outlive a reload, so a new lifetime has to be told to them. */
static void server_apply_ticket_lifetime(struct server *server, int64_t lifetime_ms)
{
    tls_ticket_keys_set_lifetime(server->ticket_keys, lifetime_ms);
    server_start_ticket_timer(server, lifetime_ms);
}

static enum certpost_status server_make_ticket_keys(struct server *server,
                                                    struct certpost_error *error)
{
    int64_t lifetime_ms = server->state->config.tls.ticket_lifetime_ms;
    enum certpost_status status =
        tls_ticket_keys_new(lifetime_ms, clock_monotonic_ms, &server->ticket_keys, error);
    if (status != CERTPOST_OK)
        return status;
    server_start_ticket_timer(server, lifetime_ms);
    return state_prepare(server->state, server->ticket_keys,
                         open_store_level(&server->state->config), error);
}

/* ------------------------------------------------------------------------------ reload */

static enum log_format server_log_format(enum config_log_format wanted)
{
    if (wanted == CONFIG_LOG_JSON)
        return LOG_FORMAT_JSON;
    if (wanted == CONFIG_LOG_AUTO && log_is_journal(STDERR_FILENO))
        return LOG_FORMAT_JOURNAL;
    return LOG_FORMAT_TEXT;
}

void server_apply_log(const struct server_config *config)
{
    log_set_format(server_log_format(config->log_format));
    log_set_level(config->log_level);
}

static void server_apply_limits(struct server *server, const struct config_limits *limits)
{
    struct config_limits fitted = *limits;
    fitted.max_connections =
        descriptors_fit(limits->max_connections, server->own_descriptors, server->owns_process);
    if (fitted.max_connections < limits->max_connections) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_WARNING,
                  "the limit of descriptors (RLIMIT_NOFILE) allows fewer connections than "
                  "max-connections");
        log_u64(&line, "max_connections", limits->max_connections);
        log_u64(&line, "allowed", fitted.max_connections);
        log_end(&line);
    }
    limits_set(server->limits, &fitted);
}

/*
 * What a running server cannot change; the line says so, instead of leaving it to be found out. At
 * each reload anew, since it is the last one that is looked at.
 */
static void server_warn_of_fixed(const struct server *server, const struct fixed_options *asked)
{
    size_t position = 0;
    const char *name = NULL;
    while ((name = fixed_options_next_difference(server->fixed, asked, &position)) != NULL)
        log_message(LOG_LEVEL_WARNING, "a changed option takes effect at the next start only",
                    "option", name);
}

/* One view for each worker, all of them or none. */
static enum certpost_status server_make_views(const struct server *server,
                                              struct server_state *state,
                                              struct worker_state **views,
                                              struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < server->workers_started && status == CERTPOST_OK; i++)
        status = worker_state_new(state, &views[i], error);
    for (size_t i = 0; status != CERTPOST_OK && i < server->workers_started; i++) {
        worker_state_release(views[i]);
        views[i] = NULL;
    }
    return status;
}

static enum certpost_status server_reload_all(struct server *server, struct certpost_error *error)
{
    struct server_state *state = NULL;
    struct fixed_options *asked = NULL;
    struct worker_state **views = calloc(server->workers_started, sizeof(struct worker_state *));
    if (views == NULL)
        return error_no_memory(error);
    enum certpost_status status = state_load(server->source, &state, error);
    if (status == CERTPOST_OK)
        status = state_keep_listeners(state, server->state, error);
    if (status == CERTPOST_OK)
        status = state_prepare(state, server->ticket_keys, server->state->level, error);
    if (status == CERTPOST_OK)
        status = server_make_views(server, state, views, error);
    if (status == CERTPOST_OK)
        status = fixed_options_new(&state->config, &asked, error);
    if (status == CERTPOST_OK) {
        for (size_t i = 0; i < server->workers_started; i++)
            worker_replace_state(&server->workers[i], views[i]);
        server_warn_of_fixed(server, asked);
        server_apply_log(&state->config);
        server_apply_limits(server, &state->config.limits);
        server_apply_ticket_lifetime(server, state->config.tls.ticket_lifetime_ms);
        struct server_state *old = server->state;
        (void)pthread_mutex_lock(&server->state_mutex);
        server->state = state;
        (void)pthread_mutex_unlock(&server->state_mutex);
        state = old;
    }
    fixed_options_free(asked);
    free(views);
    state_release(state);
    return status;
}

enum certpost_status server_reload(struct server *server, struct certpost_error *error)
{
    enum certpost_status status = server_reload_all(server, error);
    metrics_add(metrics_block(server->metrics, METRICS_MAIN),
                status == CERTPOST_OK ? METRICS_RELOADS : METRICS_RELOADS_FAILED, 1);
    if (status == CERTPOST_OK) {
        /* Whoever has seen the line asks for what is in use now. */
        expiry_watch_replace(server->expiry, server->state);
        log_message(LOG_LEVEL_INFO, "reloaded", NULL, NULL);
    }
    return status;
}

static void server_on_log_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    log_limit_report(server->log_limit, clock_monotonic_ms(), false);
}

void server_stop(struct server *server)
{
    atomic_store(&server->phase, SERVER_DRAINS);
    for (size_t i = 0; i < server->workers_started; i++)
        worker_request_drain(&server->workers[i]);
}

/* ------------------------------------------------------------------------------ set-up */

static enum certpost_status server_init_loop(struct server *server, struct certpost_error *error)
{
    enum certpost_status status = net_loop_init(&server->loop, error);
    if (status != CERTPOST_OK)
        return status;
    server->loop_ready = true;
    int failed = uv_async_init(&server->loop, &server->worker_ended, server_on_worker_ended);
    if (failed == 0)
        failed = uv_timer_init(&server->loop, &server->ticket_timer);
    server->ticket_timer.data = server;
    if (failed == 0)
        failed = uv_timer_init(&server->loop, &server->log_timer);
    server->worker_ended.data = server;
    server->log_timer.data = server;
    if (failed != 0)
        return error_set(error, CERTPOST_SYSTEM, "cannot start an event loop: %s",
                         uv_strerror(failed));
    return expiry_watch_new(&server->loop, &server->expiry, error);
}

static enum certpost_status server_listen_on(struct server *server, const char *address,
                                             struct activation *passed,
                                             struct certpost_error *error)
{
    size_t worker_count = server->state->config.worker_count;
    const char *name = activation_name(address);
    if (name != NULL)
        return activation_listen(passed, name, worker_count, &server->listeners, error);
    return net_listeners_add(&server->listeners, address, CONFIG_DEFAULT_PORT, worker_count, error);
}

/* At all addresses of one listener, or of the one without a name (""). */
static enum certpost_status server_listen_as(struct server *server, const char *name,
                                             const struct options_list *addresses,
                                             struct activation *passed,
                                             struct certpost_error *error)
{
    struct net_listeners *listeners = &server->listeners;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    for (size_t i = 0; i < addresses->count; i++) {
        size_t first = listeners->count;
        enum certpost_status status = server_listen_on(server, addresses->items[i], passed, &cause);
        if (status != CERTPOST_OK && name[0] == '\0')
            return error_adopt(error, status, &cause);
        if (status != CERTPOST_OK)
            return error_set(error, status, "[listener %s]: %s", name,
                             certpost_error_text(&cause, status));
        for (size_t j = first; j < listeners->count; j++)
            snprintf(listeners->list[j].name, sizeof listeners->list[j].name, "%s", name);
    }
    return CERTPOST_OK;
}

static enum certpost_status server_listen(struct server *server, struct certpost_error *error)
{
    const struct server_config *config = &server->state->config;
    struct activation *passed = NULL;
    enum certpost_status status =
        server->owns_process ? activation_new(&passed, error) : CERTPOST_OK;
    if (status == CERTPOST_OK)
        status = server_listen_as(server, "", &config->listen, passed, error);
    for (size_t i = 0; i < config->listeners.count && status == CERTPOST_OK; i++)
        status = server_listen_as(server, config->listeners.items[i].name,
                                  &config->listeners.items[i].listen, passed, error);
    if (status == CERTPOST_OK)
        status = activation_check_taken(passed, error);
    activation_free(passed);
    return status;
}

static enum certpost_status server_init_workers(struct server *server, struct certpost_error *error)
{
    size_t count = server->state->config.worker_count;
    server->workers = calloc(count, sizeof *server->workers);
    if (server->workers == NULL)
        return error_no_memory(error);
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < count && status == CERTPOST_OK; i++) {
        struct worker_setup setup = {
            .listeners = &server->listeners,
            .limits = server->limits,
            .log_limit = server->log_limit,
            .refusals = server->refusals,
            .roster = server->roster,
            .metrics = metrics_block(server->metrics, METRICS_FIRST_WORKER + i),
            .index = i,
            .worker_count = count,
            .gate = &server->gate,
            .on_ended = server_note_worker_ended,
            .on_ended_argument = server,
        };
        status = worker_state_new(server->state, &setup.state, error);
        if (status != CERTPOST_OK)
            break;
        server->workers_inited++;
        status = worker_init(&server->workers[i], &setup, error);
    }
    return status;
}

/* On any thread that gave something back. */
static void server_wake_worker(void *argument, size_t worker)
{
    struct server *server = argument;
    worker_wake(&server->workers[worker]);
}

/* Now, while a failure is only a failed start. What a reload allows in addition costs room later.
 */
static enum certpost_status server_make_room(struct server *server, struct certpost_error *error)
{
    size_t most =
        descriptors_needed(server->state->config.limits.max_connections, server->own_descriptors);
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < server->workers_inited && status == CERTPOST_OK; i++)
        status =
            net_loop_make_room(&server->workers[i].loop, most, &server->workers[i].room, error);
    return status;
}

/* Reloads change neither the store nor printing, so what holds now holds to the end. */
static enum certpost_status server_start_writer(struct server *server, struct certpost_error *error)
{
    const struct server_config *config = &server->state->config;
    struct writer_setup setup = {
        .print = config->print,
        .descriptor = STDOUT_FILENO,
        .judge = server->judge,
        .metrics = metrics_block(server->metrics, METRICS_WRITER),
    };
    enum certpost_status status = open_store(config, &setup.store, error);
    if (status == CERTPOST_OK)
        status = writer_start(&setup, &server->writer, error);
    if (status == CERTPOST_OK && config->store != NULL)
        status =
            signing_start(metrics_block(server->metrics, METRICS_SIGNING), &server->signing, error);
    for (size_t i = 0; status == CERTPOST_OK && i < server->workers_inited; i++) {
        worker_set_writer(&server->workers[i], server->writer, config->store != NULL, config->print,
                          server->judge.decide != NULL);
        worker_set_signing(&server->workers[i], server->signing);
    }
    return status;
}

static enum certpost_status server_init_metrics(struct server *server, struct certpost_error *error)
{
    const struct server_config *config = &server->state->config;
    server->started_ms = clock_wall_ms();
    if (config->store != NULL && (server->store_path = strdup(config->store)) == NULL)
        return error_no_memory(error);
    return metrics_new(config->worker_count, &server->metrics, error);
}

/* Its socket is made before rights are given up, its thread after: a thread that is there already
 * would stay outside of the sandbox. */
static enum certpost_status server_open_admin(struct server *server, struct certpost_error *error)
{
    const struct server_config *config = &server->state->config;
    const struct admin_setup setup = {
        .address = config->admin,
        .places = admin_places(descriptors_most(server->owns_process)),
        .user = server->owns_process ? config->user : NULL,
        .routes = admin_routes,
        .context = server,
    };
    if (config->admin == NULL)
        return CERTPOST_OK;
    enum certpost_status status = status_new(&server->status, error);
    return status == CERTPOST_OK ? admin_open(&setup, &server->admin, error) : status;
}

static enum certpost_status server_start_admin(struct server *server, struct certpost_error *error)
{
    if (server->admin == NULL)
        return CERTPOST_OK;
    enum certpost_status status = admin_start(server->admin, error);
    if (status == CERTPOST_OK)
        log_message(LOG_LEVEL_INFO, "admin endpoint", "address", admin_address(server->admin));
    return status;
}

static size_t server_reserved_descriptors(const struct server *server)
{
    size_t reserved = server->state->config.store != NULL ? SERVER_STORE_DESCRIPTORS : 0;
    return reserved + admin_descriptors_to_come(server->admin);
}

enum certpost_status server_set_up(struct server *server, struct certpost_error *error)
{
    const struct server_config *config = &server->state->config;
    server_apply_log(config);
    enum certpost_status status = fixed_options_new(config, &server->fixed, error);
    if (status == CERTPOST_OK)
        status = server_make_ticket_keys(server, error);
    if (status == CERTPOST_OK)
        status = server_listen(server, error);
    if (status == CERTPOST_OK)
        status =
            limits_new(config->worker_count, server_wake_worker, server, &server->limits, error);
    if (status == CERTPOST_OK)
        status = server_init_metrics(server, error);
    if (status == CERTPOST_OK)
        status = log_limit_new(&server->log_limit, error);
    if (status == CERTPOST_OK)
        status = refusals_new(&server->refusals, error);
    if (status == CERTPOST_OK)
        status =
            roster_new(config->worker_count, server_wake_worker, server, &server->roster, error);
    if (status == CERTPOST_OK)
        status = server_init_workers(server, error);
    if (status == CERTPOST_OK)
        status = server_open_admin(server, error);
    if (status == CERTPOST_OK) {
        server->own_descriptors = descriptors_open() + server_reserved_descriptors(server);
        server_apply_limits(server, &config->limits);
        status = server_make_room(server, error);
    }
    /* No thread has been started, and nothing has to be opened any more. */
    if (status == CERTPOST_OK && server->owns_process)
        status = rights_drop(config, error);
    if (status == CERTPOST_OK)
        status = server_start_admin(server, error);
    if (status == CERTPOST_OK)
        status = server_start_writer(server, error);
    if (status == CERTPOST_OK)
        expiry_watch_replace(server->expiry, server->state);
    return status;
}

enum certpost_status server_start(struct server *server, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 0; i < server->workers_inited && status == CERTPOST_OK; i++) {
        status = worker_start(&server->workers[i], error);
        if (status == CERTPOST_OK)
            server->workers_started++;
    }
    /* Before anybody is told that the server listens: whoever heard that finds it ready. */
    if (status == CERTPOST_OK)
        atomic_store(&server->phase, SERVER_SERVES);
    return status;
}

/* ------------------------------------------------------------------------------ life */

enum certpost_status server_new(const struct server_setup *setup, struct server **ret_server,
                                struct certpost_error *error)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        state_release(setup->state);
        return error_no_memory(error);
    }
    server->state = setup->state;
    server->source = setup->source;
    server->judge = setup->judge;
    server->owns_process = setup->owns_process;
    atomic_init(&server->workers_ended, 0);
    atomic_init(&server->phase, SERVER_STARTS);
    (void)pthread_mutex_init(&server->state_mutex, NULL);
    (void)pthread_mutex_init(&server->gate, NULL);
    (void)pthread_mutex_lock(&server->gate);
    server->gate_is_shut = true;
    enum certpost_status status = server_init_loop(server, error);
    if (status == CERTPOST_OK)
        *ret_server = server;
    else
        server_free(server);
    return status;
}

uint64_t server_cut_count(const struct server *server)
{
    uint64_t cut = 0;
    for (size_t i = 0; i < server->workers_inited; i++)
        cut += server->workers[i].cut_count;
    return cut;
}

static void server_log_cut_connections(const struct server *server)
{
    uint64_t cut = server_cut_count(server);
    if (cut == 0)
        return;
    struct log_line line;
    log_begin(&line, LOG_LEVEL_WARNING, "connections cut at the end of the drain timeout");
    log_u64(&line, "connections", cut);
    log_end(&line);
}

/* The workers' threads exist by then and have served nobody. */
static void server_open_gate(struct server *server)
{
    if (server->gate_is_shut)
        (void)pthread_mutex_unlock(&server->gate);
    server->gate_is_shut = false;
}

void server_serve(struct server *server)
{
    server_open_gate(server);
    (void)uv_timer_start(&server->log_timer, server_on_log_timer, LOG_LIMIT_WINDOW_MS,
                         LOG_LIMIT_WINDOW_MS);
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    server_log_cut_connections(server);
}

static void server_end_threads(struct server *server)
{
    server_open_gate(server);
    server_stop(server);
    /* All have ended before any is given back: a worker may still wake another. */
    for (size_t i = 0; i < server->workers_started; i++)
        worker_join(&server->workers[i]);
    /* It looks at everything that is given back from here on. */
    admin_stop(server->admin);
    /* So have these two, which may still be about to wake the worker that they gave something back
     * to. */
    writer_stop(server->writer);
    signing_stop(server->signing);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    server_end_threads(server);
    for (size_t i = 0; i < server->workers_inited; i++)
        worker_free(&server->workers[i]);
    free(server->workers);
    if (server->log_limit != NULL)
        log_limit_report(server->log_limit, clock_monotonic_ms(), true);
    log_limit_free(server->log_limit);
    refusals_free(server->refusals);
    roster_free(server->roster);
    limits_free(server->limits);
    metrics_free(server->metrics);
    free(server->store_path);
    fixed_options_free(server->fixed);
    net_listeners_free(&server->listeners);
    state_release(server->state);
    tls_ticket_keys_free(server->ticket_keys);
    if (server->loop_ready) {
        uv_walk(&server->loop, server_close_any, NULL);
        (void)uv_run(&server->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&server->loop);
    }
    status_free(server->status);
    expiry_watch_free(server->expiry);
    (void)pthread_mutex_destroy(&server->gate);
    (void)pthread_mutex_destroy(&server->state_mutex);
    free(server);
}
