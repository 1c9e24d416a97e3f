/*
 * certpost/client.h — deliver messages by certpost/1, and do not give up.
 *
 * A client sends the messages of one stream (docs/protocol.md) over TLS, in order, and knows of
 * each whether the server has acknowledged it. It connects, is cut off, connects again, asks the
 * server how far it is and goes on from there: a message is stored once, and what was not
 * acknowledged is still here. The digest of the whole stream is compared at each acknowledgement.
 *
 * Life:      certpost_client_new, certpost_client_set for each option, certpost_client_start; then
 *            messages; certpost_client_finish and the last acknowledgements (or
 *            certpost_client_close, which is both); certpost_client_free.
 *
 * Blocking:  certpost_client_send for each message, certpost_client_flush where everything so far
 *            must be acknowledged, certpost_client_close at the end (examples/send_blocking.c).
 *
 * Event loop (examples/send_poll.c): with no call that waits,
 *
 *     for (;;) {
 *         struct pollfd polled[CERTPOST_CLIENT_DESCRIPTORS_MAX];
 *         size_t count = certpost_client_descriptors(client, polled, CERTPOST_CLIENT_…_MAX);
 *         poll(polled, count, certpost_client_timeout_ms(client));
 *         offer messages while there are any and certpost_client_offer takes them
 *         status = certpost_client_process(client, &error);
 *         while (certpost_client_next_event(client, &event)) …
 *         end after the event FINISHED or FAILED
 *     }
 *
 * Descriptors and timeout change with each call that is given the client (offer among them): ask
 * for both right before poll(2). Both ways can be mixed.
 *
 * Where messages are until they are acknowledged: in memory, at most `max-buffered` bytes, and lost
 * with the process; or, with the option `spool`, in an SQLite file, which survives the process and
 * the machine. A message is safe there once certpost_client_commit or certpost_client_process has
 * returned after it was offered (the fact `spooled` says up to which), and it is never sent before.
 *
 * Failure: a client that cannot go on has *failed*: every later call returns the same status with
 * the same words, nothing more is sent, and the facts say what was acknowledged. What was not is
 * the caller's still, or the spool's. Statuses a client fails with, and what to do:
 *
 *   RESOLVE, CONNECT, TIMEOUT, RESET, TRUNCATED, NETWORK_IO, CLOSED    `retry-for` has passed
 *                        without progress; try again later
 *   HANDSHAKE            the peer speaks no certpost/1, or no TLS that both know: mend either side
 *   PEER_CERTIFICATE, CERTIFICATE_REFUSED, OWN_CERTIFICATE, CA_FILE    certificates: mend them
 *   REFUSED              the server refuses the stream, a message (the event FAILED has its number
 *                        and code) or the level that is required, or gives no receipts where one is
 *                        wanted: nothing was sent then
 *   SUPERSEDED           a newer connection owns the stream: end, and leave it to that one
 *   DIGEST               what the server holds is not what was sent: stop, and look at the server's
 *                        store (certpost verify); nothing was dropped here
 *   PROTOCOL             the server broke the protocol
 *   LIMIT                a message that was taken before the server had told its limit is longer
 *   LOCAL_IO             the spool cannot be read or written (disk full); what was committed is
 *                        there. Or the receipt cannot be written; all is acknowledged
 *   NO_MEMORY, SYSTEM, INTERNAL
 *
 * With the option `receipt`, PEER_CERTIFICATE, PROTOCOL and DIGEST can also mean that the receipt
 * was refused, as the words say: all is acknowledged, and no receipt was kept.
 *
 * Threads: one at a time per client; different clients may be used by different threads. There is
 * no state of the process: no signal is raised or handled (SIGPIPE among them), no environment is
 * read, nothing is printed. Looking a name up runs in a thread of its own, with all signals
 * blocked, which may outlive the client until the system's resolver returns.
 *
 * Every pointer that is given to a call is used within it and copied where it is needed longer.
 */
#ifndef CERTPOST_CLIENT_H
#define CERTPOST_CLIENT_H

#include "certpost/error.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct certpost_client;

/* The longest message, whatever the server takes: what the length of a frame can say. */
#define CERTPOST_MESSAGE_MAX_BYTES 16777215

/* Lengths in the structs below; texts are NUL-terminated. */
#define CERTPOST_DIGEST_BYTES   32
#define CERTPOST_NAME_BYTES     256 /* a name or text of certpost/1: 255 bytes and a NUL */
#define CERTPOST_ENDPOINT_BYTES 272 /* "[address]:port" */
#define CERTPOST_TLS_NAME_BYTES 64  /* "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768" */

