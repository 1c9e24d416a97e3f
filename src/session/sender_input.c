/*
 * sender_input.c — what the server's frames do to a sender (session/sender.h): where to resume, and
 * whether the server holds what was sent (docs/protocol.md, section 6.3).
 *
 * Uses: base, wire.  Used by: whoever uses sender.c, whose other half this is.
 * Never: releases a message whose digest it could have checked and has not.
 */
#include "base/error.h"
#include "base/text.h"
#include "session/sender_internal.h"

#include <stdio.h>
#include <string.h>

/* Section 10.2, the second table. */
static uint32_t sender_allowed_frames(const struct sender *sender)
{
    const uint32_t always = FRAME_BIT(FRAME_PING) | FRAME_BIT(FRAME_PONG) | FRAME_BIT(FRAME_GOAWAY);
    switch (sender_state(sender)) {
    case SENDER_GREETING:
        return always | FRAME_BIT(FRAME_WELCOME);
    case SENDER_SKIPPING:
        return always;
    case SENDER_PROVING:
        return sender->proven ? always : always | FRAME_BIT(FRAME_RECEIPT);
    case SENDER_OPEN:
    case SENDER_LEAVING:
        return always | FRAME_BIT(FRAME_ACK) | FRAME_BIT(FRAME_REJECT);
    case SENDER_DRAINING:
        return sender->failure.status == CERTPOST_REFUSED && sender->refusal.seq > 0
                   ? 0
                   : FRAME_BIT(FRAME_ACK);
    case SENDER_DISCONNECTED:
    case SENDER_FINISHED:
    case SENDER_FAILED:
    default:
        return 0;
    }
}

static struct message_span sender_keep_text(unsigned char copy[MESSAGE_STR8_MAX_BYTES],
                                            const struct message_span *text)
{
    if (text->length > 0)
        memcpy(copy, text->bytes, text->length);
    return (struct message_span){copy, text->length};
}

static bool sender_digests_equal(const unsigned char *one, const unsigned char *other)
{
    return memcmp(one, other, CHAIN_DIGEST_BYTES) == 0;
}

static struct sender_point sender_point_of(const struct message_ack *ack)
{
    struct sender_point point = {.seq = ack->last_seq, .digest_known = true};
    memcpy(point.digest, ack->digest, CHAIN_DIGEST_BYTES);
    return point;
}

/* ---- WELCOME ---- */

static enum certpost_status sender_check_terms(struct sender *sender,
                                               const struct message_welcome *welcome,
                                               struct certpost_error *error)
{
    if (welcome->level < sender->config.required_level)
        return error_set(error, CERTPOST_REFUSED,
                         "the server acknowledges at level %d, and level %d is required",
                         (int)welcome->level, (int)sender->config.required_level);
    if (sender_lacks_receipt(sender) && !welcome->receipts)
        return error_set(error, CERTPOST_REFUSED, "the server gives no receipts: %s",
                         welcome->level < MESSAGE_LEVEL_STORED
                             ? "it has no store"
                             : "it cannot sign them with the key of this connection, or does not "
                               "know them");
    if (!welcome->has_origin)
        return CERTPOST_OK;
    if (welcome->head.last_seq == 0 && !sender_digests_equal(welcome->origin, welcome->head.digest))
        return error_set(error, CERTPOST_PROTOCOL,
                         "WELCOME: the digest of an empty stream is not its origin");
    if (sender->origin_known && !sender_digests_equal(welcome->origin, sender->origin))
        return error_set(error, CERTPOST_DIGEST,
                         "the server speaks of another stream than before: did the identity of "
                         "the client change?");
    return CERTPOST_OK;
}

/* Takes over what only WELCOME can tell: where an unknown stream ends, what D(0) is. */
static void sender_learn(struct sender *sender, const struct message_welcome *welcome)
{
    if (welcome->has_origin) {
        sender->origin_known = true;
        memcpy(sender->origin, welcome->origin, CHAIN_DIGEST_BYTES);
    }
    if (!sender->position_known) {
        sender->base = sender->chain = sender_point_of(&welcome->head);
        sender->position_known = true;
    }
    if (sender->base.seq == 0 && !sender->base.digest_known && sender->origin_known) {
        memcpy(sender->base.digest, sender->origin, CHAIN_DIGEST_BYTES);
        sender->base.digest_known = true;
        if (sender->chain.seq == 0)
            sender->chain = sender->base;
    }
}

