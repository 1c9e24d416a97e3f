/*
 * receiver_output.c — what a receiver sends (session/receiver.h).
 *
 * Uses: base, wire.  Used by: whoever uses receiver.c, whose other half this is.
 * Never: says that a message is safe but by the store's word: WELCOME and ACK are made here alone,
 * from `receiver->committed`, which receiver.c sets to values that a store made, and to nothing
 * else.
 */
#include "session/receiver_internal.h"

#include <string.h>

static bool receiver_may_ack(const struct receiver *receiver)
{
    return receiver->committed.seq > receiver->acked_seq;
}

bool receiver_has_output(const struct receiver *receiver)
{
    if (receiver_state(receiver) == RECEIVER_CLOSED || receiver->close_now)
        return false;
    return receiver->welcome_due || receiver_may_ack(receiver) || receiver->pong_due ||
           receiver_refusal_is_ready(receiver);
}

static enum certpost_status receiver_put_welcome(struct receiver *receiver, struct buffer *output)
{
    const struct receiver_config *config = receiver->config;
    struct message_welcome terms = {
        .level = config->level,
        .max_message_bytes = config->max_message_bytes,
        .window_bytes = config->window_bytes,
        .server_name = config->server_name,
        .reply = config->reply,
        .has_origin = true,
        .idle_timeout_ms = (uint32_t)config->idle_timeout_ms,
        .receipts = config->receipts,
    };
    memcpy(terms.origin, receiver->origin, CHAIN_DIGEST_BYTES);
    enum certpost_status status = message_append_welcome(output, &receiver->committed, &terms);
    if (status == CERTPOST_OK) {
        receiver->welcome_due = false;
        receiver->acked_seq = receiver->committed.seq;
    }
    return status;
}

static enum certpost_status receiver_put_ack(struct receiver *receiver, struct buffer *output)
{
    enum certpost_status status = message_append_ack(output, &receiver->committed);
    if (status == CERTPOST_OK) {
        receiver->ack_count++;
        receiver->acked_messages += receiver->committed.seq - receiver->acked_seq;
        receiver->acked_seq = receiver->committed.seq;
    }
    return status;
}

static enum certpost_status receiver_put_refusal(struct receiver *receiver, struct buffer *output)
{
    const struct receiver_refusal *refusal = &receiver->refusal;
    struct message_refusal frame = {
        .seq = refusal->seq,
        .code = refusal->code,
        .text = {(const unsigned char *)refusal->text, strlen(refusal->text)},
    };
    enum certpost_status status = refusal->type == FRAME_GOAWAY
                                      ? message_append_goaway(output, &frame)
                                      : message_append_reject(output, &frame);
    if (status == CERTPOST_OK)
        receiver->refusal.due = false;
    return status;
}

enum certpost_status receiver_output(struct receiver *receiver, struct buffer *output)
{
    frame_decoder_release(&receiver->decoder);
    if (!receiver_has_output(receiver))
        return CERTPOST_OK;
    enum certpost_status status = CERTPOST_OK;
    if (receiver->welcome_due)
        status = receiver_put_welcome(receiver, output);
    if (status == CERTPOST_OK && receiver_may_ack(receiver))
        status = receiver_put_ack(receiver, output);
    if (status == CERTPOST_OK && receiver->pong_due) {
        status = message_append_ping(output, FRAME_PONG, receiver->pong);
        receiver->pong_due = status != CERTPOST_OK;
    }
    if (status == CERTPOST_OK && receiver_refusal_is_ready(receiver))
        status = receiver_put_refusal(receiver, output);
    return status;
}

enum certpost_status receiver_append_receipt(struct receiver *receiver, struct buffer *output,
                                             const struct message_receipt *receipt)
{
    if (!receiver->receipt_asked || !receiver->receipt_wanted || receiver->close_now)
        return CERTPOST_OK; /* nobody waits for it any more */
    enum certpost_status status = receiver_output(receiver, output);
    if (status == CERTPOST_OK)
        status = message_append_receipt(output, receipt);
    if (status == CERTPOST_OK)
        receiver->receipt_wanted = receiver->receipt_asked = false;
    return status;
}
