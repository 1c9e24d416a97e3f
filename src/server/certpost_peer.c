/*
 * certpost_peer.c — a client that speaks certpost/1 (server/certpost_peer.h).
 *
 * Uses: session/receiver, peer.  Used by: peer.c, state.c (the terms).
 * Never: decides what a frame means or when it is answered; that is the session's.
 */
#include "server/certpost_peer.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one call of receiver_output may need. */
enum { CERTPOST_PEER_OUTPUT_BYTES = 2048 };

struct certpost_session {
    struct receiver *receiver;
    const struct receipt_signer *signer; /* NULL: no receipts on this connection */
    struct buffer held;                  /* input that has to wait; at most one record's */
    uint64_t received_seq;
    uint64_t acked_seq;
    uint64_t receipts;
    const char *fault; /* why it ends, if not as it should; static */
    char fault_detail[MESSAGE_STR8_MAX_BYTES + 1];
    char stream[MESSAGE_STR8_MAX_BYTES + 1];
    char software[64]; /* what the client says that it is, cut */
    bool is_paused;    /* by us, for room: the client's silence is none */
    bool is_closed;    /* CLOSE was carried out */
};

static struct certpost_session *certpost_session_of(const struct peer *peer)
{
    return peer->session;
}

/* ------------------------------------------------------------------------------ terms */

/* As much of the reply as WELCOME can carry. */
static struct message_span certpost_peer_reply(const char *reply)
{
    const unsigned char *bytes = (const unsigned char *)reply;
    size_t length = strlen(reply);
    size_t used = 0;
    for (size_t taken = 1; taken > 0 && used + taken <= MESSAGE_STR8_MAX_BYTES;) {
        taken = used < length ? text_utf8_length(bytes + used, length - used) : 0;
        if (used + taken <= MESSAGE_STR8_MAX_BYTES)
            used += taken;
    }
    return (struct message_span){bytes, used};
}

/* What may be unacknowledged is what the server keeps of a connection before it stops reading. */
static uint32_t certpost_peer_window(const struct config_limits *limits)
{
    uint64_t least = message_cost_bytes(limits->max_message_bytes);
    uint64_t window = limits->max_pending_bytes > least ? limits->max_pending_bytes : least;
    return window > UINT32_MAX ? UINT32_MAX : (uint32_t)window;
}

struct receiver_config certpost_peer_terms(const struct server_config *config, const char *name,
                                           enum store_level level)
{
    return (struct receiver_config){
        .level = (enum message_level)level,
        .max_message_bytes = (uint32_t)config->limits.max_message_bytes,
        .window_bytes = certpost_peer_window(&config->limits),
        .server_name = {(const unsigned char *)name, strlen(name)},
        .reply = certpost_peer_reply(config->reply),
        .hello_timeout_ms = config->times.timeout_ms[NET_DEADLINE_FIRST_BYTE],
        .idle_timeout_ms = config->times.timeout_ms[NET_DEADLINE_IDLE],
        .drain_timeout_ms = config->drain_timeout_ms,
    };
}

/* ------------------------------------------------------------------------------ faults */

/* The first one is the cause; what follows from it is not. */
static void certpost_peer_note_fault(struct peer *peer, const char *fault, const char *detail)
{
    struct certpost_session *session = certpost_session_of(peer);
    if (session->fault != NULL)
        return;
    session->fault = fault;
    snprintf(session->fault_detail, sizeof session->fault_detail, "%s", detail);
}

static void certpost_peer_note(struct peer *peer, enum certpost_status status,
                               const struct certpost_error *error)
{
    if (status != CERTPOST_OK)
        certpost_peer_note_fault(peer, certpost_status_name(status),
                                 certpost_error_text(error, status));
}

static const char *certpost_peer_words(const struct peer *peer, uint16_t code)
{
    switch (code) {
    case MESSAGE_CODE_SUPERSEDED:
        return "a newer connection has taken the stream over";
    case MESSAGE_CODE_STORE_FULL:
        return "the server's store is full";
    case MESSAGE_CODE_STORE_FAILED:
        return peer->worker->has_store ? "the server cannot store messages now"
                                       : "the server cannot take messages now";
    case MESSAGE_CODE_BUSY:
        return "the server has no room now";
    case MESSAGE_CODE_SHUTTING_DOWN:
        return "the server stops";
    default:
        return "the server failed";
    }
}

