/*
 * net/conn.h — one TLS connection on a libuv loop: socket, stream, output, deadlines.
 *
 *     HANDSHAKE ──► OPEN ──► ENDING ──► CLOSING ──► LINGERING ──► CLOSED
 *         │           └──────────┴────────▲ ▲                       ▲
 *         └─────────────────────────────────┘      (from any state) ┘
 *
 *   PROXY      only behind a load balancer: its header, which says who the peer is, is awaited;
 *              then HANDSHAKE.
 *   HANDSHAKE  TLS is being set up.
 *   OPEN       data goes both ways.
 *   ENDING     nothing more comes from the peer; what was earned is still sent.
 *   CLOSING    the last bytes (replies, close_notify or an alert) are on their way out.
 *   LINGERING  our side is shut; what the peer still sends is dropped, until it closes too. A close
 *              with unread input would send a reset, which can destroy what the peer has yet to
 * read. CLOSED     the socket is being given back.
 *
 * One receive and one send serve a wake-up: the ciphertext of one receive goes through the TLS
 * stream until it is dry, the owner's replies are gathered, encrypted and sent at once. The memory
 * for that belongs to the loop's thread (struct net_scratch), not to the connection.
 *
 * Back-pressure: a connection reads nothing while its owner has paused it, or while more than
 * NET_CONN_OUTPUT_HIGH_BYTES wait to be sent.
 *
 * Threads: everything here happens on the thread of the loop. Handlers may call every function of
 * this header, also for other connections. on_closed comes from the loop, never from inside another
 * call, and the connection is freed when it returns.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buffer.h"
#include "base/text.h"
#include "tls/stream.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <uv.h>

enum net_conn_state {
    NET_CONN_PROXY,
    NET_CONN_HANDSHAKE,
    NET_CONN_OPEN,
    NET_CONN_ENDING,
    NET_CONN_CLOSING,
    NET_CONN_LINGERING,
    NET_CONN_CLOSED,
};

/* At most one deadline of each kind runs at a time; each is absolute once it has been set. */
enum net_deadline {
    NET_DEADLINE_HANDSHAKE,
    NET_DEADLINE_FIRST_BYTE, /* from the handshake to the first data */
    NET_DEADLINE_IDLE,       /* from data, and from the last answer, to the next data */
    NET_DEADLINE_WRITE,      /* no byte of the output was taken for so long */
    NET_DEADLINE_CLOSE,      /* from the last byte sent to the end of lingering */
    NET_DEADLINE_COUNT,
};

struct net_limits {
    int64_t timeout_ms[NET_DEADLINE_COUNT];
};

/* Above it nothing is read from the peer; what is read already may add one reply per message. */
enum { NET_CONN_OUTPUT_HIGH_BYTES = 256 * 1024 };

/* One receive's plaintext: the most that one TLS record carries (RFC 8446, section 5.1). */
enum { NET_PLAINTEXT_BYTES = 16 * 1024 };

/* What all connections of one loop share. Made by net_scratch_init, freed by net_scratch_free. */
struct net_scratch {
    unsigned char input[TLS_STREAM_INPUT_MAX_BYTES];
    unsigned char plaintext[NET_PLAINTEXT_BYTES];
    struct buffer replies;    /* plaintext that the connection at work wants to send */
    struct buffer output;     /* ciphertext of the connection at work */
    struct net_conn *working; /* whose bytes these are; NULL when both are empty */
};

void net_scratch_init(struct net_scratch *scratch);
void net_scratch_free(struct net_scratch *scratch);

/* Sends what is gathered, whosever it is. Bytes of two connections never lie in it at once. */
void net_scratch_flush(struct net_scratch *scratch);

struct net_conn;

/* How a connection came to its end, and what it carried. */
struct net_conn_result {
    enum certpost_status status; /* CLOSED, TRUNCATED, RESET, TIMEOUT, HANDSHAKE, … */
    const struct certpost_error *error;
    const char *deadline; /* which one passed ("idle"), with TIMEOUT; else NULL */
    bool handshake_done;
    bool is_probe; /* with `expect_proxy`: no more came than a header without an address */
};

