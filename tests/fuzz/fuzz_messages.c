/*
 * fuzz_messages.c — bodies of certpost/1 (wire/message.h): what decodes can be encoded again, and
 * then means the same; what does not decode cannot be encoded; half a frame is never left behind.
 *
 * Script: u8 allocation that fails, u8 type, u16 room for the frame; then the body.
 */
#include "fuzz/fuzz.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

static bool messages_spans_equal(const struct message_span *one, const struct message_span *other)
{
    return one->length == other->length &&
           (one->length == 0 || memcmp(one->bytes, other->bytes, one->length) == 0);
}

static enum certpost_status messages_encode(const struct message *message, struct buffer *output)
{
    struct committed head = {.seq = message->ack.last_seq};
    switch (message->type) {
    case FRAME_HELLO:
        return message_append_hello(output, &message->hello);
    case FRAME_WELCOME:
        head.seq = message->welcome.head.last_seq;
        memcpy(head.digest, message->welcome.head.digest, CHAIN_DIGEST_BYTES);
        return message_append_welcome(output, &head, &message->welcome);
    case FRAME_MESSAGE:
        return message_append_payload(output, message->payload.bytes, message->payload.length);
    case FRAME_ACK:
        memcpy(head.digest, message->ack.digest, CHAIN_DIGEST_BYTES);
        return message_append_ack(output, &head);
    case FRAME_REJECT:
        return message_append_reject(output, &message->refusal);
    case FRAME_GOAWAY:
        return message_append_goaway(output, &message->refusal);
    case FRAME_PING:
    case FRAME_PONG:
        return message_append_ping(output, message->type, message->ping);
    case FRAME_RECEIPT:
        return message_append_receipt(output, &message->receipt);
    case FRAME_BYE:
    case FRAME_RECEIPT_REQUEST:
    default:
        return message_append_empty(output, message->type);
    }
}

static bool messages_welcomes_equal(const struct message_welcome *one,
                                    const struct message_welcome *other)
{
    return one->head.last_seq == other->head.last_seq &&
           memcmp(one->head.digest, other->head.digest, CHAIN_DIGEST_BYTES) == 0 &&
           one->level == other->level && one->max_message_bytes == other->max_message_bytes &&
           one->window_bytes == other->window_bytes &&
           messages_spans_equal(&one->server_name, &other->server_name) &&
           messages_spans_equal(&one->reply, &other->reply) &&
           one->has_origin == other->has_origin &&
           (!one->has_origin || memcmp(one->origin, other->origin, CHAIN_DIGEST_BYTES) == 0) &&
           one->idle_timeout_ms == other->idle_timeout_ms && one->receipts == other->receipts;
}

static bool messages_equal(const struct message *one, const struct message *other)
{
    if (one->type != other->type)
        return false;
    switch (one->type) {
    case FRAME_HELLO:
        return messages_spans_equal(&one->hello.stream, &other->hello.stream) &&
               one->hello.required_level == other->hello.required_level &&
               messages_spans_equal(&one->hello.software, &other->hello.software);
    case FRAME_WELCOME:
        return messages_welcomes_equal(&one->welcome, &other->welcome);
    case FRAME_MESSAGE:
        return messages_spans_equal(&one->payload, &other->payload);
    case FRAME_ACK:
        return one->ack.last_seq == other->ack.last_seq &&
               memcmp(one->ack.digest, other->ack.digest, CHAIN_DIGEST_BYTES) == 0;
    case FRAME_REJECT:
    case FRAME_GOAWAY:
        return one->refusal.seq == other->refusal.seq && one->refusal.code == other->refusal.code &&
               messages_spans_equal(&one->refusal.text, &other->refusal.text);
    case FRAME_PING:
    case FRAME_PONG:
        return memcmp(one->ping, other->ping, MESSAGE_PING_BYTES) == 0;
    case FRAME_RECEIPT:
        return messages_spans_equal(&one->receipt.statement, &other->receipt.statement) &&
               messages_spans_equal(&one->receipt.signature, &other->receipt.signature);
    case FRAME_BYE:
    case FRAME_RECEIPT_REQUEST:
    default:
        return true;
    }
}

/* The one whole frame that `output` must hold. */
static struct frame messages_frame_in(struct frame_decoder *decoder, const struct buffer *output)
{
    struct cursor input = cursor_over(buffer_bytes(output), output->length);
    struct frame frame = {0};
    FUZZ_CHECK(frame_decoder_next(decoder, &input, UINT32_MAX, &frame, NULL) == CERTPOST_OK);
    FUZZ_CHECK(input.left_bytes == 0);
    return frame;
}

