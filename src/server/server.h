/*
 * server/server.h — a server, in whatever process: start, serve, reload, stop.
 *
 * certpostd (server/daemon.h) gives it a process of its own; a program that embeds it
 * (certpost/server.h) gives it a thread. The order of calls:
 *
 *     server_new → server_set_up → server_start → server_serve → server_free
 *
 * server_free is for all cases, also after a failure of any of them. What is added to server_loop
 * between server_new and server_serve is closed with it.
 *
 * Threads: all calls from one thread, the server's own, except where one says otherwise.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "server/expiry.h"
#include "server/metrics_table.h"
#include "server/state.h"
#include "server/writer.h"

#include <uv.h>

struct server;
struct status;
struct status_view;

struct server_setup {
    struct server_state *state;         /* what it starts under; taken over, also on failure */
    const struct config_source *source; /* for reloads; borrowed for the server's life */
    struct writer_judge judge;
    bool owns_process; /* its user, its rights and its limits are the server's to change */
};

/* A server that has its loop and nothing else. Errors: NO_MEMORY, SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status server_new(const struct server_setup *setup, struct server **ret_server,
                                struct certpost_error *error);

/*
 * Makes everything that can fail: sockets, which listen from here on, workers, the store, the
 * writer. Errors: OWN_CERTIFICATE, USAGE, RESOLVE, SYSTEM, STORE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status server_set_up(struct server *server, struct certpost_error *error);

/* Starts the workers, who wait for server_serve. Errors: SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status server_start(struct server *server, struct certpost_error *error);

/* Runs the loop until server_stop was called and all connections have ended. */
void server_serve(struct server *server);

/*
 * From within the loop: loads everything anew from the source, all of it or, on any error, nothing.
 * Errors: as state_load.
 */
CERTPOST_MUST_CHECK
enum certpost_status server_reload(struct server *server, struct certpost_error *error);

/* From within the loop: no new connections; those that are there have the drain timeout to end. */
void server_stop(struct server *server);

/* Waits for all threads, and gives everything back. NULL does nothing. */
void server_free(struct server *server);

uv_loop_t *server_loop(struct server *server);

/* The process's log as the configuration wants it; server_set_up and server_reload do it too. */
void server_apply_log(const struct server_config *config);

/* What it serves under now. */
const struct server_config *server_config_in_force(const struct server *server);

/* The address of a listener, from server_set_up on; NULL behind the last. Any thread. */
const char *server_address(const struct server *server, size_t index);

/* What a person wants to know first of a server that runs. */
struct server_figures {
    size_t connections;
    uint64_t messages; /* that were taken since the start */
    bool has_store;
    int64_t waiting_ms; /* for how long the present messages have waited for the store's disk or,
                           without a store, for who reads standard output */
};

/* From server_set_up on. */
struct server_figures server_get_figures(const struct server *server);

/* Room for "worker 255" and any larger number. */
enum { SERVER_THREAD_NAME_BYTES = 32 };

/*
 * Asks every worker and the writer for a sign of life; later, server_find_silent says who has not
 * given it: true and a name for people, or false when all have. Between server_start and the end of
 * server_serve.
 */
void server_ask_pulse(struct server *server);
CERTPOST_MUST_CHECK
bool server_find_silent(const struct server *server, char ret_thread[SERVER_THREAD_NAME_BYTES]);

/* What /metrics shows: what was counted, and how the server stands. Any thread. */
const struct metrics *server_metrics(const struct server *server);
void server_look(struct server *server, struct metrics_facts *ret_facts);

/* Why messages cannot be taken now, in words (static); NULL: they can. Any thread. */
const char *server_unready_reason(const struct server *server);

/* After server_serve: connections that the end of the drain timeout has cut. */
uint64_t server_cut_count(const struct server *server);

/* For the status page: what has been made of it, and what it may look at now. Afterwards
 * `ret_view->state` is to be released. On the admin endpoint's thread. */
struct status *server_status(struct server *server);
void server_view(struct server *server, struct status_view *ret_view);

#endif