static void certpost_peer_lose(struct peer *peer, uint16_t code)
{
    const char *words = certpost_peer_words(peer, code);
    certpost_peer_note_fault(peer, message_code_name(code), words);
    receiver_lost(certpost_session_of(peer)->receiver, code, words, peer_now_ms(peer));
}

/* ------------------------------------------------------------------------------ effects */

static enum certpost_status certpost_peer_open(struct peer *peer,
                                               const struct receiver_effect *effect)
{
    struct certpost_session *session = certpost_session_of(peer);
    uint16_t code = writer_unready_code(peer->worker->writer);
    memcpy(session->stream, effect->stream.bytes, effect->stream.length);
    session->stream[effect->stream.length] = '\0';
    snprintf(session->software, sizeof session->software, "%.*s", (int)effect->software.length,
             effect->software.length > 0 ? (const char *)effect->software.bytes : "");
    if (code == 0)
        return peer_open_stream(peer, effect->stream);
    certpost_peer_lose(peer, code);
    return CERTPOST_OK;
}

static enum certpost_status certpost_peer_store(struct peer *peer,
                                                const struct receiver_effect *effect)
{
    struct writer_entry entry = {
        .kind = WRITER_MESSAGE,
        .seq = effect->seq,
        .bytes = effect->message.bytes,
        .length = effect->message.length,
    };
    memcpy(entry.digest, effect->digest, sizeof entry.digest);
    peer->message_count++;
    peer->message_bytes += effect->message.length;
    certpost_session_of(peer)->received_seq = effect->seq;
    return peer_submit(peer, &entry);
}

static enum certpost_status certpost_peer_sign(struct peer *peer,
                                               const struct receiver_effect *effect)
{
    struct certpost_session *session = certpost_session_of(peer);
    struct message_span identity = peer_identity(peer);
    struct message_span server = peer->state->terms.server_name;
    struct statement statement = {
        .server_length = server.length,
        .identity_length = identity.length,
        .stream_length = strlen(session->stream),
        .seq = effect->committed.seq,
    };
    memcpy(statement.server, server.bytes, server.length);
    if (identity.length > 0)
        memcpy(statement.identity, identity.bytes, identity.length);
    memcpy(statement.stream, session->stream, statement.stream_length);
    memcpy(statement.digest, effect->committed.digest, sizeof statement.digest);
    return peer_sign(peer, session->signer, &statement);
}

static void certpost_peer_carry_out(struct peer *peer, const struct receiver_effect *effect)
{
    enum certpost_status status = CERTPOST_OK;
    switch (effect->type) {
    case RECEIVER_OPEN_STREAM:
        status = certpost_peer_open(peer, effect);
        break;
    case RECEIVER_STORE:
        status = certpost_peer_store(peer, effect);
        break;
    case RECEIVER_CLOSE:
        certpost_session_of(peer)->is_closed = true;
        net_conn_close(peer->conn);
        break;
    case RECEIVER_SIGN_RECEIPT:
        status = certpost_peer_sign(peer, effect);
        break;
    case RECEIVER_NONE:
        break;
    }
    if (status != CERTPOST_OK) {
        certpost_session_of(peer)->is_closed = true;
        net_conn_abort(peer->conn, status, certpost_status_sentence(status));
    }
}

static void certpost_peer_carry_out_all(struct peer *peer)
{
    struct certpost_session *session = certpost_session_of(peer);
    struct receiver_effect effect;
    while (!session->is_closed && receiver_next_effect(session->receiver, &effect) != RECEIVER_NONE)
        certpost_peer_carry_out(peer, &effect);
}

/* ------------------------------------------------------------------------------ turn */

static bool certpost_peer_takes_messages(const struct certpost_session *session)
{
    return receiver_state(session->receiver) < RECEIVER_DRAINING;
}