/* `body` is what the message was decoded from, or NULL. */
static void messages_round_trip(const struct message *message, const struct frame *body)
{
    struct buffer output;
    struct frame_decoder decoder;
    struct message again = {0};
    buffer_init(&output, FRAME_HEADER_BYTES + (size_t)FRAME_MESSAGE_MAX_BYTES);
    frame_decoder_init(&decoder, FRAME_MESSAGE_MAX_BYTES);
    FUZZ_CHECK(messages_encode(message, &output) == CERTPOST_OK);
    struct frame frame = messages_frame_in(&decoder, &output);
    FUZZ_CHECK(message_decode(&frame, &again, NULL) == CERTPOST_OK);
    FUZZ_CHECK(messages_equal(message, &again));
    /* Only options can be spelt in more than one way. */
    if (body != NULL && message->type != FRAME_HELLO && message->type != FRAME_WELCOME)
        FUZZ_CHECK(frame.length == body->length &&
                   (frame.length == 0 || memcmp(frame.body, body->body, frame.length) == 0));
    frame_decoder_free(&decoder);
    buffer_free(&output);
}

/* With little room, and when memory runs out: a whole frame, or nothing. */
static void messages_encode_in_need(const struct message *message, size_t room,
                                    struct cursor *fault)
{
    struct buffer output;
    struct frame_decoder decoder;
    buffer_init(&output, room);
    frame_decoder_init(&decoder, FRAME_MESSAGE_MAX_BYTES);
    fuzz_arm_memory(fault);
    enum certpost_status status = messages_encode(message, &output);
    bool struck = fuzz_heal_memory();
    if (status == CERTPOST_OK)
        (void)messages_frame_in(&decoder, &output);
    else
        FUZZ_CHECK(output.length == 0 && (status == CERTPOST_LIMIT || status == CERTPOST_USAGE ||
                                          (status == CERTPOST_NO_MEMORY && struck)));
    buffer_free(&output);
}

/* Values that did not come from a decoder: what is encoded all the same must decode. */
static void messages_encode_anything(enum frame_type type, struct message_span body)
{
    struct message message = {.type = type};
    struct message_span half = {body.bytes, body.length / 2};
    struct message_span rest = {body.bytes + half.length, body.length - half.length};
    switch (type) {
    case FRAME_HELLO:
        message.hello = (struct message_hello){.stream = half, .software = rest};
        break;
    case FRAME_WELCOME:
        message.welcome.window_bytes = MESSAGE_OVERHEAD_BYTES;
        message.welcome.server_name = half;
        message.welcome.reply = rest;
        break;
    case FRAME_REJECT:
    case FRAME_GOAWAY:
        message.refusal.text = body;
        break;
    case FRAME_RECEIPT:
        message.receipt = (struct message_receipt){.statement = half, .signature = body};
        break;
    case FRAME_MESSAGE:
    case FRAME_ACK:
    case FRAME_BYE:
    case FRAME_PING:
    case FRAME_PONG:
    case FRAME_RECEIPT_REQUEST:
    default:
        return;
    }
    struct buffer output;
    buffer_init(&output, FRAME_HEADER_BYTES + (size_t)FRAME_MESSAGE_MAX_BYTES);
    enum certpost_status status = messages_encode(&message, &output);
    FUZZ_CHECK(status == CERTPOST_OK || (status == CERTPOST_USAGE && output.length == 0));
    if (status == CERTPOST_OK)
        messages_round_trip(&message, NULL);
    buffer_free(&output);
}

static void messages_wrong_types(enum frame_type type, const unsigned char *ping)
{
    struct buffer output;
    buffer_init(&output, 64);
    bool empty = type == FRAME_BYE || type == FRAME_RECEIPT_REQUEST;
    bool pings = type == FRAME_PING || type == FRAME_PONG;
    FUZZ_CHECK(message_append_empty(&output, type) == (empty ? CERTPOST_OK : CERTPOST_USAGE));
    buffer_clear(&output);
    FUZZ_CHECK(message_append_ping(&output, type, ping) == (pings ? CERTPOST_OK : CERTPOST_USAGE));
    FUZZ_CHECK(message_append_payload(&output, ping, (size_t)FRAME_MESSAGE_MAX_BYTES + 1) ==
               CERTPOST_USAGE);
    buffer_free(&output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char ping[MESSAGE_PING_BYTES];
    struct cursor script = cursor_over(data, size);
    struct cursor fault = cursor_over(data, size > 0 ? 1 : 0);
    (void)fuzz_u8(&script);
    enum frame_type type = (enum frame_type)(fuzz_u8(&script) % 16);
    uint16_t room = fuzz_u16(&script);
    uint8_t *body = fuzz_copy(script.next, script.left_bytes);
    struct frame frame = {.type = type, .body = body, .length = script.left_bytes};
    struct message message = {0};
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = message_decode(&frame, &message, &error);
    fuzz_check_error(status, &error);
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_PROTOCOL);
    /* A longer one does not pass the decoder of frames. */
    if (status == CERTPOST_OK &&
        (type != FRAME_RECEIPT || frame.length <= FRAME_RECEIPT_MAX_BYTES)) {
        messages_round_trip(&message, &frame);
        messages_encode_in_need(&message, room, &fault);
    }
    messages_encode_anything(type, (struct message_span){body, frame.length});
    messages_wrong_types(type, ping);
    FUZZ_CHECK(message_code_name(room)[0] != '\0');
    (void)message_code_may_retry(room);
    free(body);
    return 0;
}
