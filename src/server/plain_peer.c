/*
 * plain_peer.c — a client in the plain exchange (server/plain_peer.h).
 *
 * Uses: session/plain_receiver, peer, base/chain.  Used by: peer.c.
 * Never: decides what a message is or when it is answered; that is the session's.
 *
 * With a store, each connection is a stream of its own. It is opened with the first message, so
 * that whoever only connects costs the store nothing.
 */
#include "server/plain_peer.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "session/plain_receiver.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain_peer_no_room[] = "the server cannot take messages now";

struct plain_session {
    struct plain_receiver receiver;
    unsigned char digest[CHAIN_DIGEST_BYTES]; /* of the last message, with a store */
    char stream[CLOCK_UTC_TEXT_BYTES + TEXT_ENDPOINT_BYTES + 32];
    uint16_t refusal_code; /* what stands for the refusal's words; 0: they are the session's own */
    bool is_lost;          /* nothing after a message that failed is answered */
    bool is_closed;        /* everything is answered */
};

static struct plain_session *plain_session_of(const struct peer *peer)
{
    return peer->session;
}

/* ------------------------------------------------------------------------------ stream */

/*
 * The start time, the address, and eight random digits: behind a balancer two connections may claim
 * one address in the same millisecond.
 */
static enum certpost_status plain_peer_name_stream(const struct peer *peer,
                                                   struct plain_session *session)
{
    char time[CLOCK_UTC_TEXT_BYTES];
    unsigned char random[4];
    if (RAND_bytes(random, sizeof random) != 1)
        return CERTPOST_SYSTEM;
    clock_format_utc(clock_wall_ms(), time);
    snprintf(session->stream, sizeof session->stream, "plain/%s/%s/%02x%02x%02x%02x", time,
             net_conn_peer(peer->conn), random[0], random[1], random[2], random[3]);
    return CERTPOST_OK;
}

static struct message_span plain_peer_stream_name(const struct plain_session *session)
{
    return (struct message_span){(const unsigned char *)session->stream, strlen(session->stream)};
}

/* The name is for the program that decides on messages; without a store there is nothing to open.
 */
static enum certpost_status plain_peer_introduce(struct peer *peer)
{
    struct plain_session *session = plain_session_of(peer);
    enum certpost_status status = plain_peer_name_stream(peer, session);
    return status == CERTPOST_OK ? peer_name_stream(peer, plain_peer_stream_name(session)) : status;
}

static enum certpost_status plain_peer_open_stream(struct peer *peer)
{
    struct plain_session *session = plain_session_of(peer);
    struct message_span identity = peer_identity(peer);
    enum certpost_status status = plain_peer_name_stream(peer, session);
    if (status == CERTPOST_OK)
        status = chain_first(peer->worker->chain, identity.bytes, identity.length, session->stream,
                             strlen(session->stream), session->digest);
    return status == CERTPOST_OK ? peer_open_stream(peer, plain_peer_stream_name(session)) : status;
}

static enum certpost_status plain_peer_lose(struct peer *peer, uint16_t code,
                                            struct certpost_error *error)
{
    struct plain_session *session = plain_session_of(peer);
    session->is_lost = true;
    session->refusal_code = code;
    return plain_receiver_store_failed(&session->receiver, plain_peer_no_room, error);
}

static enum certpost_status plain_peer_hand_over(struct peer *peer,
                                                 const struct plain_effect *effect)
{
    struct plain_session *session = plain_session_of(peer);
    struct writer_entry entry = {
        .kind = WRITER_MESSAGE,
        .seq = effect->seq,
        .bytes = effect->bytes,
        .length = effect->length,
        .wants_reply = peer->worker->has_judge,
    };
    enum certpost_status status = CERTPOST_OK;
    if (peer->worker->has_store)
        status = chain_next(peer->worker->chain, session->digest, effect->bytes, effect->length,
                            session->digest);
    memcpy(entry.digest, session->digest, sizeof entry.digest);
    return status == CERTPOST_OK ? peer_submit(peer, &entry) : status;
}

/* Before the first message goes to the writer. May end the session instead. */
static enum certpost_status plain_peer_prepare(struct peer *peer, struct certpost_error *error)
{
    const struct worker *worker = peer->worker;
    uint16_t unready_code = writer_unready_code(worker->writer);
    if (worker->has_store && unready_code != 0)
        return plain_peer_lose(peer, unready_code, error);
    if (worker->has_store)
        return plain_peer_open_stream(peer);
    return worker->has_judge ? plain_peer_introduce(peer) : CERTPOST_OK;
}