/* Takes what it may; what has to wait stays in `input`. */
static void certpost_peer_take_input(struct peer *peer, struct cursor *input)
{
    struct certpost_session *session = certpost_session_of(peer);
    while (input->left_bytes > 0 && !session->is_closed &&
           receiver_wants_input(session->receiver)) {
        struct certpost_error error;
        if (certpost_peer_takes_messages(session) && peer_must_wait(peer))
            return;
        certpost_error_clear(&error);
        certpost_peer_note(
            peer, receiver_input(session->receiver, input, peer_now_ms(peer), &error), &error);
        certpost_peer_carry_out_all(peer);
    }
    input->left_bytes = 0;
}

static void certpost_peer_send(struct peer *peer)
{
    struct certpost_session *session = certpost_session_of(peer);
    struct buffer *frames = &peer->worker->frames;
    if (session->is_closed)
        return;
    enum certpost_status status = receiver_output(session->receiver, frames);
    if (frames->length > 0)
        net_conn_send(peer->conn, buffer_bytes(frames), frames->length);
    buffer_clear(frames);
    if (status != CERTPOST_OK) {
        session->is_closed = true;
        net_conn_abort(peer->conn, status, certpost_status_sentence(status));
    }
    certpost_peer_carry_out_all(peer);
}

static void certpost_peer_set_alarm(struct peer *peer)
{
    int64_t due_ms = receiver_next_deadline_ms(certpost_session_of(peer)->receiver);
    net_conn_wake_at(peer->conn, due_ms == CLOCK_NEVER_MS ? 0 : (uint64_t)due_ms);
}

/* Input is held only after peer_must_wait has said so, and it is not asked again: its answer could
 * be another one by now, and then nobody would wake the peer for what it holds. */
static bool certpost_peer_has_to_wait(struct peer *peer)
{
    struct certpost_session *session = certpost_session_of(peer);
    if (!certpost_peer_takes_messages(session)) {
        buffer_free(&session->held);
        return false;
    }
    return session->held.length > 0 || peer_must_wait(peer);
}

/* After input, a completion, an end or a deadline: what is to be said is said, and reading goes on
 * or pauses. */
static void certpost_peer_finish_turn(struct peer *peer)
{
    struct certpost_session *session = certpost_session_of(peer);
    certpost_peer_send(peer);
    if (session->is_closed)
        return;
    bool was_paused = session->is_paused;
    session->is_paused = certpost_peer_has_to_wait(peer);
    if (session->is_paused || was_paused)
        receiver_defer_idle(session->receiver, peer_now_ms(peer));
    certpost_peer_set_alarm(peer);
    if (session->is_paused)
        peer_pause(peer);
    else
        peer_read_on(peer);
}

static void certpost_peer_take(struct peer *peer, const unsigned char *bytes, size_t length)
{
    struct certpost_session *session = certpost_session_of(peer);
    struct cursor input = cursor_over(bytes, length);
    certpost_peer_take_input(peer, &input);
    if (input.left_bytes > 0 &&
        buffer_append(&session->held, input.next, input.left_bytes) != CERTPOST_OK) {
        session->is_closed = true;
        net_conn_abort(peer->conn, CERTPOST_NO_MEMORY, "out of memory");
        return;
    }
    if (!session->is_closed)
        peer_count_unfinished(peer);
    certpost_peer_finish_turn(peer);
}

static void certpost_peer_go_on(struct peer *peer)
{
    struct certpost_session *session = certpost_session_of(peer);
    if (session->held.length > 0) {
        struct cursor input = cursor_over(buffer_bytes(&session->held), session->held.length);
        certpost_peer_take_input(peer, &input);
        buffer_consume(&session->held, session->held.length - input.left_bytes);
        buffer_release_if_empty(&session->held);
        if (!session->is_closed)
            peer_count_unfinished(peer);
    }
    certpost_peer_finish_turn(peer);
}

/* ------------------------------------------------------------------------------ exchange */

/* The one whose certificate the client has been shown. */
static const struct receipt_signer *certpost_peer_signer(const struct peer *peer)
{
    const struct receipt_signers *signers = peer->state->shared->signers;
    return signers == NULL ? NULL : receipt_signers_find(signers, net_conn_ssl(peer->conn));
}