/* Section 6.3, the exception: level `accepted` forgets its streams when the server restarts. */
static bool sender_stream_began_anew(const struct sender *sender,
                                     const struct message_welcome *welcome)
{
    return welcome->level == MESSAGE_LEVEL_ACCEPTED && sender->level == MESSAGE_LEVEL_ACCEPTED &&
           welcome->head.last_seq == 0 && sender->promised_seq > 0;
}

static void sender_begin_anew(struct sender *sender, const struct message_welcome *welcome)
{
    if (sender->flights.count == 0)
        sender->base_position += sender->chain.seq - sender->base.seq; /* skipped: handed on once */
    fifo_free(&sender->flights);
    sender->base = sender->chain = sender_point_of(&welcome->head);
    sender->promised_seq = sender->earlier_seq = 0;
    sender->acked_due = true;
}

static const unsigned char *sender_digest_at(const struct sender *sender, uint64_t seq)
{
    if (seq == sender->base.seq)
        return sender->base.digest_known ? sender->base.digest : NULL;
    const struct sender_flight *flight =
        fifo_at(&sender->flights, (size_t)(seq - sender->base.seq - 1));
    return flight->digest;
}

static enum certpost_status sender_digest_error(struct certpost_error *error, uint64_t seq)
{
    return error_set(error, CERTPOST_DIGEST,
                     "up to message %llu the server does not hold what was sent",
                     (unsigned long long)seq);
}

/* Nothing of it was sent, so it cannot be said that it was. */
static enum certpost_status sender_input_error(const struct sender *sender, uint64_t seq,
                                               struct certpost_error *error)
{
    return error_set(error, CERTPOST_DIGEST,
                     "the server does not hold what the input has, somewhere in messages %llu to "
                     "%llu",
                     (unsigned long long)sender->base.seq + 1, (unsigned long long)seq);
}

/* The server has something that is not known here: is that possible, and what is to be skipped? */
static enum certpost_status sender_begin_skipping(struct sender *sender,
                                                  const struct sender_point *stored,
                                                  struct certpost_error *error)
{
    if (stored->seq > sender->earlier_seq)
        return error_set(error, CERTPOST_DIGEST,
                         "the server has %llu messages of the stream, and at most %llu were sent: "
                         "somebody else wrote to it",
                         (unsigned long long)stored->seq,
                         (unsigned long long)(sender->chain.seq > sender->earlier_seq
                                                  ? sender->chain.seq
                                                  : sender->earlier_seq));
    if (sender_input_is_short(sender, stored->seq))
        return error_set(error, CERTPOST_DIGEST,
                         "the server has %llu messages of the stream, more than the input",
                         (unsigned long long)stored->seq);
    fifo_free(&sender->flights); /* the chain goes on from its end; they are compared with it */
    sender->skip_target = *stored;
    return machine_move(&sender->machine, SENDER_SKIPPING, error);
}

static enum certpost_status sender_locate(struct sender *sender, const struct sender_point *stored,
                                          struct certpost_error *error)
{
    if (stored->seq < sender->promised_seq || stored->seq < sender->base.seq)
        return error_set(error, CERTPOST_DIGEST,
                         "the server has %llu messages of the stream where it must have %llu: it "
                         "lost some, or was restored from an old copy",
                         (unsigned long long)stored->seq,
                         (unsigned long long)(stored->seq < sender->promised_seq
                                                  ? sender->promised_seq
                                                  : sender->base.seq));
    sender->promised_seq = stored->seq;
    if (stored->seq > sender->chain.seq)
        return sender_begin_skipping(sender, stored, error);
    const unsigned char *digest = sender_digest_at(sender, stored->seq);
    if (digest != NULL && !sender_digests_equal(digest, stored->digest))
        return sender_digest_error(error, stored->seq);
    if (digest == NULL)
        sender->chain = *stored;
    sender_release(sender, stored);
    sender->next_seq = stored->seq + 1;
    return machine_move(&sender->machine, SENDER_OPEN, error);
}

static enum certpost_status sender_on_welcome(struct sender *sender,
                                              const struct message_welcome *welcome, int64_t now_ms,
                                              struct certpost_error *error)
{
    enum certpost_status status = sender_check_terms(sender, welcome, error);
    if (status != CERTPOST_OK)
        return status;
    sender->welcome = *welcome;
    sender->welcome.server_name =
        sender_keep_text(sender->texts.server_name, &welcome->server_name);
    sender->welcome.reply = sender_keep_text(sender->texts.reply, &welcome->reply);
    sender->welcomed = sender->welcomed_due = true;
    sender->last_sent_ms = now_ms;
    sender_learn(sender, welcome);
    if (sender_stream_began_anew(sender, welcome))
        sender_begin_anew(sender, welcome);
    sender->level = welcome->level;
    struct sender_point stored = sender_point_of(&welcome->head);
    return sender_locate(sender, &stored, error);
}