/* How safe an acknowledged message is (docs/durability.md), from the weakest to the strongest. */
enum certpost_level {
    CERTPOST_LEVEL_ACCEPTED = 0,   /* handed on; the server has no store */
    CERTPOST_LEVEL_STORED = 1,     /* on stable storage */
    CERTPOST_LEVEL_REPLICATED = 2, /* on stable storage of a quorum of machines */
};

/* "accepted", "stored", "replicated"; "unknown" for anything else. Static. */
CERTPOST_API const char *certpost_level_name(enum certpost_level level);

/* ---- life ---- */

/* A client with default options, for certpost_client_free. Errors: NO_MEMORY. */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_new(struct certpost_client **ret_client,
                                         struct certpost_error *error);

/*
 * Ends the client at once: a connection is cut off, unacknowledged messages in memory are dropped,
 * those in a spool stay there. Never waits for the network. NULL does nothing.
 */
CERTPOST_API void certpost_client_free(struct certpost_client *client);

/*
 * Sets an option, before the start. The names are those of `certpost send`; the last value of an
 * option counts, and an option marked * collects its values.
 *
 *   host *             HOST, HOST:PORT or [IPV6]:PORT; 127.0.0.1. All addresses of a name are tried
 *                      in turn, and so are several hosts
 *   port               for hosts without one; 8080
 *   connect-timeout    for one round of attempts at all hosts: resolving, TCP and TLS together; 10s
 *   ack-timeout        how long the server may acknowledge nothing while it has something to; 30s
 *   retry-for          how long to go on without progress: a duration, 0 for one attempt, or
 *                      forever; 30s. Progress is an acknowledgement, or a connection when there is
 *                      nothing to acknowledge
 *   cacert, capath     trusted CAs: a PEM file, a folder; the system's
 *   crlfile            revocation list, PEM
 *   cert, key          own certificate with its chain, own key; PEM
 *   servername         the name that the server's certificate must have; the host
 *   pin *              sha256//BASE64 of a public key that the server may have
 *   insecure           yes or no: verify nothing but pins. The caller should warn
 *   tls-min            1.2 or 1.3; 1.3
 *   ciphersuites, groups    colon-separated
 *   keylogfile         append the session's secrets to this file
 *   stream             the stream's name, 1 to 255 bytes of plain text; that of an existing spool,
 *                      else this machine's host name
 *   require            accepted, stored or replicated: the least level to accept; accepted
 *   resume             the number N (1 for "") in the stream of the first message offered: what the
 *                      server has already is compared with it and skipped, not sent. From number
 *                      2 or later on it cannot be compared, unless this client has sent it: it is
 *                      skipped by number alone
 *   spool              keep messages in this file until they are acknowledged; not with resume
 *   receipt            when all is acknowledged after certpost_client_finish, ask the server for a
 *                      signed receipt (docs/receipts.md), check it, and keep it in this file, whole
 *                      or not at all; then FINISHED. Means require stored
 *   max-buffered       memory for unacknowledged messages, each counted as its length and 64 bytes;
 *                      8MiB. One message is taken whatever its length
 *   software           what the server's log calls this program; certpost and its version
 *
 * A flag takes "", yes or no. Sizes and durations take units (64KiB, 500ms). Errors: USAGE, with
 * words that name the option, or the nearest one for a name that is unknown; also after the start.
 * NO_MEMORY.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_set(struct certpost_client *client, const char *name,
                                         const char *value, struct certpost_error *error);

/*
 * Reads certificates and opens the spool; does not touch the network. What is wrong with files or
 * with options that do not go together is found here, and after a failure options may be corrected
 * and the start be tried again. Errors: USAGE, CA_FILE, OWN_CERTIFICATE, LOCAL_IO (spool, key log),
 * NO_MEMORY, SYSTEM.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_start(struct certpost_client *client,
                                           struct certpost_error *error);

/* ---- messages ---- */

