/*
 * server/peer.h — a client of the server, whatever exchange it speaks: the glue between connection,
 * session, limits and writer. It knows all four, and holds no protocol of its own.
 *
 * A peer begins as a handshake. When that is complete, ALPN has chosen the exchange (plain or
 * certpost/1), and the peer's `exchange` and `session` are set for the rest of its life.
 *
 * Life: made when a connection is accepted; the connection's on_closed ends its talking. It is
 * freed when the writer has returned the last of its entries and its stream, and the signing thread
 * a receipt, because these point to it.
 */
#ifndef SERVER_PEER_H
#define SERVER_PEER_H

#include "server/metrics.h"
#include "server/worker.h"
#include "wire/message.h"

struct peer;

/* What an exchange tells of a peer to whoever looks at the server. */
struct peer_facts {
    const char *exchange;       /* its name; static */
    struct message_span stream; /* borrowed from the session; empty: none yet */
    uint64_t unacked_count;     /* messages that were taken and are not safe yet */
    const char *refusal;        /* of a message, in words; borrowed as well; NULL: none */
};

/* What went to and fro, for the metrics. */
struct peer_work {
    uint64_t messages;
    uint64_t bytes;
    uint64_t acknowledgements; /* replies, ACKs */
    uint64_t acknowledged;     /* messages that they were for */
};

/* What an exchange does for a peer. All of it on the worker's thread. */
struct peer_exchange {
    enum metrics_exchange kind;
    /* The handshake is complete: sets `session`. Errors end the connection. */
    enum certpost_status (*begin)(struct peer *peer, struct certpost_error *error);
    /* Data of the client, borrowed for the call. */
    void (*take)(struct peer *peer, const unsigned char *bytes, size_t length);
    /* As on_end of net_conn_handler. */
    void (*end_input)(struct peer *peer, enum certpost_status status);
    /*
     * The writer says what became of entries, or that the stream is lost. Only takes note:
     * `go_on` follows, once for all that has come back.
     */
    void (*settle)(struct peer *peer, const struct writer_outcome *outcome);
    /* The program that decides on messages has said something of one. Only takes note, too. */
    void (*answer)(struct peer *peer, const struct writer_answer *answer);
    /*
     * A receipt that it asked for is signed, or is not (signing_job.status). Only takes note, too.
     * NULL: it never asks for one.
     */
    void (*settle_receipt)(struct peer *peer, const struct signing_job *job);
    /* Something has changed that it may have waited for. */
    void (*go_on)(struct peer *peer);
    /* The moment of net_conn_wake_at has come; NULL: it never asks for one. */
    void (*pass_time)(struct peer *peer);
    /* Bytes that the session holds of a message that has not come whole. */
    size_t (*unfinished_bytes)(const struct peer *peer);
    /* There is no room for these. */
    void (*refuse_unfinished)(struct peer *peer);
    /*
     * Why the exchange ended before its time, in one word; NULL: it did not. With a
     * `*ret_detail` the two stand for the connection's own reason in the log, else beside it.
     */
    const char *(*fault)(const struct peer *peer, const char **ret_detail);
    void (*describe)(const struct peer *peer, struct peer_facts *ret_facts);
    /* Adds what the exchange knows to the line of the connection's end. */
    void (*log)(const struct peer *peer, struct log_line *line);
    /* Fills in the last two fields. */
    void (*tell_work)(const struct peer *peer, struct peer_work *work);
    /* With which MESSAGE_CODE_… the client was told that no more is taken; 0: it was not. */
    uint16_t (*refusal_code)(const struct peer *peer);
    /* Frees the session as far as it needs the connection. */
    void (*end)(struct peer *peer);
};

