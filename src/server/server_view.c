/*
 * server_view.c — what a server tells about itself, to its thread, the admin endpoint's and the
 * service manager (server/server.h).
 *
 * Uses: worker, writer, metrics, state.  Used by: daemon.c, embedded.c, service.c, admin_routes.c.
 * Never: changes anything.
 */
#include "server/facts.h"
#include "server/server_internal.h"
#include "server/status.h"
#include "wire/message.h"

#include <stdio.h>

uv_loop_t *server_loop(struct server *server)
{
    return &server->loop;
}

const struct server_config *server_config_in_force(const struct server *server)
{
    return &server->state->config;
}

const char *server_address(const struct server *server, size_t index)
{
    return index < server->listeners.count ? server->listeners.list[index].text : NULL;
}

/* Without a store on disk, what fails can only be the memory of how far each stream came. */
static const char *server_store_reason(const struct server *server, uint16_t code)
{
    if (server->store_path == NULL)
        return "there is no memory for messages";
    return code == MESSAGE_CODE_STORE_FULL ? "the store is full" : "the store has failed";
}

const char *server_unready_reason(const struct server *server)
{
    enum server_phase phase = atomic_load(&server->phase);
    if (phase != SERVER_SERVES)
        return phase == SERVER_STARTS ? "the server starts" : "the server stops";
    uint16_t code = writer_unready_code(server->writer);
    if (code != 0)
        return server_store_reason(server, code);
    return writer_output_fails(server->writer) ? "standard output cannot be written" : NULL;
}

const struct metrics *server_metrics(const struct server *server)
{
    return server->metrics;
}

void server_look(struct server *server, struct metrics_facts *ret_facts)
{
    *ret_facts = (struct metrics_facts){.expiry = server->expiry};
    facts_tell(ret_facts, METRICS_FACT_READY, server_unready_reason(server) == NULL);
    facts_tell(ret_facts, METRICS_FACT_START_TIME, (uint64_t)server->started_ms);
    facts_tell(ret_facts, METRICS_FACT_WORKERS, server->workers_inited);
    facts_tell_limits(ret_facts, server->limits);
    if (atomic_load(&server->phase) != SERVER_STARTS && server->writer != NULL)
        facts_tell_writer(ret_facts, server->writer);
    if (server->store_path != NULL)
        facts_tell_store(ret_facts, server->store_path);
}

struct server_figures server_get_figures(const struct server *server)
{
    const struct metrics *metrics = server->metrics;
    return (struct server_figures){
        .connections = metrics_sum(metrics, METRICS_CONNECTIONS_OPEN),
        .messages = metrics_sum(metrics, METRICS_MESSAGES + METRICS_PLAIN) +
                    metrics_sum(metrics, METRICS_MESSAGES + METRICS_CERTPOST_1),
        .has_store = server->store_path != NULL,
        .waiting_ms = writer_at_medium_ms(server->writer),
    };
}

void server_ask_pulse(struct server *server)
{
    for (size_t i = 0; i < server->workers_started; i++)
        worker_ask_pulse(&server->workers[i]);
    writer_ask_pulse(server->writer);
}

bool server_find_silent(const struct server *server, char ret_thread[SERVER_THREAD_NAME_BYTES])
{
    for (size_t i = 0; i < server->workers_started; i++) {
        if (worker_has_pulse(&server->workers[i]))
            continue;
        (void)snprintf(ret_thread, SERVER_THREAD_NAME_BYTES, "worker %zu", i);
        return true;
    }
    if (writer_has_pulse(server->writer))
        return false;
    (void)snprintf(ret_thread, SERVER_THREAD_NAME_BYTES, "writer");
    return true;
}

struct status *server_status(struct server *server)
{
    return server->status;
}

void server_view(struct server *server, struct status_view *ret_view)
{
    static const char *const phases[] = {
        [SERVER_STARTS] = "starts", [SERVER_SERVES] = "serves", [SERVER_DRAINS] = "drains"};
    enum server_phase phase = atomic_load(&server->phase);
    *ret_view = (struct status_view){
        .phase = phases[phase],
        .unready_reason = server_unready_reason(server),
        .roster = server->roster,
        .refusals = server->refusals,
        .metrics = server->metrics,
        .expiry = server->expiry,
        .store_path = server->store_path,
        .has_workers = phase != SERVER_STARTS,
    };
    server_look(server, &ret_view->facts);
    if (phase != SERVER_STARTS && server->writer != NULL &&
        writer_unready_code(server->writer) != 0)
        ret_view->store_failure = message_code_name(writer_unready_code(server->writer));
    (void)pthread_mutex_lock(&server->state_mutex);
    ret_view->state = state_hold(server->state);
    (void)pthread_mutex_unlock(&server->state_mutex);
    for (size_t i = 0; i < server->listeners.count && i < STATUS_LISTENERS_MAX; i++)
        ret_view->listeners[ret_view->listener_count++] = server->listeners.list[i].text;
}