struct net_conn_handler {
    /*
     * A PROXY header came: the peer's address is `source` (NULL: the header has none). Only for a
     * connection that was served with `expect_proxy`.
     */
    void (*on_proxied)(struct net_conn *conn, void *owner, const struct sockaddr *source);
    /* The handshake is complete. */
    void (*on_open)(struct net_conn *conn, void *owner);
    /* Plaintext of at most one record, borrowed for the call. */
    void (*on_data)(struct net_conn *conn, void *owner, const unsigned char *bytes, size_t length);
    /*
     * Nothing more will come: CLOSED (the peer said so), TRUNCATED (it vanished), TIMEOUT (it was
     * silent for too long), INTERRUPTED (net_conn_drain, and all that was received has been
     * delivered). The owner sends what is still
     * to be sent, now or later, and then calls net_conn_close.
     */
    void (*on_end)(struct net_conn *conn, void *owner, enum certpost_status status);
    /* True while the peer waits for the owner, so that its silence is no idleness. */
    bool (*is_busy)(const void *owner);
    /* The moment of net_conn_wake_at has come. May be NULL for an owner that never calls that. */
    void (*on_time)(struct net_conn *conn, void *owner);
    /* There is room for output again: a paused owner may go on. */
    void (*on_writable)(struct net_conn *conn, void *owner);
    /* The last call. `owner` and `conn` do not meet again. */
    void (*on_closed)(struct net_conn *conn, void *owner, const struct net_conn_result *result);
};

/* A socket that was accepted: where it came from, and how to begin. */
struct net_conn_origin {
    int descriptor;              /* taken over, also on failure */
    const struct sockaddr *peer; /* copied */
    bool expect_proxy;
};

/*
 * Begins to serve an accepted socket; all but the origin is borrowed for the connection's life.
 * Errors: NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status net_conn_serve(uv_loop_t *loop, const struct net_conn_origin *origin,
                                    struct net_scratch *scratch, SSL_CTX *context,
                                    const struct net_limits *limits,
                                    const struct net_conn_handler *handler, void *owner,
                                    struct net_conn **ret_conn, struct certpost_error *error);

/*
 * Gathers bytes to be sent; they leave with net_conn_flush, which the connection itself calls after
 * on_open, on_data, on_end, on_time and on_writable. A failure closes the connection; the owner
 * hears of it through on_closed.
 */
void net_conn_send(struct net_conn *conn, const void *bytes, size_t length);
void net_conn_flush(struct net_conn *conn);

/* Stops and starts the delivery of data. Data that was received already is kept meanwhile. */
void net_conn_pause(struct net_conn *conn);
void net_conn_resume(struct net_conn *conn);

/*
 * The peer has done what it is here for (sent a whole message, been given an answer): the time that
 * it may be idle begins anew. Single bytes do not count, or a byte now and then would hold a
 * connection for ever.
 */
void net_conn_note_progress(struct net_conn *conn);

/*
 * The owner minds the peer's silence itself, by net_conn_wake_at: first byte and idle have no
 * deadlines any more. In on_open; net_conn_note_progress must not be called afterwards.
 */
void net_conn_mind_silence(struct net_conn *conn);

/*
 * Asks for one on_time at or soon after `at_ms` of the loop's clock, in place of what was asked for
 * before; 0: none. Not called any more once the connection is closing.
 */
void net_conn_wake_at(struct net_conn *conn, uint64_t at_ms);

/* True while so much output waits that the owner should make no more. */
bool net_conn_output_is_full(const struct net_conn *conn);

/* Receive nothing more; when what was received has been delivered, on_end(INTERRUPTED) is called.
 */
void net_conn_drain(struct net_conn *conn);

/* Sends what is gathered and close_notify, lingers, closes. Later calls do nothing. */
void net_conn_close(struct net_conn *conn);

/* Closes at once, without a word to the peer; `status` and `words` say why (words: a literal). */
void net_conn_abort(struct net_conn *conn, enum certpost_status status, const char *words);

/* The peer's address, "HOST:PORT". Lives as long as the connection. */
const char *net_conn_peer(const struct net_conn *conn);

/* The SSL, for asking what was negotiated. Borrowed. */
SSL *net_conn_ssl(struct net_conn *conn);

/* The connection's state, for logs. Static. */
const char *net_conn_state_name(const struct net_conn *conn);

#endif
