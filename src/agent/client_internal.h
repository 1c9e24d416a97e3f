/* agent/client_internal.h — a client's memory; for the files client*.c only. */
#ifndef AGENT_CLIENT_INTERNAL_H
#define AGENT_CLIENT_INTERNAL_H

#include "agent/backoff.h"
#include "agent/config.h"
#include "agent/events.h"
#include "agent/link.h"
#include "agent/mailbox.h"
#include "base/chain.h"
#include "session/sender.h"

#include "certpost/client.h"

#include <stdio.h>

/*
 *            ┌──────────────────────────────┐
 *            ▼                              │
 *   NEW → OPENING ──► TALKING ──► CLOSING   │
 *            │  ▲        │           │      │
 *            ▼  └────────┤           ▼      │
 *         WAITING ◄──────┘       FINISHED   │
 *            └──────────────────────────────┘
 *   FAILED from each but FINISHED; FINISHED from all that wait for the network.
 */
enum client_state {
    CLIENT_NEW,     /* options are set */
    CLIENT_OPENING, /* a round of connection attempts (link.h) */
    CLIENT_TALKING, /* connected: the sender (session/sender.h) has the word */
    CLIENT_CLOSING, /* everything is acknowledged: BYE and close_notify */
    CLIENT_WAITING, /* until `retry_at_ms` */
    CLIENT_FINISHED,
    CLIENT_FAILED,
};

struct certpost_client {
    struct agent_config config;
    struct machine machine;
    struct certpost_error failure;
    struct events events;

    /* Made by the start. */
    SSL_CTX *context;
    struct tls_pins pins;
    FILE *keylog;
    struct chain *chain;
    struct sender *sender;
    struct mailbox mailbox;
    struct link link;
    struct buffer output; /* frames that TLS has not taken yet */
    char stream[CERTPOST_NAME_BYTES];

    /* Attempts. */
    struct backoff backoff;
    int64_t retry_at_ms;
    int64_t trouble_since_ms; /* of the first failure after the last progress; -1: none */
    unsigned doubtful;        /* failures of that kind in a row */
    bool welcomed;            /* on this connection */
    uint16_t refusal_code;    /* of the last GOAWAY or REJECT; 0: none */
    uint64_t refused_seq;     /* of the last REJECT */

    /* What keeps a conversation from going on by itself. */
    bool finishing;
    bool unprocessed; /* something was offered since the last certpost_client_process */
    bool starving;    /* the last message was not taken for want of room, of this length: */
    size_t starving_bytes;
    bool more_input; /* reading stopped for the sake of others, not for want of bytes */
    bool spool_failed;
    bool receipt_failed; /* it came, and was refused or could not be kept */
    bool too_long;       /* the next message is longer than the server takes: */
    struct certpost_error too_long_error;
    int64_t processed_at_ms; /* when the last certpost_client_process ended */
    int64_t process_took_ms; /* waiting for a spool's disk, mostly */

    /* Facts. */
    uint64_t skipped;
    uint64_t skipping;     /* hashed, and not compared yet: no fact */
    uint64_t skipping_end; /* the position after them */
    uint64_t sent;
    uint64_t connections;
    uint64_t attempts;
    bool has_receipt;
    uint64_t last_seq;
    unsigned char digest[CERTPOST_DIGEST_BYTES];
};

static inline enum client_state client_state(const struct certpost_client *client)
{
    return (enum client_state)client->machine.state;
}

/* ---- client.c ---- */

void client_move(struct certpost_client *client, enum client_state state);

/* OK while the client can go on; USAGE before the start; the failure after it has failed. */
CERTPOST_MUST_CHECK
enum certpost_status client_check(const struct certpost_client *client,
                                  struct certpost_error *error);

/* The client has failed for good: FAILED with these words. Returns `status`. */
enum certpost_status client_fail(struct certpost_client *client, enum certpost_status status,
                                 const struct certpost_error *error);

/* Copies a text of the peer, cut at what fits. */
void client_copy_span(char ret_text[CERTPOST_NAME_BYTES], const struct message_span *span);

/* ---- client_run.c ---- */

/* Something was acknowledged, or there is nothing to: whatever was wrong is over. */
void client_note_progress(struct certpost_client *client);

/* ---- client_talk.c ---- */

/* The link is open: HELLO. */
CERTPOST_MUST_CHECK
enum certpost_status client_talk_begin(struct certpost_client *client, int64_t now_ms,
                                       struct certpost_error *error);

/*
 * Reads, sends and lets time pass until nothing more can be done. OK: wait. CLOSED: the sender has
 * ended the conversation, and sender_state says how. LIMIT (a message that is too long is the
 * next), INTERNAL, `spool_failed` or `receipt_failed`: the client has to fail. Else this connection
 * is over.
 */
CERTPOST_MUST_CHECK
enum certpost_status client_talk(struct certpost_client *client, int64_t now_ms,
                                 struct certpost_error *error);

/* Writes what is left of the output. OK: all is written; WANT_READ, WANT_WRITE; else it is over. */
CERTPOST_MUST_CHECK
enum certpost_status client_flush_output(struct certpost_client *client, int64_t now_ms,
                                         struct certpost_error *error);

/* Whether the sender waits for a message that is here. */
bool client_can_send(const struct certpost_client *client);

/* ---- client_receipt.c ---- */

/*
 * Checks the receipt that has come, and writes it to the file of the configuration. Errors: as
 * receipt_save; the client has to fail.
 */
CERTPOST_MUST_CHECK
enum certpost_status client_keep_receipt(struct certpost_client *client,
                                         const struct sender_effect *effect,
                                         struct certpost_error *error);

#endif
