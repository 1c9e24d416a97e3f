/*
 * sim/sim.h — a world in which senders and a receiver meet every misfortune, in an order that a
 * seed decides. Time is virtual; the network and the disk are models in memory; what runs in them
 * is the real code of session/ and wire/, driven as the server and the client drive it.
 *
 * A schedule has two parts: a chaotic one, and then a calm one in which nothing goes wrong any more
 * and everything must arrive. What must hold is checked at every step by sim_check.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "session/receiver.h"
#include "session/sender.h"

enum {
    SIM_STREAMS_MAX = 2,
    SIM_CLIENTS_MAX = 3,
    SIM_LINKS_MAX = 12,
    SIM_MESSAGES_MAX = 24,
    SIM_MESSAGE_MAX_BYTES = 48,
    SIM_PIPE_BYTES = 1024,
    SIM_JOBS_MAX = 256,
};

/* ---- network ---- */

enum sim_end { SIM_OPEN, SIM_END_CLEAN, SIM_END_CUT };

/* One direction of a connection: bytes that were written, of which the first `visible` arrived. */
struct sim_pipe {
    unsigned char bytes[SIM_PIPE_BYTES];
    size_t length, visible;
    enum sim_end end; /* comes after the last byte */
    bool stalled;     /* nothing arrives any more, and nobody is told */
};

struct sim_link {
    bool used, accepted;
    bool client_left, server_left;
    struct sim_pipe up, down; /* client to server, server to client */
};

/* ---- messages and store ---- */

struct sim_text {
    unsigned char bytes[SIM_MESSAGE_MAX_BYTES];
    size_t length;
};

struct sim_stream {
    struct sim_text input[SIM_MESSAGES_MAX];
    struct committed points[SIM_MESSAGES_MAX + 1]; /* what D must be at each number */
    uint64_t total;
    uint64_t durable; /* numbers that would survive a crash now */
    uint64_t pending; /* the same with the open transaction */
    uint64_t owner;   /* serial of the connection that may append; 0: none */
};

struct sim_job {
    uint64_t serial;
    size_t stream;
    bool open; /* OPEN_STREAM, else STORE */
    uint64_t seq;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    struct sim_text message;
};

struct sim_store {
    struct sim_job jobs[SIM_JOBS_MAX];
    size_t job_count;
    bool committing;
    struct sim_job batch[SIM_JOBS_MAX]; /* the STOREs of the open transaction */
    size_t batch_count;
};

/* ---- server ---- */

struct sim_peer {
    uint64_t serial; /* 0: free */
    size_t link, stream;
    struct receiver *receiver;
    struct buffer output;
    bool closing; /* CLOSE came; the output is still being written */
    bool input_over;
    /* Completions on their way from the writer, in this order. */
    bool opened_due, committed_due, lost_due;
    bool signed_due; /* SIGN_RECEIPT came, and the signature is on its way */
    struct committed signed_head;
    struct committed head, committed;
    uint16_t lost_code;
};

struct sim_server {
    bool up;
    struct receiver_config config;
    struct sim_peer peers[SIM_LINKS_MAX];
    uint64_t last_serial;
};

/* ---- clients ---- */

struct sim_client {
    size_t stream;
    enum sender_start mode;
    struct sender *sender; /* NULL: the process does not run */
    struct buffer output;
    bool connected, half_closed, closing;
    size_t link;
    int64_t retry_ms;
    uint64_t first;     /* number before the sender's position 0 */
    uint64_t available; /* messages of the input (spool) that exist by now */
    bool finish_told;
    bool crashed; /* ever: a HELLO of the dead process may still be on its way */
    bool wants_receipt, has_receipt;
    bool done;
    struct sender_effect spool_head; /* CONTINUE: what the spool file remembers */
};

/* ---- the world ---- */

struct sim {
    uint64_t seed, random;
    bool verbose, failed, calm;
    int64_t now_ms;
    uint64_t step;
    struct chain *chain;
    size_t stream_count, client_count;
    struct sim_stream streams[SIM_STREAMS_MAX];
    struct sim_link links[SIM_LINKS_MAX];
    struct sim_store store;
    struct sim_server server;
    struct sim_client clients[SIM_CLIENTS_MAX];
    size_t max_unacked;
    size_t pipe_bytes;
    uint64_t acks, resumes, supersedes, crashes,
        receipts; /* that the schedules do what they are for */
};

/* world.c */
uint64_t sim_random(struct sim *sim, uint64_t bound); /* 0 to bound - 1 */
bool sim_chance(struct sim *sim, unsigned percent);
void sim_trace(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Reports a broken promise, once. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_check(struct sim *sim, bool holds, const char *what);
bool sim_run(struct sim *sim, uint64_t seed, bool verbose);

/* link.c */
bool sim_link_open(struct sim *sim, size_t *ret_link);
void sim_link_free_if_left(struct sim_link *link);
void sim_pipe_write(struct sim *sim, struct sim_pipe *pipe, struct buffer *from);
size_t sim_pipe_read(struct sim *sim, struct sim_pipe *pipe, unsigned char *ret_bytes);
enum sim_end sim_pipe_end(const struct sim_pipe *pipe);
void sim_pipe_close(struct sim_pipe *pipe, enum sim_end end);
void sim_links_deliver(struct sim *sim);
void sim_links_misfortune(struct sim *sim);

/* store.c */
void sim_store_put(struct sim *sim, const struct sim_job *job);
void sim_store_work(struct sim *sim);
void sim_store_crash(struct sim *sim);

/* server.c */
bool sim_server_init(struct sim *sim);
struct sim_peer *sim_server_peer(struct sim *sim, uint64_t serial);
void sim_server_work(struct sim *sim);
void sim_server_drain(struct sim *sim);
void sim_server_crash(struct sim *sim);
void sim_server_free(struct sim *sim);

/* client.c */
void sim_client_start(struct sim *sim, struct sim_client *client);
void sim_client_work(struct sim *sim, struct sim_client *client);
void sim_client_crash(struct sim *sim, struct sim_client *client);
void sim_client_half_close(struct sim *sim, struct sim_client *client);
void sim_client_free(struct sim_client *client);

#endif
