/*
 * plain_receiver.c — server role of the plain exchange, without I/O (session/plain_receiver.h).
 *
 * Uses: base, wire.  Used by: server/plain_peer.c and tests.
 * Never: clock, sockets, OpenSSL, SQLite, logging.
 * Limits: max_message_bytes a line, PLAIN_REPLY_MAX_BYTES a reply, PLAIN_REPLIES_MAX_BYTES of
 * replies that are not the usual one and wait for their commit or for the peer to read.
 *
 * Order of effects: replies that are earned, then the refusal once everything before it is
 * answered, then new messages, then the close. A message that cannot be made safe takes with it all
 * that came after it: a reply to a later one would say that the stream up to there is safe.
 */
#include "session/plain_receiver.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* The caller bounds what waits by the messages that it takes; this is far more. */
enum { PLAIN_REPLIES_MAX_BYTES = 64 * 1024 * 1024 };

/* How such a reply lies in the buffer; its bytes follow. */
struct plain_reply_header {
    uint64_t seq;
    uint16_t length; /* with the line's end */
};

static const struct machine_state plain_receiver_states[] = {
    [PLAIN_RECEIVER_OPEN] = {"open", MACHINE_TO(PLAIN_RECEIVER_FINISHING)},
    [PLAIN_RECEIVER_FINISHING] = {"finishing", MACHINE_TO(PLAIN_RECEIVER_CLOSED)},
    [PLAIN_RECEIVER_CLOSED] = {"closed", 0},
};

enum certpost_status plain_receiver_init(struct plain_receiver *receiver,
                                         const struct plain_receiver_config *config,
                                         struct certpost_error *error)
{
    size_t reply_bytes = strlen(config->reply);
    if (reply_bytes > PLAIN_REPLY_MAX_BYTES)
        return error_set(error, CERTPOST_USAGE, "a reply has at most %d bytes",
                         PLAIN_REPLY_MAX_BYTES);
    *receiver = (struct plain_receiver){
        .config = *config,
        .machine = machine_start(plain_receiver_states, PLAIN_RECEIVER_OPEN),
    };
    plain_decoder_init(&receiver->decoder, config->framing, config->max_message_bytes);
    buffer_init(&receiver->replies, PLAIN_REPLIES_MAX_BYTES);
    memcpy(receiver->reply, config->reply, reply_bytes);
    if (config->framing == PLAIN_LINE)
        receiver->reply[reply_bytes++] = '\n';
    receiver->reply_bytes = reply_bytes;
    return CERTPOST_OK;
}

void plain_receiver_free(struct plain_receiver *receiver)
{
    if (receiver == NULL)
        return;
    plain_decoder_free(&receiver->decoder);
    buffer_free(&receiver->replies);
}

void plain_receiver_feed(struct plain_receiver *receiver, const unsigned char *bytes, size_t length)
{
    if (receiver->machine.state == PLAIN_RECEIVER_OPEN)
        plain_decoder_feed(&receiver->decoder, bytes, length);
}

enum certpost_status plain_receiver_keep(struct plain_receiver *receiver)
{
    return plain_decoder_keep(&receiver->decoder);
}

static enum certpost_status plain_receiver_finish(struct plain_receiver *receiver,
                                                  struct certpost_error *error)
{
    if (receiver->machine.state != PLAIN_RECEIVER_OPEN)
        return CERTPOST_OK;
    return machine_move(&receiver->machine, PLAIN_RECEIVER_FINISHING, error);
}

static void plain_receiver_stop_taking(struct plain_receiver *receiver)
{
    receiver->take_rest = false;
    receiver->take_last = false;
}

static void plain_receiver_set_refusal(struct plain_receiver *receiver, const char *reason)
{
    if (receiver->refusal_reason[0] != '\0')
        return; /* the first one counts, also when it was sent already */
    receiver->refuse = true;
    snprintf(receiver->refusal_reason, sizeof receiver->refusal_reason, "%s", reason);
    snprintf(receiver->refusal, sizeof receiver->refusal, PLAIN_REFUSAL_PREFIX "%s%s",
             receiver->refusal_reason, receiver->config.framing == PLAIN_LINE ? "\n" : "");
}

const char *plain_receiver_refusal(const struct plain_receiver *receiver)
{
    return receiver->refusal_reason[0] == '\0' ? NULL : receiver->refusal_reason;
}