static enum certpost_status certpost_peer_begin(struct peer *peer, struct certpost_error *error)
{
    struct certpost_session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return error_no_memory(error);
    session->signer = certpost_peer_signer(peer);
    const struct receiver_config *terms =
        session->signer != NULL ? &peer->state->terms_with_receipts : &peer->state->terms;
    enum certpost_status status = receiver_new(terms, peer->worker->chain, peer_identity(peer),
                                               peer_now_ms(peer), &session->receiver, error);
    if (status != CERTPOST_OK) {
        free(session);
        return status;
    }
    buffer_init(&session->held, NET_PLAINTEXT_BYTES);
    peer->session = session;
    net_conn_mind_silence(peer->conn);
    certpost_peer_set_alarm(peer);
    return CERTPOST_OK;
}

static void certpost_peer_end_input(struct peer *peer, enum certpost_status status)
{
    struct certpost_session *session = certpost_session_of(peer);
    int64_t now_ms = peer_now_ms(peer);
    if (status == CERTPOST_INTERRUPTED)
        receiver_go_away(session->receiver, MESSAGE_CODE_SHUTTING_DOWN, "the server stops", now_ms);
    else if (receiver_input_ended(session->receiver, status == CERTPOST_CLOSED, now_ms) !=
                 CERTPOST_OK &&
             status == CERTPOST_CLOSED)
        certpost_peer_note_fault(peer, "truncated", "the client closed within a frame");
    certpost_peer_finish_turn(peer);
}

static void certpost_peer_settle(struct peer *peer, const struct writer_outcome *outcome)
{
    struct certpost_session *session = certpost_session_of(peer);
    int64_t now_ms = peer_now_ms(peer);
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = CERTPOST_OK;
    if (session->is_closed) /* it ended as it should; what comes now is not why */
        return;
    if (outcome->was_opened)
        status = receiver_opened(session->receiver, &outcome->committed, now_ms, &error);
    else if (outcome->is_committed)
        status = receiver_committed(session->receiver, &outcome->committed, now_ms, &error);
    if (outcome->was_opened || outcome->is_committed)
        session->acked_seq = outcome->committed.seq;
    certpost_peer_note(peer, status, &error);
    if (outcome->lost_code != 0)
        certpost_peer_lose(peer, outcome->lost_code);
}

/* Never for a reply: entries do not ask for one, since an ACK has no text. */
static void certpost_peer_answer(struct peer *peer, const struct writer_answer *answer)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status =
        receiver_reject(certpost_session_of(peer)->receiver, answer->seq, answer->said.code,
                        answer->said.text, peer_now_ms(peer), &error);
    certpost_peer_note(peer, status, &error);
    certpost_peer_note_fault(peer, "refused", answer->said.text);
}

/* What is due goes out ahead of the receipt, which does not fit into the worker's buffer. */
static enum certpost_status certpost_peer_send_receipt(struct peer *peer,
                                                       const struct signing_job *job)
{
    struct certpost_session *session = certpost_session_of(peer);
    struct message_receipt receipt = {
        .statement = {buffer_bytes(&job->text), job->text.length},
        .signature = {buffer_bytes(&job->signature), job->signature.length},
    };
    struct buffer frames;
    buffer_init(&frames, CERTPOST_PEER_OUTPUT_BYTES + FRAME_HEADER_BYTES + FRAME_RECEIPT_MAX_BYTES);
    enum certpost_status status = receiver_append_receipt(session->receiver, &frames, &receipt);
    if (frames.length > 0)
        net_conn_send(peer->conn, buffer_bytes(&frames), frames.length);
    if (status == CERTPOST_OK && frames.length > 0)
        session->receipts++;
    buffer_free(&frames);
    return status;
}

static void certpost_peer_settle_receipt(struct peer *peer, const struct signing_job *job)
{
    struct certpost_session *session = certpost_session_of(peer);
    enum certpost_status status = job->status;
    if (session->is_closed)
        return;
    if (status == CERTPOST_OK)
        status = certpost_peer_send_receipt(peer, job);
    receiver_defer_idle(session->receiver, peer_now_ms(peer)); /* the time was ours */
    if (status == CERTPOST_OK)
        return;
    log_message(LOG_LEVEL_ERROR, "a receipt could not be signed", "reason",
                certpost_error_text(&job->error, status));
    certpost_peer_note_fault(peer, "receipt", certpost_error_text(&job->error, status));
    receiver_refuse_receipt(session->receiver, MESSAGE_CODE_INTERNAL,
                            "the server could not sign a receipt", peer_now_ms(peer));
}

