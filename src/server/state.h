/*
 * server/state.h — one version of everything that can be reloaded: configuration, certificates.
 *
 * A state never changes. A reload loads a new one, whole or not at all; connections that live keep
 * the one they were accepted under, and the last to leave gives it back.
 */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include "net/network.h"
#include "receipt/signer.h"
#include "server/config.h"
#include "session/receiver.h"
#include "store/store.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

/*
 * What a listener's connections are served under where that is not the same for all. The first one
 * has no name.
 */
struct state_listener {
    char *name;
    enum plain_framing framing;
    struct net_network *proxies; /* of proxy-from */
    size_t proxy_count;
};

struct server_state {
    atomic_uint references; /* one for each worker_state, and one for the main thread */
    struct server_config config;
    struct tls_server_material *material;
    struct state_listener *listeners;
    size_t listener_count;
    struct receipt_signers *signers;          /* NULL: no receipts are given */
    char default_name[TLS_SERVER_NAME_BYTES]; /* of the server, where no option gives one */
    enum store_level level; /* of the running server, not of a reloaded configuration */
};

/* Loads configuration and files; the source's strings must outlive the state. Errors: as
 * config_load_source and tls_server_material_load. */
CERTPOST_MUST_CHECK
enum certpost_status state_load(const struct config_source *source, struct server_state **ret_state,
                                struct certpost_error *error);

/*
 * Makes a state that was just loaded ready to serve: gives it the ticket keys, which live longer
 * than any state, the level of the store, and signers of receipts if what is acknowledged is kept;
 * and logs the warnings that its files give reason for. Before anybody else sees it. Errors: as
 * receipt_signers_new.
 */
CERTPOST_MUST_CHECK
enum certpost_status state_prepare(struct server_state *state, struct tls_ticket_keys *ticket_keys,
                                   enum store_level level, struct certpost_error *error);

/*
 * Gives a state that was just loaded those listeners of `old` that its configuration has no more:
 * their sockets stay open until the next start, and who is at the other end goes on as before.
 * Before anybody else sees it. Errors: NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status state_keep_listeners(struct server_state *state,
                                          const struct server_state *old,
                                          struct certpost_error *error);

/* The listener of this name, else the first one; it lives as long as the state. */
const struct state_listener *state_find_listener(const struct server_state *state,
                                                 const char *name);

/* Does the PROXY protocol have to come from this address? */
bool state_expects_proxy(const struct state_listener *listener, const struct sockaddr *peer);

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
    /* What certpost/1 announces, where the key of a connection cannot sign and where it can. */
    struct receiver_config terms;
    struct receiver_config terms_with_receipts;
};

/* Made by the main thread, then given to the worker. Errors: as tls_context_server. */
CERTPOST_MUST_CHECK
enum certpost_status worker_state_new(struct server_state *shared, struct worker_state **ret_state,
                                      struct certpost_error *error);
struct worker_state *worker_state_hold(struct worker_state *state);
void worker_state_release(struct worker_state *state);

#endif
