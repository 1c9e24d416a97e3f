/*
 * server/worker.h — one thread that serves connections: its loop, its sockets, its context.
 *
 * A connection lives and dies on one worker, so nothing on its path takes a lock. A worker meets
 * other threads in a few places only: what comes from the writer, a new state, the request to
 * drain; each sets something down and wakes the loop.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "net/acceptor.h"
#include "net/conn.h"
#include "net/listener.h"
#include "server/handshakes.h"
#include "server/limits.h"
#include "server/log_limit.h"
#include "server/metrics.h"
#include "server/refusals.h"
#include "server/roster.h"
#include "server/signing.h"
#include "server/state.h"
#include "server/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct peer;

/* Where connections come in: one socket of a listener. */
struct worker_door {
    struct net_acceptor acceptor;
    struct worker *worker;
    const char *listener; /* its name; lives as long as the worker */
};

/* Room for all that a receiver has to say at once, and to spare. */
enum { WORKER_FRAMES_BYTES = 4096 };

struct worker {
    uv_loop_t loop;
    bool loop_ready;
    pthread_t thread;
    struct worker_state *state; /* what new connections are served under */
    struct writer *writer;
    struct signing *signing; /* NULL: no receipts */
    bool has_store;          /* plain messages go there */
    bool prints;             /* and what was taken is printed */
    bool has_judge;          /* and a program decides on each message before */
    struct net_scratch scratch;
    struct chain *chain;  /* for the digests of all its streams */
    struct buffer frames; /* what the session at work has to say */
    size_t index;
    size_t worker_count;           /* of the running server; a reloaded configuration may differ */
    struct limits *limits;         /* shared by all workers */
    struct log_limit *log_limit;   /* the same */
    struct refusals *refusals;     /* the same */
    struct roster *roster;         /* the same */
    struct metrics_block *metrics; /* its own counters; NULL: nothing is counted */
    struct worker_door *doors;
    size_t door_count;
    uv_timer_t admission_timer; /* runs while new connections wait for the handshake rate */
    int64_t admission_tokens;   /* thousandths of a handshake that may begin now */
    uint64_t admission_counted_ms;
    struct handshakes handshakes;
    size_t waiting_peer_count; /* peers that wait for the bound of all connections together */
    bool said_full;            /* the log has been told that new connections wait */
    uv_async_t wake;
    uv_prepare_t before_poll;
    uv_tcp_t first_stream; /* closed at once: makes libuv open its spare descriptor at the start */
    uv_poll_t room; /* closed at once: makes libuv grow its table of descriptors at the start */
    uv_timer_t drain_timer;
    struct peer *peers; /* a list */
    size_t peer_count;
    size_t peer_peak;                /* the most since memory was last given back */
    uv_timer_t trim_timer;           /* gives it back to the system */
    struct peer *stirred;            /* for whom something has come back in this wake-up */
    struct writer_batch *open_batch; /* what has been gathered for the writer */
    struct writer_batch *spare_batch;
    struct writer_stream *releases; /* to go with the next batch */
    size_t batches_at_writer;       /* with open and spare one at least one in all */
    bool draining;
    bool ended;
    uint64_t cut_count; /* connections that the drain deadline ended */

    /* Read by other threads. */
    atomic_bool is_over; /* the thread has nothing more to do */

    /* Set down by other threads. */
    atomic_bool drain_requested;
    atomic_bool pulse_asked; /* and not answered yet */
    _Atomic(struct worker_state *) new_state;
    struct writer_port port;
    pthread_mutex_t delivered_mutex;
    struct writer_delivery *delivered_first;
    struct writer_delivery *delivered_last;
    struct signing_job *signed_first; /* under the same mutex */
    struct signing_job *signed_last;

    pthread_mutex_t *gate; /* the thread passes it before it serves */

    /* Called on the worker's thread when it has ended all its connections. */
    void (*on_ended)(void *argument);
    void *on_ended_argument;
};

struct worker_setup {
    struct worker_state *state;      /* taken over, also on failure */
    struct net_listeners *listeners; /* sockets of index `index` are taken; outlive the worker */
    struct limits *limits;
    struct log_limit *log_limit;
    struct refusals *refusals;
    struct roster *roster;
    struct metrics_block *metrics;
    size_t index;
    size_t worker_count;
    pthread_mutex_t *gate; /* held by who starts the workers, until they may serve */
    void (*on_ended)(void *argument);
    void *on_ended_argument;
};

/*
 * Makes everything ready and starts to listen; connections wait until worker_start. `worker` must
 * stay where it is. On failure it is cleaned up. Errors: OWN_CERTIFICATE, USAGE, SYSTEM, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status worker_init(struct worker *worker, const struct worker_setup *setup,
                                 struct certpost_error *error);

/* Where messages go, and what becomes of them there. Before worker_start. */
void worker_set_writer(struct worker *worker, struct writer *writer, bool has_store, bool prints,
                       bool has_judge);

/* Who signs receipts; NULL: nobody. Before worker_start. */
void worker_set_signing(struct worker *worker, struct signing *signing);

/* Starts the thread, which serves once it has passed the gate. Errors: SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status worker_start(struct worker *worker, struct certpost_error *error);

/* Looks again at everything that waits: for limits, the writer, a request. Any thread. */
void worker_wake(struct worker *worker);

/* Asks for a sign of life. Any one thread. */
void worker_ask_pulse(struct worker *worker);
/* Whether it has been given since, or is not to be expected any more. */
CERTPOST_MUST_CHECK
bool worker_has_pulse(const struct worker *worker);

/* Serves connections from now on under `state`, which is taken over. Any one thread at a time. */
void worker_replace_state(struct worker *worker, struct worker_state *state);

/* Asks the worker to accept nothing more, end its connections and then its thread. Any thread. */
void worker_request_drain(struct worker *worker);

/* Waits for the thread that worker_start has started. */
void worker_join(struct worker *worker);

/* Gives everything back; the thread must have ended, and those of all other workers too. */
void worker_free(struct worker *worker);

/* Takes up what worker_replace_state has set down, if anything. On the worker's thread. */
void worker_adopt_state(struct worker *worker);

/* worker_roster.c: tells of the connections, if somebody asks. On the worker's thread. */
void worker_answer_roster(struct worker *worker);

/* worker_accept.c, on the worker's thread: */
CERTPOST_MUST_CHECK
enum certpost_status worker_listen(struct worker *worker, struct net_listeners *listeners,
                                   struct certpost_error *error);
void worker_stop_listening(struct worker *worker);
void worker_resume_accepting(struct worker *worker);

/* --- for the peers, on the worker's thread --- */

void worker_add_peer(struct worker *worker, struct peer *peer);
void worker_remove_peer(struct worker *worker, struct peer *peer);

/* Hands an entry on to the writer with the next batch. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status worker_submit(struct worker *worker, const struct writer_entry *entry);

/* Gives a stream back to the writer, after all its entries; peer_released follows. Cannot fail. */
void worker_release_stream(struct worker *worker, struct writer_stream *stream);

/* Has a receipt signed; peer_signed follows, with the job whose owner is the peer. */
void worker_sign(struct worker *worker, struct signing_job *job);

/* Has peer_go_on called once, after everything that has come back now is settled. */
void worker_stir(struct worker *worker, struct peer *peer);

#endif
