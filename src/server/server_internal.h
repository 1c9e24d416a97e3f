/*
 * server/server_internal.h — what a server is made of; for server.c, which makes and ends it, and
 * server_view.c, which tells about it.
 */
#ifndef SERVER_SERVER_INTERNAL_H
#define SERVER_SERVER_INTERNAL_H

#include "net/listener.h"
#include "server/server.h"
#include "server/worker.h"
#include "server/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

/* Since when there is something to say about messages. */
enum server_phase { SERVER_STARTS, SERVER_SERVES, SERVER_DRAINS };

struct server {
    struct server_state *state;  /* the newest */
    pthread_mutex_t state_mutex; /* for a reload and the admin endpoint's thread */
    struct status *status;       /* NULL: nobody looks */
    const struct config_source *source;
    struct writer_judge judge;
    bool owns_process;
    _Atomic enum server_phase phase; /* the admin endpoint's thread reads it */
    struct admin *admin;             /* NULL: there is none */
    uv_loop_t loop;
    bool loop_ready;
    uv_async_t worker_ended;
    uv_timer_t ticket_timer;
    struct tls_ticket_keys *ticket_keys; /* of all workers, across reloads */
    uv_timer_t log_timer;                /* for what the log's bound has left out */
    struct expiry_watch *expiry;
    struct net_listeners listeners;
    struct writer *writer;
    struct signing *signing; /* NULL: there is no store, so there is nothing to sign */
    struct limits *limits;
    struct log_limit *log_limit;
    struct refusals *refusals;
    struct roster *roster;
    struct metrics *metrics;
    int64_t started_ms;          /* wall clock */
    struct fixed_options *fixed; /* as it was started */
    char *store_path;            /* NULL: none; a reload's configuration may name another */
    struct worker *workers;
    size_t workers_inited;
    size_t workers_started;
    atomic_size_t workers_ended;
    pthread_mutex_t gate; /* before it, no worker serves */
    bool gate_is_shut;
    size_t own_descriptors; /* open before the first connection */
};

#endif