enum certpost_status sender_end_skipping(struct sender *sender, int64_t now_ms,
                                         struct certpost_error *error)
{
    const struct sender_point *target = &sender->skip_target;
    bool can_compare = sender->chain.digest_known;
    if (can_compare && !sender_digests_equal(sender->chain.digest, target->digest))
        return sender->config.start == SENDER_RESUME
                   ? sender_input_error(sender, target->seq, error)
                   : sender_digest_error(error, target->seq);
    if (!can_compare)
        sender->unchecked_seq = target->seq;
    sender->chain = *target;
    sender_release(sender, target);
    sender->next_seq = target->seq + 1;
    sender->last_sent_ms = now_ms;
    return machine_move(&sender->machine, SENDER_OPEN, error);
}

/* ---- ACK, REJECT, GOAWAY ---- */

static enum certpost_status sender_on_ack(struct sender *sender, const struct message_ack *ack,
                                          int64_t now_ms, struct certpost_error *error)
{
    if (ack->last_seq <= sender->base.seq || ack->last_seq >= sender->next_seq ||
        ack->last_seq - sender->base.seq > sender->flights.count)
        return error_set(error, CERTPOST_PROTOCOL,
                         "ACK: %llu was acknowledged where %llu to %llu are unacknowledged",
                         (unsigned long long)ack->last_seq,
                         (unsigned long long)sender->base.seq + 1,
                         (unsigned long long)sender->next_seq - 1);
    if (!sender_digests_equal(sender_digest_at(sender, ack->last_seq), ack->digest))
        return sender_digest_error(error, ack->last_seq);
    struct sender_point point = sender_point_of(ack);
    size_t count = (size_t)(point.seq - sender->base.seq);
    for (size_t i = 0; i < count; i++) {
        const struct sender_flight *flight = fifo_at(&sender->flights, i);
        sender->unacked_bytes -= message_cost_bytes(flight->length);
    }
    sender_release(sender, &point);
    sender->promised_seq = point.seq;
    sender->ack_wait_ms = now_ms;
    sender_finish_if_done(sender);
    return CERTPOST_OK;
}

static void sender_keep_refusal(struct sender *sender, const struct message_refusal *refusal,
                                int64_t now_ms)
{
    sender->refusal = *refusal;
    sender->refusal.text = sender_keep_text(sender->texts.refusal, &refusal->text);
    sender->refused = true;
    sender->answer_deadline_ms = sender_deadline(now_ms, sender->config.answer_timeout_ms);
}

/* What the server said, for a person. */
static void sender_explain(struct sender *sender, enum certpost_status status, const char *what)
{
    char text[MESSAGE_STR8_MAX_BYTES * TEXT_ESCAPE_MAX + 1];
    const struct message_refusal *refusal = &sender->refusal;
    text_escape(refusal->text.bytes, refusal->text.length, text, sizeof text);
    (void)error_set(&sender->failure, status, "%s (%s)%s%s", what, message_code_name(refusal->code),
                    text[0] == '\0' ? "" : ": ", text);
}

static enum certpost_status sender_on_reject(struct sender *sender,
                                             const struct message_refusal *reject, int64_t now_ms,
                                             struct certpost_error *error)
{
    if (reject->seq != sender->base.seq + 1 || reject->seq >= sender->next_seq)
        return error_set(error, CERTPOST_PROTOCOL,
                         "REJECT: message %llu was refused where %llu is the next",
                         (unsigned long long)reject->seq, (unsigned long long)sender->base.seq + 1);
    char what[64];
    snprintf(what, sizeof what, "the server refused message %llu", (unsigned long long)reject->seq);
    sender_keep_refusal(sender, reject, now_ms);
    sender_explain(sender, CERTPOST_REFUSED, what);
    return machine_move(&sender->machine, SENDER_DRAINING, error);
}

