/*
 * receiver_input.c — what the client's frames do to a receiver (session/receiver.h).
 *
 * Uses: base, wire.  Used by: whoever uses receiver.c, whose other half this is.
 * Never: a clock, a socket, a store; nothing here says that a message is safe.
 */
#include "base/error.h"
#include "session/receiver_internal.h"

#include <string.h>

/* An incomplete frame extends the idle time at every so many bytes (section 7). */
enum { RECEIVER_PROGRESS_BYTES = 16384 };

/* Section 10.1, the second table. */
static uint32_t receiver_allowed_frames(const struct receiver *receiver)
{
    const uint32_t pings = FRAME_BIT(FRAME_PING) | FRAME_BIT(FRAME_PONG);
    switch (receiver_state(receiver)) {
    case RECEIVER_NEW:
        return FRAME_BIT(FRAME_HELLO);
    case RECEIVER_OPENING:
    case RECEIVER_LEAVING:
        return pings;
    case RECEIVER_OPEN:
        if (receiver->welcome_due) /* a client cannot know its number yet */
            return pings;
        return pings | FRAME_BIT(FRAME_MESSAGE) | FRAME_BIT(FRAME_BYE) |
               FRAME_BIT(FRAME_RECEIPT_REQUEST);
    case RECEIVER_DRAINING:
    case RECEIVER_CLOSED:
    default:
        return 0;
    }
}

static enum certpost_status receiver_on_hello(struct receiver *receiver,
                                              const struct message_hello *hello, int64_t now_ms,
                                              struct certpost_error *error)
{
    if (hello->required_level > receiver->config->level) {
        receiver_refuse(receiver, MESSAGE_CODE_LEVEL_UNAVAILABLE,
                        "this server does not have the required level", now_ms);
        return CERTPOST_OK;
    }
    enum certpost_status status =
        chain_first(receiver->chain, receiver->identity.bytes, receiver->identity.length,
                    hello->stream.bytes, hello->stream.length, receiver->origin);
    if (status == CERTPOST_OK)
        status = machine_move(&receiver->machine, RECEIVER_OPENING, error);
    if (status == CERTPOST_OK)
        receiver->effect = (struct receiver_effect){
            .type = RECEIVER_OPEN_STREAM, .stream = hello->stream, .software = hello->software};
    return status;
}

static enum certpost_status receiver_on_payload(struct receiver *receiver,
                                                const struct message_span *payload,
                                                struct certpost_error *error)
{
    if (receiver->received_seq >= MESSAGE_SEQ_MAX)
        return error_set(error, CERTPOST_LIMIT, "the stream has no more numbers");
    uint64_t cost = message_cost_bytes(payload->length);
    if (receiver->uncommitted_bytes + cost > receiver->config->window_bytes)
        return error_set(error, CERTPOST_PROTOCOL, "the window of %u bytes was passed",
                         (unsigned)receiver->config->window_bytes);
    struct receiver_effect effect = {
        .type = RECEIVER_STORE, .seq = receiver->received_seq + 1, .message = *payload};
    enum certpost_status status = chain_next(receiver->chain, receiver->received_digest,
                                             payload->bytes, payload->length, effect.digest);
    uint32_t length = (uint32_t)payload->length;
    if (status == CERTPOST_OK)
        status = fifo_push(&receiver->uncommitted, &length);
    if (status != CERTPOST_OK)
        return status == CERTPOST_NO_MEMORY ? error_no_memory(error) : status;
    receiver->uncommitted_bytes += cost;
    receiver->received_seq = effect.seq;
    memcpy(receiver->received_digest, effect.digest, CHAIN_DIGEST_BYTES);
    receiver->effect = effect;
    return CERTPOST_OK;
}

static enum certpost_status receiver_on_receipt_request(struct receiver *receiver,
                                                        struct certpost_error *error)
{
    if (!receiver->config->receipts)
        return error_set(error, CERTPOST_PROTOCOL, "this server signs no receipts");
    if (receiver->receipt_wanted)
        return error_set(error, CERTPOST_PROTOCOL, "a receipt is being made already");
    receiver->receipt_wanted = true;
    receiver->receipt_seq = receiver->received_seq;
    return CERTPOST_OK;
}