static enum certpost_status plain_receiver_give_message(struct plain_receiver *receiver,
                                                        struct plain_span message,
                                                        struct plain_effect *ret_effect)
{
    receiver->taken_seq++;
    *ret_effect = (struct plain_effect){
        PLAIN_EFFECT_STORE,
        receiver->taken_seq,
        message.bytes,
        message.length,
    };
    return CERTPOST_OK;
}

/* A message out of the decoder, or WANT_READ; an overlong message ends the taking. */
static enum certpost_status plain_receiver_take(struct plain_receiver *receiver,
                                                struct plain_effect *ret_effect,
                                                struct certpost_error *error)
{
    struct plain_span message = {0};
    enum certpost_status status = plain_decoder_next(&receiver->decoder, &message);
    if (status == CERTPOST_OK)
        return plain_receiver_give_message(receiver, message, ret_effect);
    if (status != CERTPOST_LIMIT)
        return status;
    char reason[96];
    snprintf(reason, sizeof reason, "a %s has at most %zu bytes here",
             receiver->config.framing == PLAIN_LINE ? "line" : "message",
             receiver->config.max_message_bytes);
    plain_receiver_set_refusal(receiver, reason);
    plain_receiver_stop_taking(receiver);
    status = plain_receiver_finish(receiver, error);
    return status == CERTPOST_OK ? CERTPOST_WANT_READ : status;
}

static bool plain_receiver_take_last(struct plain_receiver *receiver,
                                     struct plain_effect *ret_effect)
{
    struct plain_span message = {0};
    if (!receiver->take_last)
        return false;
    receiver->take_last = false;
    if (!plain_decoder_last(&receiver->decoder, &message))
        return false;
    return plain_receiver_give_message(receiver, message, ret_effect) == CERTPOST_OK;
}

static struct plain_effect plain_receiver_send(const char *bytes, size_t length)
{
    return (struct plain_effect){PLAIN_EFFECT_SEND, 0, (const unsigned char *)bytes, length};
}

/* In FINISHING: what is left to do, in order; WANT_READ while the store still owes a result. */
static enum certpost_status plain_receiver_next_finishing(struct plain_receiver *receiver,
                                                          struct plain_effect *ret_effect,
                                                          struct certpost_error *error)
{
    if (receiver->take_rest) {
        enum certpost_status status = plain_receiver_take(receiver, ret_effect, error);
        if (status != CERTPOST_WANT_READ)
            return status;
        receiver->take_rest = false;
    }
    if (plain_receiver_take_last(receiver, ret_effect))
        return CERTPOST_OK;
    if (plain_receiver_uncommitted(receiver) > 0)
        return CERTPOST_WANT_READ;
    if (receiver->refuse) {
        receiver->refuse = false;
        *ret_effect = plain_receiver_send(receiver->refusal, strlen(receiver->refusal));
        return CERTPOST_OK;
    }
    *ret_effect = (struct plain_effect){.kind = PLAIN_EFFECT_CLOSE};
    return machine_move(&receiver->machine, PLAIN_RECEIVER_CLOSED, error);
}

/* ---- replies ---- */

enum certpost_status plain_receiver_set_reply(struct plain_receiver *receiver, uint64_t seq,
                                              const char *text, struct certpost_error *error)
{
    struct plain_reply_header header = {.seq = seq};
    bool is_line = receiver->config.framing == PLAIN_LINE;
    size_t length = strlen(text);
    unsigned char *tail = NULL;
    if (seq > receiver->taken_seq || seq <= receiver->committed_seq || length == 0 ||
        length > PLAIN_TEXT_MAX_BYTES)
        return error_set(error, CERTPOST_INTERNAL,
                         "a reply to a message that does not wait for it");
    header.length = (uint16_t)(length + (is_line ? 1 : 0));
    if (buffer_reserve(&receiver->replies, sizeof header + header.length, &tail) != CERTPOST_OK)
        return error_no_memory(error);
    memcpy(tail, &header, sizeof header);
    memcpy(tail + sizeof header, text, length);
    if (is_line)
        tail[sizeof header + length] = '\n';
    buffer_commit(&receiver->replies, sizeof header + header.length);
    return CERTPOST_OK;
}