/*
 * Takes a copy of a message: 0 to CERTPOST_MESSAGE_MAX_BYTES bytes of any value. Never waits for
 * the network, and sends nothing by itself: certpost_client_process does. With a spool it may wait
 * for the disk.
 *
 * `*ret_position` (NULL: not wanted) is the message's place among all that this client has: those
 * that the spool held at the start come first, and the first is 0. It is acknowledged when an event
 * ACKED, or the facts, tell a greater position.
 *
 * Errors: WANT_WRITE: there is no room before something is acknowledged; the message was not taken,
 * offer it again after certpost_client_process (certpost_client_timeout_ms is 0 when there is
 * room). LIMIT: longer than the server takes, or than any may be; not taken, and the client goes on
 * without it. USAGE: not started, or after certpost_client_finish. Else the client has failed.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_offer(struct certpost_client *client, const void *bytes,
                                           size_t length, uint64_t *ret_position,
                                           struct certpost_error *error);

/*
 * Makes all that was offered safe in the spool, in one transaction; without a spool it does
 * nothing. Call it where a promise to somebody else depends on it, not for each message:
 * certpost_client_process does it anyway. Errors: USAGE: not started. Else the client has failed.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_commit(struct certpost_client *client,
                                            struct certpost_error *error);

/*
 * No message follows. When all are acknowledged the connection is ended cleanly and the event
 * FINISHED comes. Once more does nothing. Errors: USAGE: not started. Else the client has failed:
 * DIGEST when the server has more of the stream than was offered with `resume`.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_finish(struct certpost_client *client,
                                            struct certpost_error *error);

/* ---- event loop ---- */

/* The most descriptors that a client waits for. */
#define CERTPOST_CLIENT_DESCRIPTORS_MAX 4

/*
 * Fills in what to poll for; returns how many entries were filled in, 0 while the client waits for
 * time to pass only. The descriptors are the client's: do not read, write or close them, and ask
 * again before each poll.
 */
CERTPOST_API size_t certpost_client_descriptors(const struct certpost_client *client,
                                                struct pollfd *ret_polled, size_t capacity);

/* How long poll(2) may wait at most: milliseconds, 0 for not at all, -1 for ever. */
CERTPOST_API int certpost_client_timeout_ms(const struct certpost_client *client);

/*
 * Does everything that can be done now, without waiting for the network: spool, connect, send,
 * receive, give up, try again. Call it when a descriptor is ready, when the time is up, and when
 * messages were offered; to call it without need is harmless. One call for many offers is what
 * makes them share system calls and TLS records.
 *
 * Errors: USAGE: not started. Else the client has failed (the event FAILED says the same). A lost
 * connection is no error: it is the event DISCONNECTED.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_process(struct certpost_client *client,
                                             struct certpost_error *error);

enum certpost_event_type {
    /* `endpoint` is tried now. */
    CERTPOST_EVENT_CONNECTING,
    /* That address failed with `error`, the next is tried. */
    CERTPOST_EVENT_ATTEMPT_FAILED,
    /* The server has answered: endpoint, TLS, server name, level, window; `seq` and `digest` say
     * what it has of the stream. */
    CERTPOST_EVENT_CONNECTED,
    /* Messages before `position`, up to number `seq` with `digest`, are acknowledged at `level`.
     * One event may stand for many acknowledgements. */
    CERTPOST_EVENT_ACKED,
    /* The connection ended, or no attempt of a round led to one: `error` says why, `code` what
     * GOAWAY said (0: nothing); the next round begins in `retry_in_ms`. */
    CERTPOST_EVENT_DISCONNECTED,
    /* Everything is acknowledged, the receipt that was asked for is in its file, and the connection
     * has ended; the last event. */
    CERTPOST_EVENT_FINISHED,
    /* The client has failed with `error`; the last event. After REJECT or GOAWAY `code` is its
     * code, and `seq` the message that was refused (0: the stream was). */
    CERTPOST_EVENT_FAILED,
    /* The receipt was checked, and is in its file: for all messages of the stream up to number
     * `seq` with `digest`. */
    CERTPOST_EVENT_RECEIPT,
};

/* Fields that an event's type does not name are 0 or "". Texts from the peer are as it sent them:
 * escape them before a terminal sees them. */
struct certpost_event {
    enum certpost_event_type type;
    enum certpost_level level;
    uint64_t seq;
    uint64_t position;
    unsigned char digest[CERTPOST_DIGEST_BYTES];
    uint64_t window_bytes;
    uint64_t max_message_bytes;
    int64_t retry_in_ms;
    uint16_t code; /* docs/protocol.md, section 9 */
    char endpoint[CERTPOST_ENDPOINT_BYTES];
    char server_name[CERTPOST_NAME_BYTES];
    char tls_version[CERTPOST_TLS_NAME_BYTES];
    char tls_cipher[CERTPOST_TLS_NAME_BYTES];
    char tls_group[CERTPOST_TLS_NAME_BYTES];
    struct certpost_error error;
};