static enum certpost_status receiver_on_message(struct receiver *receiver,
                                                const struct message *message, int64_t now_ms,
                                                struct certpost_error *error)
{
    switch (message->type) {
    case FRAME_HELLO:
        return receiver_on_hello(receiver, &message->hello, now_ms, error);
    case FRAME_MESSAGE:
        return receiver_on_payload(receiver, &message->payload, error);
    case FRAME_BYE:
        return receiver_leave(receiver, now_ms, error);
    case FRAME_PING:
        memcpy(receiver->pong, message->ping, MESSAGE_PING_BYTES);
        receiver->pong_due = true;
        return CERTPOST_OK;
    case FRAME_PONG:
        return CERTPOST_OK;
    case FRAME_RECEIPT_REQUEST:
        return receiver_on_receipt_request(receiver, error);
    case FRAME_WELCOME:
    case FRAME_ACK:
    case FRAME_REJECT:
    case FRAME_GOAWAY:
    case FRAME_RECEIPT:
    default:
        return error_set(error, CERTPOST_INTERNAL, "the decoder let a frame of type %u through",
                         (unsigned)message->type);
    }
}

/* Tells the client what its input led to. The text of our own faults stays in the log. */
static void receiver_answer_failure(struct receiver *receiver, enum certpost_status status,
                                    const struct certpost_error *error, int64_t now_ms)
{
    const char *text = certpost_error_text(error, status);
    if (status == CERTPOST_PROTOCOL)
        receiver_refuse(receiver, MESSAGE_CODE_PROTOCOL, text, now_ms);
    else if (status == CERTPOST_LIMIT && receiver->received_seq >= MESSAGE_SEQ_MAX)
        receiver_refuse(receiver, MESSAGE_CODE_EXHAUSTED, text, now_ms);
    else if (status == CERTPOST_LIMIT)
        receiver_refuse_message(receiver, receiver->received_seq + 1, MESSAGE_CODE_TOO_LARGE, text,
                                now_ms);
    else if (status == CERTPOST_NO_MEMORY)
        receiver_refuse(receiver, MESSAGE_CODE_BUSY, "the server is out of memory", now_ms);
    else
        receiver_refuse(receiver, MESSAGE_CODE_INTERNAL, "the server failed", now_ms);
}

static void receiver_note_progress(struct receiver *receiver, int64_t now_ms)
{
    size_t held = frame_decoder_partial_bytes(&receiver->decoder);
    if (held < receiver->progress_mark_bytes + RECEIVER_PROGRESS_BYTES)
        return;
    receiver->progress_mark_bytes = held;
    receiver_restart_idle(receiver, now_ms);
}

/* One frame, or CERTPOST_WANT_READ. */
static enum certpost_status receiver_take_frame(struct receiver *receiver, struct cursor *input,
                                                int64_t now_ms, struct certpost_error *error)
{
    struct frame frame = {0};
    struct message message = {0};
    enum certpost_status status = frame_decoder_next(
        &receiver->decoder, input, receiver_allowed_frames(receiver), &frame, error);
    if (status != CERTPOST_OK)
        return status;
    receiver->progress_mark_bytes = 0;
    receiver_restart_idle(receiver, now_ms);
    status = message_decode(&frame, &message, error);
    return status == CERTPOST_OK ? receiver_on_message(receiver, &message, now_ms, error) : status;
}

static bool receiver_drops_input(const struct receiver *receiver)
{
    return receiver_state(receiver) >= RECEIVER_DRAINING;
}

enum certpost_status receiver_input(struct receiver *receiver, struct cursor *input, int64_t now_ms,
                                    struct certpost_error *error)
{
    struct certpost_error own = {.status = CERTPOST_OK};
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && input->left_bytes > 0 && !receiver_drops_input(receiver) &&
           receiver->effect.type == RECEIVER_NONE)
        status = receiver_take_frame(receiver, input, now_ms, &own);
    if (status == CERTPOST_WANT_READ) {
        receiver_note_progress(receiver, now_ms);
        status = CERTPOST_OK;
    }
    if (status != CERTPOST_OK) {
        receiver_answer_failure(receiver, status, &own, now_ms);
        (void)error_adopt(error, status, &own);
    }
    if (receiver_drops_input(receiver)) {
        frame_decoder_free(&receiver->decoder);
        input->left_bytes = 0;
    }
    return status;
}

enum certpost_status receiver_input_ended(struct receiver *receiver, bool clean, int64_t now_ms)
{
    bool cut = frame_decoder_partial_bytes(&receiver->decoder) > 0;
    frame_decoder_free(&receiver->decoder);
    bool leaves = clean && receiver_state(receiver) < RECEIVER_LEAVING;
    if (!clean || (leaves && receiver_leave(receiver, now_ms, NULL) != CERTPOST_OK))
        receiver->close_now = true;
    return clean && !cut ? CERTPOST_OK : CERTPOST_TRUNCATED;
}
