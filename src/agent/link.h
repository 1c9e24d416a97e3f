/*
 * agent/link.h — a verified TLS connection to one of several servers, without waiting.
 *
 * A *round* tries every address of every server in turn until one leads to a connection:
 *
 *     link_begin(link, now_ms);
 *     for (;;) {
 *         status = link_advance(link, now_ms, &error);   OK: look at link_state, and go on
 *         WANT_READ, WANT_WRITE: poll link_poll until link_deadline_ms, then go on
 *         else this address failed: link_outlook says what that means;
 *              link_next(link, now_ms) goes on with the next one, or says that the round is over
 *     }
 *
 *   IDLE → LOOKUP → CONNECTING → HANDSHAKE → OPEN → CLOSING → IDLE; IDLE from each.
 *
 * Each address has an equal share of what is left of the round's time, so that one that swallows
 * packets does not take the chance of those after it.
 *
 * Threads: one at a time per link.
 */
#ifndef AGENT_LINK_H
#define AGENT_LINK_H

#include "agent/config.h"
#include "agent/resolve.h"
#include "base/machine.h"

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

enum link_state {
    LINK_IDLE,
    LINK_LOOKUP,
    LINK_CONNECTING,
    LINK_HANDSHAKE,
    LINK_OPEN,
    LINK_CLOSING,
};

/* What a failure lets one expect of another attempt. */
enum link_outlook {
    LINK_MAY_PASS, /* cut, time, network: it may work later */
    LINK_DOUBTFUL, /* TLS did not come about: a damaged byte on the way, or settings that differ */
    LINK_FINAL,    /* certificates; or the peer has no certpost/1: not before somebody mends it */
};

struct link {
    const struct agent_config *config; /* these two are borrowed */
    SSL_CTX *context;
    struct machine machine;
    size_t server;              /* index of the one that is tried */
    struct addrinfo *addresses; /* its addresses, owned */
    const struct addrinfo *address;
    struct resolve_job *job;
    int socket_fd;
    SSL *ssl;
    int64_t round_deadline_ms;
    int64_t deadline_ms; /* of what is under way */
    bool waits_for_room; /* what OpenSSL said it has to do next */
    bool close_notify_sent;
    bool refused_alpn;
    enum link_outlook outlook;
    char endpoint[TEXT_ENDPOINT_BYTES]; /* of `address`; of the server while it is looked up */
};

/* Allocates nothing. `config` and `context` must outlive the link; link_free ends it. */
void link_init(struct link *link, const struct agent_config *config, SSL_CTX *context);
void link_free(struct link *link);

static inline enum link_state link_state(const struct link *link)
{
    return (enum link_state)link->machine.state;
}

/* Begins a round at the first server; the link must be IDLE. */
void link_begin(struct link *link, int64_t now_ms);

/*
 * Does the next step of a round. Errors: RESOLVE, CONNECT, TIMEOUT, HANDSHAKE (also where the
 * connection ended within the handshake), PEER_CERTIFICATE, CERTIFICATE_REFUSED, NO_MEMORY, SYSTEM,
 * USAGE (a name that no server can have).
 */
CERTPOST_MUST_CHECK
enum certpost_status link_advance(struct link *link, int64_t now_ms, struct certpost_error *error);

/* After a failure, of link_advance, link_read or link_write. */
enum link_outlook link_outlook(const struct link *link);

/* Drops the connection and goes on with the next address; false, and IDLE, when none is left. */
CERTPOST_MUST_CHECK
bool link_next(struct link *link, int64_t now_ms);

/* Drops connection and round; IDLE. close_notify is sent if that can be done at once. */
void link_drop(struct link *link);

/* What to poll for; false when there is nothing (IDLE). */
bool link_poll(const struct link *link, struct pollfd *ret_polled);

/* When link_advance or link_close has to be called at the latest; CLOCK_NEVER_MS while OPEN. */
int64_t link_deadline_ms(const struct link *link);

/* ---- while OPEN (link_tls.c) ---- */

/*
 * Reads what has come, at most `capacity` bytes. OK with `*ret_length` > 0; WANT_READ: nothing more
 * now; WANT_WRITE: link_poll waits for room; else the connection is over, as tls_outcome says.
 */
CERTPOST_MUST_CHECK
enum certpost_status link_read(struct link *link, unsigned char *ret_bytes, size_t capacity,
                               size_t *ret_length, struct certpost_error *error);

/*
 * Writes as one TLS record what of `bytes` fits in it. After WANT_READ and WANT_WRITE the same
 * bytes must come first in the next call, and no fewer of them. Errors as link_read.
 */
CERTPOST_MUST_CHECK
enum certpost_status link_write(struct link *link, const unsigned char *bytes, size_t length,
                                size_t *ret_written, struct certpost_error *error);

/*
 * Ends the connection cleanly: sends close_notify and waits for the peer's, for a second at most.
 * Call it again when link_poll or the deadline says so. OK: it is over, however, and the link IDLE.
 */
CERTPOST_MUST_CHECK
enum certpost_status link_close(struct link *link, int64_t now_ms);

/* ---- for link.c ---- */

/* Puts TLS on the connected socket. Errors: USAGE, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status link_tls_start(struct link *link, struct certpost_error *error);

/* One step of the handshake; errors as link_advance. */
CERTPOST_MUST_CHECK
enum certpost_status link_tls_handshake(struct link *link, struct certpost_error *error);

/* Moves to `state`; our own tables, so that it cannot fail unless this code is wrong. */
void link_move(struct link *link, enum link_state state);

#endif