/*
 * Takes the oldest event; false when there is none. At most a few wait: when nobody takes them, the
 * oldest are dropped, but for ACKED, which is merged into one, and the last event.
 */
CERTPOST_API bool certpost_client_next_event(struct certpost_client *client,
                                             struct certpost_event *ret_event);

/* ---- blocking ---- */

/* As `timeout_ms` of the calls below: wait for ever (as long as the client has not failed). */
#define CERTPOST_CLIENT_NO_TIMEOUT (-1)

/*
 * certpost_client_offer that waits for room. It sends on its own, but gathers what comes in quick
 * succession: after the last message of a burst call certpost_client_flush, _process or _close.
 * Errors: TIMEOUT: not taken. Otherwise as certpost_client_offer without WANT_WRITE.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_send(struct certpost_client *client, const void *bytes,
                                          size_t length, int64_t timeout_ms, uint64_t *ret_position,
                                          struct certpost_error *error);

/*
 * Waits until everything that was offered is acknowledged. Errors: TIMEOUT: not all is; wait again
 * when you like. USAGE: not started. Else the client has failed.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_flush(struct certpost_client *client, int64_t timeout_ms,
                                           struct certpost_error *error);

/*
 * Waits for something to happen (poll(2) on the client's descriptors) and does one
 * certpost_client_process; for loops that wait for nothing else. OK also when the time is up.
 * Errors: as certpost_client_process; SYSTEM: poll failed.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_wait(struct certpost_client *client, int64_t timeout_ms,
                                          struct certpost_error *error);

/*
 * certpost_client_finish, and waits for the event FINISHED: everything is acknowledged, BYE and
 * close_notify are exchanged. OK means just that. Errors: TIMEOUT: call it again, or free the
 * client; the facts say what is acknowledged. Else the client has failed.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_client_close(struct certpost_client *client, int64_t timeout_ms,
                                           struct certpost_error *error);

/* ---- facts ---- */

/* All counts are of messages, and since the start, unless they say otherwise. */
struct certpost_client_facts {
    uint64_t inherited;      /* were in the spool at the start: positions 0 to inherited - 1 */
    uint64_t offered;        /* taken by certpost_client_offer */
    uint64_t acknowledged;   /* of both; messages before this position are acknowledged */
    uint64_t unacknowledged; /* inherited + offered - acknowledged */
    uint64_t skipped;        /* were stored already, and not sent: compared by digest where `resume`
                              * is 1, else by number alone at the first connection */
    uint64_t sent;           /* handed to TLS, those counted that were sent again */
    uint64_t spooled;        /* messages before this position are or were safe in the spool; 0
                              * without one */
    uint64_t spooled_seq;    /* the number of the last message that is or was safe in the spool, of
                              * any run: in the stream, or counted from 1 as long as the spool has
                              * never met a server; 0 without a spool */
    uint64_t buffered_bytes; /* what they count for in `max-buffered` */
    uint64_t connections;    /* that the server has answered */
    uint64_t attempts;       /* rounds of connection attempts */

    uint64_t last_seq; /* the last acknowledged number in the stream; 0 while none is known */
    unsigned char digest[CERTPOST_DIGEST_BYTES]; /* and the digest there */
    enum certpost_level level;                   /* of what was acknowledged last */
    uint64_t max_message_bytes;                  /* that the server takes; 0 before it has said */
    char stream[CERTPOST_NAME_BYTES];            /* "" before the start */
    char server_name[CERTPOST_NAME_BYTES];       /* as the server last said; "" before */
    char reply[CERTPOST_NAME_BYTES]; /* what may be printed for an acknowledged message; as above */
    char endpoint[CERTPOST_ENDPOINT_BYTES]; /* of the connection or attempt; "" before the first */

    bool connected;   /* there is a connection that the server has answered */
    bool finished;    /* the event FINISHED has come or is waiting */
    bool failed;      /* likewise FAILED */
    bool has_receipt; /* it was checked, and is in its file */
};

/* Can be asked at any time, also after a failure. */
CERTPOST_API void certpost_client_facts(const struct certpost_client *client,
                                        struct certpost_client_facts *ret_facts);

#ifdef __cplusplus
}
#endif
#endif