static enum certpost_status plain_peer_store(struct peer *peer, const struct plain_effect *effect,
                                             struct certpost_error *error)
{
    const struct worker *worker = peer->worker;
    peer->message_count++;
    peer->message_bytes += effect->length;
    net_conn_note_progress(peer->conn);
    if (!worker->has_store && !worker->prints && !worker->has_judge) {
        struct committed committed = writer_accepted(effect->seq);
        return plain_receiver_committed(&plain_session_of(peer)->receiver, &committed, error);
    }
    if (effect->seq == 1) {
        enum certpost_status status = plain_peer_prepare(peer, error);
        if (status != CERTPOST_OK || plain_session_of(peer)->is_lost)
            return status;
    }
    return plain_peer_hand_over(peer, effect);
}

/* ------------------------------------------------------------------------------ effects */

static enum certpost_status plain_peer_carry_out(struct peer *peer,
                                                 const struct plain_effect *effect,
                                                 struct certpost_error *error)
{
    switch (effect->kind) {
    case PLAIN_EFFECT_STORE:
        return plain_peer_store(peer, effect, error);
    case PLAIN_EFFECT_SEND:
        net_conn_send(peer->conn, effect->bytes, effect->length);
        net_conn_note_progress(peer->conn);
        break;
    case PLAIN_EFFECT_CLOSE:
        plain_session_of(peer)->is_closed = true;
        net_conn_close(peer->conn);
        break;
    }
    return CERTPOST_OK;
}

/* Carries out what the session wants, until it wants nothing or the peer has to wait. */
static void plain_peer_go_on(struct peer *peer)
{
    struct plain_session *session = plain_session_of(peer);
    struct certpost_error error;
    certpost_error_clear(&error);
    for (;;) {
        if (peer_must_wait(peer)) {
            peer_pause(peer);
            return;
        }
        struct plain_effect effect;
        enum certpost_status status = plain_receiver_next(&session->receiver, &effect, &error);
        if (status == CERTPOST_WANT_READ)
            break;
        if (status == CERTPOST_OK)
            status = plain_peer_carry_out(peer, &effect, &error);
        if (status != CERTPOST_OK) {
            net_conn_abort(peer->conn, status, certpost_status_sentence(status));
            return;
        }
    }
    peer_read_on(peer);
}

/* Goes on after a change of the session, unless that has failed. */
static void plain_peer_go_on_after(struct peer *peer, enum certpost_status status)
{
    if (status != CERTPOST_OK)
        net_conn_abort(peer->conn, status, certpost_status_sentence(status));
    else
        plain_peer_go_on(peer);
}

static void plain_peer_refuse_unfinished(struct peer *peer)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    plain_session_of(peer)->refusal_code = MESSAGE_CODE_BUSY;
    plain_peer_go_on_after(
        peer, plain_receiver_refuse(
                  &plain_session_of(peer)->receiver,
                  "the server holds too many unfinished messages; try again later", &error));
}

/* ------------------------------------------------------------------------------ exchange */

static enum certpost_status plain_peer_begin(struct peer *peer, struct certpost_error *error)
{
    const struct server_config *config = peer->state->config;
    const struct plain_receiver_config setup = {
        .framing = peer->listener->framing,
        .max_message_bytes = config->limits.max_message_bytes,
        .reply = config->reply,
    };
    struct plain_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return error_no_memory(error);
    enum certpost_status status = plain_receiver_init(&session->receiver, &setup, error);
    if (status != CERTPOST_OK) {
        free(session);
        return status;
    }
    peer->session = session;
    return CERTPOST_OK;
}

static void plain_peer_take(struct peer *peer, const unsigned char *bytes, size_t length)
{
    struct plain_session *session = plain_session_of(peer);
    plain_receiver_feed(&session->receiver, bytes, length);
    plain_peer_go_on(peer);
    if (plain_receiver_keep(&session->receiver) != CERTPOST_OK)
        net_conn_abort(peer->conn, CERTPOST_NO_MEMORY, "out of memory");
    else
        peer_count_unfinished(peer);
}