/* The reply to the next message that is committed and not answered: its own, or the usual one. */
static struct plain_effect plain_receiver_reply(struct plain_receiver *receiver)
{
    struct plain_reply_header header = {0};
    receiver->replied_seq++;
    if (receiver->replies.length > 0)
        memcpy(&header, buffer_bytes(&receiver->replies), sizeof header);
    if (header.seq != receiver->replied_seq)
        return plain_receiver_send(receiver->reply, receiver->reply_bytes);
    receiver->reply_to_forget = sizeof header + header.length;
    return plain_receiver_send((const char *)buffer_bytes(&receiver->replies) + sizeof header,
                               header.length);
}

static void plain_receiver_forget_reply(struct plain_receiver *receiver)
{
    if (receiver->reply_to_forget == 0)
        return;
    buffer_consume(&receiver->replies, receiver->reply_to_forget);
    buffer_release_if_empty(&receiver->replies);
    receiver->reply_to_forget = 0;
}

enum certpost_status plain_receiver_next(struct plain_receiver *receiver,
                                         struct plain_effect *ret_effect,
                                         struct certpost_error *error)
{
    plain_receiver_forget_reply(receiver);
    if (receiver->replied_seq < receiver->committed_seq) {
        *ret_effect = plain_receiver_reply(receiver);
        return CERTPOST_OK;
    }
    if (receiver->machine.state == PLAIN_RECEIVER_OPEN) {
        enum certpost_status status = plain_receiver_take(receiver, ret_effect, error);
        if (status != CERTPOST_WANT_READ || receiver->machine.state == PLAIN_RECEIVER_OPEN)
            return status;
    }
    if (receiver->machine.state == PLAIN_RECEIVER_FINISHING)
        return plain_receiver_next_finishing(receiver, ret_effect, error);
    return CERTPOST_WANT_READ;
}

enum certpost_status plain_receiver_committed(struct plain_receiver *receiver,
                                              const struct committed *committed,
                                              struct certpost_error *error)
{
    if (committed->seq > receiver->taken_seq || committed->seq <= receiver->committed_seq)
        return error_set(error, CERTPOST_INTERNAL, "a commit for a message that was not given out");
    receiver->committed_seq = committed->seq;
    return CERTPOST_OK;
}

enum certpost_status plain_receiver_refuse(struct plain_receiver *receiver, const char *reason,
                                           struct certpost_error *error)
{
    plain_receiver_stop_taking(receiver);
    plain_receiver_set_refusal(receiver, reason);
    return plain_receiver_finish(receiver, error);
}

enum certpost_status plain_receiver_store_failed(struct plain_receiver *receiver,
                                                 const char *reason, struct certpost_error *error)
{
    /* What is lost now stands before a rejected message, whose text would be taken for its answer.
     */
    if (receiver->rejects && receiver->refuse && plain_receiver_uncommitted(receiver) > 0)
        receiver->refusal_reason[0] = '\0';
    receiver->taken_seq = receiver->committed_seq;
    return plain_receiver_refuse(receiver, reason, error);
}

enum certpost_status plain_receiver_reject(struct plain_receiver *receiver, uint64_t seq,
                                           const char *reason, struct certpost_error *error)
{
    if (receiver->machine.state == PLAIN_RECEIVER_CLOSED)
        return CERTPOST_OK;
    if (seq > receiver->taken_seq || seq <= receiver->committed_seq)
        return error_set(error, CERTPOST_INTERNAL, "message %llu cannot be refused now",
                         (unsigned long long)seq);
    receiver->taken_seq = seq - 1;
    /* What was to be refused came behind this message. */
    receiver->refusal_reason[0] = '\0';
    receiver->rejects = true;
    return plain_receiver_refuse(receiver, reason, error);
}

enum certpost_status plain_receiver_input_ended(struct plain_receiver *receiver, bool clean,
                                                struct certpost_error *error)
{
    if (receiver->machine.state != PLAIN_RECEIVER_OPEN)
        return CERTPOST_OK;
    receiver->take_rest = true;
    receiver->take_last = clean;
    return plain_receiver_finish(receiver, error);
}

enum certpost_status plain_receiver_drain(struct plain_receiver *receiver,
                                          struct certpost_error *error)
{
    return plain_receiver_input_ended(receiver, false, error);
}

uint64_t plain_receiver_uncommitted(const struct plain_receiver *receiver)
{
    return receiver->taken_seq - receiver->committed_seq;
}
