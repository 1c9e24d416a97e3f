/*
 * state.c — versions of configuration and certificates (server/state.h).
 *
 * Uses: config, tls/server_material.  Used by: server.c, worker.c, peer.c.
 * Never: changes a state that somebody else can see.
 */
#include "server/state.h"

#include "base/error.h"
#include "base/log.h"
#include "server/certpost_peer.h"

#include <stdlib.h>
#include <string.h>

static enum certpost_status state_load_proxies(struct state_listener *listener,
                                               const struct options_list *list,
                                               struct certpost_error *error)
{
    if (list->count == 0)
        return CERTPOST_OK;
    listener->proxies = calloc(list->count, sizeof *listener->proxies);
    if (listener->proxies == NULL)
        return error_no_memory(error);
    for (size_t i = 0; i < list->count; i++) {
        /* The table of options has tried that. */
        if (!net_network_parse(list->items[i], &listener->proxies[i]))
            return error_set(error, CERTPOST_INTERNAL, "proxy-from has what is no network");
        listener->proxy_count++;
    }
    return CERTPOST_OK;
}

/* Appends one to a list that has room for it. */
static enum certpost_status state_add_listener(struct server_state *state, const char *name,
                                               enum plain_framing framing,
                                               struct state_listener **ret_listener,
                                               struct certpost_error *error)
{
    struct state_listener *listener = &state->listeners[state->listener_count];
    listener->name = strdup(name);
    if (listener->name == NULL)
        return error_no_memory(error);
    listener->framing = framing;
    state->listener_count++;
    *ret_listener = listener;
    return CERTPOST_OK;
}

static enum certpost_status state_load_listeners(struct server_state *state,
                                                 struct certpost_error *error)
{
    const struct server_config *config = &state->config;
    struct state_listener *listener = NULL;
    state->listeners = calloc(1 + config->listeners.count, sizeof *state->listeners);
    if (state->listeners == NULL)
        return error_no_memory(error);
    enum certpost_status status = state_add_listener(state, "", config->framing, &listener, error);
    if (status == CERTPOST_OK)
        status = state_load_proxies(listener, &config->proxy_from, error);
    for (size_t i = 0; i < config->listeners.count && status == CERTPOST_OK; i++) {
        const struct config_listener *from = &config->listeners.items[i];
        status = state_add_listener(state, from->name, from->framing, &listener, error);
        if (status == CERTPOST_OK)
            status = state_load_proxies(listener, &from->proxy_from, error);
    }
    return status;
}

static enum certpost_status state_copy_listener(struct server_state *state,
                                                const struct state_listener *from,
                                                struct certpost_error *error)
{
    struct state_listener *listener = NULL;
    enum certpost_status status =
        state_add_listener(state, from->name, from->framing, &listener, error);
    if (status != CERTPOST_OK || from->proxy_count == 0)
        return status;
    listener->proxies = calloc(from->proxy_count, sizeof *listener->proxies);
    if (listener->proxies == NULL)
        return error_no_memory(error);
    memcpy(listener->proxies, from->proxies, from->proxy_count * sizeof *listener->proxies);
    listener->proxy_count = from->proxy_count;
    return CERTPOST_OK;
}

enum certpost_status state_keep_listeners(struct server_state *state,
                                          const struct server_state *old,
                                          struct certpost_error *error)
{
    size_t room = state->listener_count + old->listener_count;
    struct state_listener *listeners = calloc(room, sizeof *listeners);
    if (listeners == NULL)
        return error_no_memory(error);
    memcpy(listeners, state->listeners, state->listener_count * sizeof *listeners);
    free(state->listeners);
    state->listeners = listeners;
    enum certpost_status status = CERTPOST_OK;
    for (size_t i = 1; i < old->listener_count && status == CERTPOST_OK; i++) {
        if (state_find_listener(state, old->listeners[i].name) == &state->listeners[0])
            status = state_copy_listener(state, &old->listeners[i], error);
    }
    return status;
}

static void state_free_listeners(struct server_state *state)
{
    for (size_t i = 0; i < state->listener_count; i++) {
        free(state->listeners[i].name);
        free(state->listeners[i].proxies);
    }
    free(state->listeners);
}

const struct state_listener *state_find_listener(const struct server_state *state, const char *name)
{
    for (size_t i = 1; i < state->listener_count; i++) {
        if (strcmp(state->listeners[i].name, name) == 0)
            return &state->listeners[i];
    }
    return &state->listeners[0];
}

bool state_expects_proxy(const struct state_listener *listener, const struct sockaddr *peer)
{
    for (size_t i = 0; i < listener->proxy_count; i++) {
        if (net_network_contains(&listener->proxies[i], peer))
            return true;
    }
    return false;
}

enum certpost_status state_load(const struct config_source *source, struct server_state **ret_state,
                                struct certpost_error *error)
{
    struct server_state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return error_no_memory(error);
    atomic_init(&state->references, 1);
    enum certpost_status status = config_load_source(source, &state->config, error);
    state->config.tls.serve_certpost_1 = true;
    if (status == CERTPOST_OK && state->config.action == CONFIG_RUN)
        status = tls_server_material_load(&state->config.tls, &state->material, error);
    if (status == CERTPOST_OK && state->material != NULL)
        tls_server_material_name(state->material, state->default_name);
    if (status == CERTPOST_OK)
        status = state_load_listeners(state, error);
    if (status == CERTPOST_OK)
        *ret_state = state;
    else
        state_release(state);
    return status;
}

static void state_warn(const char *words)
{
    log_message(LOG_LEVEL_WARNING, "a TLS file needs attention", "detail", words);
}

enum certpost_status state_prepare(struct server_state *state, struct tls_ticket_keys *ticket_keys,
                                   enum store_level level, struct certpost_error *error)
{
    state->level = level;
    state->config.tls.ticket_keys = ticket_keys;
    state->config.tls.warn = state_warn;
    tls_server_material_report(state->material, state_warn);
    /* A receipt says that messages are held; a server that only hands them on cannot say so. */
    if (level < STORE_LEVEL_STORED)
        return CERTPOST_OK;
    return receipt_signers_new(state->material, state_warn, &state->signers, error);
}

struct server_state *state_hold(struct server_state *state)
{
    atomic_fetch_add(&state->references, 1);
    return state;
}

void state_release(struct server_state *state)
{
    if (state == NULL || atomic_fetch_sub(&state->references, 1) != 1)
        return;
    receipt_signers_free(state->signers);
    tls_server_material_free(state->material);
    config_free(&state->config);
    state_free_listeners(state);
    free(state);
}

enum certpost_status worker_state_new(struct server_state *shared, struct worker_state **ret_state,
                                      struct certpost_error *error)
{
    struct worker_state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return error_no_memory(error);
    enum certpost_status status = tls_context_server(shared->material, &state->context, error);
    if (status != CERTPOST_OK) {
        free(state);
        return status;
    }
    state->references = 1;
    state->shared = state_hold(shared);
    state->config = &shared->config;
    const char *name = state->config->name != NULL ? state->config->name : shared->default_name;
    state->terms = certpost_peer_terms(state->config, name, shared->level);
    state->terms_with_receipts = state->terms;
    state->terms_with_receipts.receipts = true;
    *ret_state = state;
    return CERTPOST_OK;
}

struct worker_state *worker_state_hold(struct worker_state *state)
{
    state->references++;
    return state;
}

void worker_state_release(struct worker_state *state)
{
    if (state == NULL || --state->references > 0)
        return;
    SSL_CTX_free(state->context);
    state_release(state->shared);
    free(state);
}