static void certpost_peer_pass_time(struct peer *peer)
{
    struct certpost_session *session = certpost_session_of(peer);
    struct certpost_error error;
    certpost_error_clear(&error);
    if (session->is_paused)
        receiver_defer_idle(session->receiver, peer_now_ms(peer));
    certpost_peer_note(peer, receiver_tick(session->receiver, peer_now_ms(peer), &error), &error);
    certpost_peer_finish_turn(peer);
}

static size_t certpost_peer_unfinished_bytes(const struct peer *peer)
{
    return receiver_partial_bytes(certpost_session_of(peer)->receiver);
}

static void certpost_peer_refuse_unfinished(struct peer *peer)
{
    certpost_peer_note_fault(peer, "busy", "too many unfinished messages");
    receiver_go_away(certpost_session_of(peer)->receiver, MESSAGE_CODE_BUSY,
                     "the server holds too many unfinished messages", peer_now_ms(peer));
}

static const char *certpost_peer_fault(const struct peer *peer, const char **ret_detail)
{
    *ret_detail = certpost_session_of(peer)->fault_detail;
    return certpost_session_of(peer)->fault;
}

static void certpost_peer_describe(const struct peer *peer, struct peer_facts *ret_facts)
{
    const struct certpost_session *session = certpost_session_of(peer);
    *ret_facts = (struct peer_facts){
        .exchange = "certpost/1",
        .stream = {(const unsigned char *)session->stream, strlen(session->stream)},
        .unacked_count = session->received_seq > session->acked_seq
                             ? session->received_seq - session->acked_seq
                             : 0,
    };
}

static void certpost_peer_log(const struct peer *peer, struct log_line *line)
{
    const struct certpost_session *session = certpost_session_of(peer);
    log_text(line, "exchange", "certpost/1");
    if (session->stream[0] == '\0')
        return;
    log_text(line, "stream", session->stream);
    log_u64(line, "last_seq", session->received_seq);
    log_u64(line, "acked", session->acked_seq);
    if (session->receipts > 0)
        log_u64(line, "receipts", session->receipts);
    log_text(line, "software", session->software[0] != '\0' ? session->software : NULL);
}

static void certpost_peer_tell_work(const struct peer *peer, struct peer_work *work)
{
    const struct receiver *receiver = certpost_session_of(peer)->receiver;
    work->acknowledgements = receiver_ack_count(receiver);
    work->acknowledged = receiver_acked_messages(receiver);
}

static uint16_t certpost_peer_refusal_code(const struct peer *peer)
{
    return receiver_refusal_code(certpost_session_of(peer)->receiver);
}

static void certpost_peer_end(struct peer *peer)
{
    struct certpost_session *session = certpost_session_of(peer);
    receiver_free(session->receiver);
    buffer_free(&session->held);
    free(session);
}

_Static_assert((int)CERTPOST_PEER_OUTPUT_BYTES <= (int)WORKER_FRAMES_BYTES, "output must fit");

const struct peer_exchange certpost_peer_exchange = {
    .kind = METRICS_CERTPOST_1,
    .begin = certpost_peer_begin,
    .take = certpost_peer_take,
    .end_input = certpost_peer_end_input,
    .settle = certpost_peer_settle,
    .answer = certpost_peer_answer,
    .settle_receipt = certpost_peer_settle_receipt,
    .go_on = certpost_peer_go_on,
    .pass_time = certpost_peer_pass_time,
    .unfinished_bytes = certpost_peer_unfinished_bytes,
    .refuse_unfinished = certpost_peer_refuse_unfinished,
    .fault = certpost_peer_fault,
    .describe = certpost_peer_describe,
    .log = certpost_peer_log,
    .tell_work = certpost_peer_tell_work,
    .refusal_code = certpost_peer_refusal_code,
    .end = certpost_peer_end,
};