static void plain_peer_end_input(struct peer *peer, enum certpost_status status)
{
    struct plain_receiver *receiver = &plain_session_of(peer)->receiver;
    struct certpost_error error;
    certpost_error_clear(&error);
    plain_peer_go_on_after(
        peer, status == CERTPOST_INTERRUPTED
                  ? plain_receiver_drain(receiver, &error)
                  : plain_receiver_input_ended(receiver, status == CERTPOST_CLOSED, &error));
}

static void plain_peer_settle(struct peer *peer, const struct writer_outcome *outcome)
{
    struct plain_session *session = plain_session_of(peer);
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = CERTPOST_OK;
    if (session->is_lost || session->is_closed)
        return;
    if (outcome->is_committed)
        status = plain_receiver_committed(&session->receiver, &outcome->committed, &error);
    if (status == CERTPOST_OK && outcome->lost_code != 0)
        status = plain_peer_lose(peer, outcome->lost_code, &error);
    if (status != CERTPOST_OK)
        net_conn_abort(peer->conn, status, certpost_status_sentence(status));
}

static void plain_peer_answer(struct peer *peer, const struct writer_answer *answer)
{
    struct plain_receiver *receiver = &plain_session_of(peer)->receiver;
    struct certpost_error error;
    certpost_error_clear(&error);
    if (answer->is_rejection)
        plain_session_of(peer)->refusal_code = answer->said.code;
    enum certpost_status status =
        answer->is_rejection
            ? plain_receiver_reject(receiver, answer->seq, answer->said.text, &error)
            : plain_receiver_set_reply(receiver, answer->seq, answer->said.text, &error);
    if (status != CERTPOST_OK)
        net_conn_abort(peer->conn, status, certpost_status_sentence(status));
}

static size_t plain_peer_unfinished_bytes(const struct peer *peer)
{
    return plain_decoder_unfinished_bytes(&plain_session_of(peer)->receiver.decoder);
}

static const char *plain_peer_fault(const struct peer *peer, const char **ret_detail)
{
    *ret_detail = NULL;
    return plain_receiver_refusal(&plain_session_of(peer)->receiver) != NULL ? "refused" : NULL;
}

static void plain_peer_describe(const struct peer *peer, struct peer_facts *ret_facts)
{
    const struct plain_session *session = plain_session_of(peer);
    *ret_facts = (struct peer_facts){
        .exchange = "plain",
        .stream = plain_peer_stream_name(session),
        .unacked_count = plain_receiver_uncommitted(&session->receiver),
        .refusal = plain_receiver_refusal(&session->receiver),
    };
}

static void plain_peer_log(const struct peer *peer, struct log_line *line)
{
    const struct plain_session *session = plain_session_of(peer);
    log_text(line, "refused", plain_receiver_refusal(&session->receiver));
    if (session->stream[0] != '\0')
        log_text(line, "stream", session->stream);
}

static void plain_peer_tell_work(const struct peer *peer, struct peer_work *work)
{
    work->acknowledgements = plain_session_of(peer)->receiver.replied_seq;
    work->acknowledged = work->acknowledgements;
}

/* What the session refuses for itself is a message that is too long. */
static uint16_t plain_peer_refusal_code(const struct peer *peer)
{
    const struct plain_session *session = plain_session_of(peer);
    if (plain_receiver_refusal(&session->receiver) == NULL)
        return 0;
    return session->refusal_code != 0 ? session->refusal_code : MESSAGE_CODE_TOO_LARGE;
}

static void plain_peer_end(struct peer *peer)
{
    struct plain_session *session = plain_session_of(peer);
    plain_receiver_free(&session->receiver);
    free(session);
}

const struct peer_exchange plain_peer_exchange = {
    .kind = METRICS_PLAIN,
    .begin = plain_peer_begin,
    .take = plain_peer_take,
    .end_input = plain_peer_end_input,
    .settle = plain_peer_settle,
    .answer = plain_peer_answer,
    .go_on = plain_peer_go_on,
    .unfinished_bytes = plain_peer_unfinished_bytes,
    .refuse_unfinished = plain_peer_refuse_unfinished,
    .fault = plain_peer_fault,
    .describe = plain_peer_describe,
    .log = plain_peer_log,
    .tell_work = plain_peer_tell_work,
    .refusal_code = plain_peer_refusal_code,
    .end = plain_peer_end,
};