static enum certpost_status sender_on_goaway(struct sender *sender,
                                             const struct message_refusal *goaway, int64_t now_ms,
                                             struct certpost_error *error)
{
    sender_keep_refusal(sender, goaway, now_ms);
    bool by_own_ghost = goaway->code == MESSAGE_CODE_SUPERSEDED && sender->ghosts > 0;
    if (by_own_ghost)
        sender->ghosts--; /* section 6.4: once for each, so two senders cannot go on for ever */
    else if (goaway->code == MESSAGE_CODE_SUPERSEDED)
        sender_explain(sender, CERTPOST_SUPERSEDED, "a newer connection owns the stream");
    else if (goaway->code == MESSAGE_CODE_PROTOCOL)
        sender_explain(sender, CERTPOST_PROTOCOL, "the server says that the protocol was broken");
    else if (!message_code_may_retry(goaway->code))
        sender_explain(sender, CERTPOST_REFUSED, "the server refuses the stream");
    return machine_move(&sender->machine, SENDER_DRAINING, error);
}

/* ---- RECEIPT ---- */

/* The frame lives no longer than this call, and the caller reads it after that. */
static enum certpost_status sender_on_receipt(struct sender *sender,
                                              const struct message_receipt *receipt,
                                              struct certpost_error *error)
{
    struct buffer *bytes = &sender->receipt_bytes;
    size_t length = receipt->statement.length + receipt->signature.length;
    unsigned char *copy = NULL;
    if (length == 0)
        return error_set(error, CERTPOST_PROTOCOL, "RECEIPT: it is empty");
    buffer_clear(bytes);
    if (buffer_reserve(bytes, length, &copy) != CERTPOST_OK)
        return error_no_memory(error);
    if (receipt->statement.length > 0)
        memcpy(copy, receipt->statement.bytes, receipt->statement.length);
    if (receipt->signature.length > 0)
        memcpy(copy + receipt->statement.length, receipt->signature.bytes,
               receipt->signature.length);
    buffer_commit(bytes, length);
    sender->receipt.statement = (struct message_span){copy, receipt->statement.length};
    sender->receipt.signature =
        (struct message_span){copy + receipt->statement.length, receipt->signature.length};
    sender->proven = sender->receipt_due = true;
    return CERTPOST_OK;
}

/* ---- input ---- */

static enum certpost_status sender_on_message(struct sender *sender, const struct message *message,
                                              int64_t now_ms, struct certpost_error *error)
{
    switch (message->type) {
    case FRAME_WELCOME:
        return sender_on_welcome(sender, &message->welcome, now_ms, error);
    case FRAME_ACK:
        return sender_on_ack(sender, &message->ack, now_ms, error);
    case FRAME_REJECT:
        return sender_on_reject(sender, &message->refusal, now_ms, error);
    case FRAME_GOAWAY:
        return sender_on_goaway(sender, &message->refusal, now_ms, error);
    case FRAME_PING:
        memcpy(sender->pong, message->ping, MESSAGE_PING_BYTES);
        sender->pong_due = true;
        return CERTPOST_OK;
    case FRAME_PONG:
        return CERTPOST_OK;
    case FRAME_RECEIPT:
        return sender_on_receipt(sender, &message->receipt, error);
    case FRAME_HELLO:
    case FRAME_MESSAGE:
    case FRAME_BYE:
    case FRAME_RECEIPT_REQUEST:
    default:
        return error_set(error, CERTPOST_INTERNAL, "the decoder let a frame of type %u through",
                         (unsigned)message->type);
    }
}

static bool sender_takes_input(const struct sender *sender)
{
    return sender->connected && !sender->ending && sender_state(sender) < SENDER_FINISHED;
}

enum certpost_status sender_input(struct sender *sender, struct cursor *input, int64_t now_ms,
                                  struct certpost_error *error)
{
    struct certpost_error own = {.status = CERTPOST_OK};
    enum certpost_status status = CERTPOST_OK;
    if (input->left_bytes > 0) {
        sender->last_alive_ms = now_ms;
        sender->ping_waits = false;
    }
    while (status == CERTPOST_OK && input->left_bytes > 0 && sender_takes_input(sender)) {
        struct frame frame = {0};
        struct message message = {0};
        status = frame_decoder_next(&sender->decoder, input, sender_allowed_frames(sender), &frame,
                                    &own);
        if (status == CERTPOST_OK)
            status = message_decode(&frame, &message, &own);
        if (status == CERTPOST_OK)
            status = sender_on_message(sender, &message, now_ms, &own);
    }
    frame_decoder_release(&sender->decoder);
    input->left_bytes = 0; /* what comes after the end of the conversation means nothing */
    if (status == CERTPOST_OK || status == CERTPOST_WANT_READ)
        return CERTPOST_OK;
    (void)error_adopt(error, status, &own);
    return sender_fail(sender, status, &own);
}
