/*
 * server/state.h — one version of everything that can be reloaded: configuration, certificates.
 *
 * A state never changes. A reload loads a new one, whole or not at all; connections that live keep
 * the one they were accepted under, and the last to leave gives it back.
 */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include "net/network.h"
#include "server/config.h"
#include "session/receiver.h"
#include "store/store.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

struct server_state {
    atomic_uint references; /* one for each worker_state, and one for the main thread */
    struct server_config config;
    struct tls_server_material *material;
    struct net_network *proxies; /* of proxy-from */
    size_t proxy_count;
    enum store_level level; /* of the running server, not of a reloaded configuration */
};

/* Loads configuration and files. Errors: as config_load and tls_server_material_load. */
CERTPOST_MUST_CHECK
enum certpost_status state_load(int argc, char **argv, struct server_state **ret_state,
                                struct certpost_error *error);

/*
 * Makes a state that was just loaded ready to serve: gives it the ticket keys, which live longer
 * than any state, and the level of the store, and logs the warnings that its files give reason for.
 * Before anybody else sees it.
 */
void state_prepare(struct server_state *state, struct tls_ticket_keys *ticket_keys,
                   enum store_level level);

/* Does the PROXY protocol have to come from this address? */
bool state_expects_proxy(const struct server_state *state, const struct sockaddr *peer);

/* Any thread. */
struct server_state *state_hold(struct server_state *state);
void state_release(struct server_state *state);

/*
 * A worker's view of a state: its own SSL_CTX, and a count that only its thread touches, because it
 * changes with every connection.
 */
struct worker_state {
    unsigned references;
    struct server_state *shared;
    const struct server_config *config; /* of `shared` */
    SSL_CTX *context;
    struct receiver_config terms; /* what certpost/1 announces */
};

/* Made by the main thread, then given to the worker. Errors: as tls_context_server. */
CERTPOST_MUST_CHECK
enum certpost_status worker_state_new(struct server_state *shared, struct worker_state **ret_state,
                                      struct certpost_error *error);
struct worker_state *worker_state_hold(struct worker_state *state);
void worker_state_release(struct worker_state *state);

#endif