struct peer {
    struct peer *next;
    struct peer **previous; /* the pointer that points here */
    struct worker *worker;
    struct worker_state *state;            /* the one that the connection was accepted under */
    const struct state_listener *listener; /* of this state */
    struct net_conn *conn;                 /* NULL once it is closed */
    const struct peer_exchange *exchange;  /* NULL during the handshake */
    void *session;                         /* the exchange's */
    struct handshake_node handshake;
    struct peer *next_stirred; /* of the worker's list */
    bool is_stirred;
    bool waits_for_total; /* paused by the bound of all connections together */
    bool has_place_of_address;
    bool has_stream; /* opened at the writer, and not released yet */
    struct sockaddr_storage address;
    struct writer_stream stream;
    struct signing_job *signing_job; /* NULL: none is on its way */
    size_t entries_at_writer;
    size_t pending_bytes;    /* of these */
    size_t unfinished_bytes; /* counted in the limits */
    uint64_t opened_ms;
    uint64_t message_count;
    uint64_t message_bytes;
    struct peer_work counted;     /* what the metrics know already */
    enum metrics_limit limit_met; /* by peer_must_wait, when it last said yes */
    uint64_t paused_since_ms;     /* of the loop's clock; 0: it is read from */
};

/* --- for the worker --- */

/*
 * Serves a socket that came in at a listener of the worker's state, and is taken over also on
 * failure. With success the places that the
 * connection takes (server/limits.h; its address's, unless the PROXY protocol is expected) are the
 * peer's to return. Errors: NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status peer_serve(struct worker *worker, const struct state_listener *listener,
                                const struct net_conn_origin *origin, struct certpost_error *error);

/*
 * Entries of the peer have come back, or its stream is lost. The peer may be gone afterwards; if it
 * is not, it is stirred: peer_go_on follows.
 */
void peer_settle(struct peer *peer, const struct writer_outcome *outcome);

/* A message of the peer, whose entry has not come back yet, was answered by the program. */
void peer_answer(struct peer *peer, const struct writer_answer *answer);

/* Its receipt is signed, or will not be. The peer may be gone afterwards; else it is stirred. */
void peer_signed(struct peer *peer);

/* The writer has let the peer's stream go. The peer may be gone afterwards. */
void peer_released(struct peer *peer);

/* Takes what the writer has given back as far as it goes. What is to be sent is gathered. */
void peer_go_on(struct peer *peer);

/* Take nothing more from the client, answer what was taken, close. */
void peer_drain(struct peer *peer);

/* Close at once: its handshake has to give way to newer ones. */
void peer_evict(struct peer *peer);

/* A limit that the peer may have waited for has room again. */
void peer_resume(struct peer *peer);

/* Close at once: the time for draining is over. */
void peer_cut(struct peer *peer);

/* The worker's list of its peers. */
void peer_link(struct peer **list, struct peer *peer);
void peer_unlink(struct peer *peer);

/* --- for the exchanges --- */

/* Hands an entry to the writer. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status peer_submit(struct peer *peer, struct writer_entry *entry);

/* Asks the writer for the stream of the client's identity with this name. At most once. Errors:
 * NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status peer_open_stream(struct peer *peer, struct message_span name);

/* Tells the writer's judge whose messages these are, where there is one: before the first, unless
 * peer_open_stream does it. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status peer_name_stream(struct peer *peer, struct message_span name);

/*
 * Has a receipt signed: the answer is settle_receipt. One at a time. `statement` is copied;
 * `signer` lives as long as the peer's state. Errors: NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status peer_sign(struct peer *peer, const struct receipt_signer *signer,
                               const struct statement *statement);

/* Who the client is; borrowed as long as the connection lives. */
struct message_span peer_identity(const struct peer *peer);

/*
 * Whether nothing more may be taken from the client now: too much output waits for it, or too much
 * of what it sent is not safe yet. Then peer_pause; `go_on` comes when that has changed.
 */
bool peer_must_wait(struct peer *peer);

/* Stops and starts the delivery of data, as net_conn_pause and net_conn_resume, and counts it. */
void peer_pause(struct peer *peer);
void peer_read_on(struct peer *peer);

/* Counts what the session holds of an unfinished message, or has it refuse that. After `take`. */
void peer_count_unfinished(struct peer *peer);

/* The loop's clock, as the sessions take it. */
int64_t peer_now_ms(const struct peer *peer);

#endif
