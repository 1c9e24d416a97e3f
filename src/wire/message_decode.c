/*
 * message_decode.c — bodies of frames to values (wire/message.h, docs/protocol.md section 4).
 *
 * Uses: base.  Used by: session.
 * Never: copies text, accepts a body with a byte too much, reads past the frame.
 */
#include "base/error.h"
#include "base/text.h"
#include "wire/message.h"
#include "wire/text_rules.h"

#include <string.h>

struct message_option {
    uint8_t tag;
    struct message_span value;
};

/* Which tags have been seen, to find one that comes twice. */
struct message_tags {
    unsigned char seen[256 / 8];
};

static enum certpost_status message_broken(struct certpost_error *error, const struct frame *frame,
                                           const char *what)
{
    return error_set(error, CERTPOST_PROTOCOL, "%s: %s", frame_type_name(frame->type), what);
}

static bool message_read_span(struct cursor *cursor, struct message_span *ret_span)
{
    return cursor_read_str8(cursor, &ret_span->bytes, &ret_span->length);
}

static bool message_read_digest(struct cursor *cursor, unsigned char ret_digest[CHAIN_DIGEST_BYTES])
{
    const unsigned char *bytes = NULL;
    if (!cursor_take(cursor, CHAIN_DIGEST_BYTES, &bytes))
        return false;
    memcpy(ret_digest, bytes, CHAIN_DIGEST_BYTES);
    return true;
}

/* The next option; `*ret_any` is false at the end of the body. */
static enum certpost_status message_next_option(const struct frame *frame, struct cursor *cursor,
                                                struct message_tags *tags, bool *ret_any,
                                                struct message_option *ret_option,
                                                struct certpost_error *error)
{
    *ret_any = cursor->left_bytes > 0;
    if (!*ret_any)
        return CERTPOST_OK;
    uint8_t tag = 0;
    if (!cursor_read_u8(cursor, &tag) || !message_read_span(cursor, &ret_option->value))
        return message_broken(error, frame, "an option is cut off");
    unsigned char bit = (unsigned char)(1U << (tag % 8));
    if (tags->seen[tag / 8] & bit)
        return message_broken(error, frame, "an option came twice");
    tags->seen[tag / 8] |= bit;
    ret_option->tag = tag;
    return CERTPOST_OK;
}

static enum certpost_status message_unknown_option(const struct frame *frame, uint8_t tag,
                                                   struct certpost_error *error)
{
    if (tag % 2 == 0)
        return CERTPOST_OK;
    return error_set(error, CERTPOST_PROTOCOL, "%s: the option with the odd tag %u is not known",
                     frame_type_name(frame->type), (unsigned)tag);
}

static enum certpost_status message_hello_option(const struct frame *frame,
                                                 const struct message_option *option,
                                                 struct message_hello *hello,
                                                 struct certpost_error *error)
{
    const struct message_span *value = &option->value;
    switch (option->tag) {
    case MESSAGE_OPTION_REQUIRED_LEVEL:
        if (value->length != 1 || value->bytes[0] > MESSAGE_LEVEL_REPLICATED)
            return message_broken(error, frame, "the required level is not one");
        hello->required_level = (enum message_level)value->bytes[0];
        return CERTPOST_OK;
    case MESSAGE_OPTION_SOFTWARE:
        if (value->length == 0 || !text_rules_plain(value->bytes, value->length))
            return message_broken(error, frame, "the software's name is not plain text");
        hello->software = *value;
        return CERTPOST_OK;
    default:
        return message_unknown_option(frame, option->tag, error);
    }
}

static enum certpost_status message_decode_hello(const struct frame *frame, struct cursor *cursor,
                                                 struct message *message,
                                                 struct certpost_error *error)
{
    struct message_hello *hello = &message->hello;
    *hello = (struct message_hello){.required_level = MESSAGE_LEVEL_ACCEPTED};
    if (!message_read_span(cursor, &hello->stream))
        return message_broken(error, frame, "the stream's name is cut off");
    if (!message_stream_name_is_valid(hello->stream.bytes, hello->stream.length))
        return message_broken(error, frame,
                              "the stream's name is not 1 to 255 bytes of plain text");
    struct message_tags tags = {{0}};
    struct message_option option = {0};
    bool any = true;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && any) {
        status = message_next_option(frame, cursor, &tags, &any, &option, error);
        if (status == CERTPOST_OK && any)
            status = message_hello_option(frame, &option, hello, error);
    }
    return status;
}

static enum certpost_status message_welcome_option(const struct frame *frame,
                                                   const struct message_option *option,
                                                   struct message_welcome *welcome,
                                                   struct certpost_error *error)
{
    struct cursor value = cursor_over(option->value.bytes, option->value.length);
    switch (option->tag) {
    case MESSAGE_OPTION_ORIGIN:
        if (!message_read_digest(&value, welcome->origin) || value.left_bytes > 0)
            return message_broken(error, frame, "the origin is not 32 bytes");
        welcome->has_origin = true;
        return CERTPOST_OK;
    case MESSAGE_OPTION_IDLE_TIMEOUT:
        if (!cursor_read_u32(&value, &welcome->idle_timeout_ms) || value.left_bytes > 0 ||
            welcome->idle_timeout_ms == 0)
            return message_broken(error, frame, "the idle timeout is not a duration");
        return CERTPOST_OK;
    case MESSAGE_OPTION_RECEIPTS:
        if (value.left_bytes > 0)
            return message_broken(error, frame, "the option for receipts has a value");
        welcome->receipts = true;
        return CERTPOST_OK;
    default:
        return message_unknown_option(frame, option->tag, error);
    }
}

static bool message_read_ack(struct cursor *cursor, struct message_ack *ret_ack)
{
    return cursor_read_u64(cursor, &ret_ack->last_seq) &&
           message_read_digest(cursor, ret_ack->digest);
}

static enum certpost_status message_decode_terms(const struct frame *frame, struct cursor *cursor,
                                                 struct message_welcome *welcome,
                                                 struct certpost_error *error)
{
    uint8_t level = 0;
    if (!message_read_ack(cursor, &welcome->head) || !cursor_read_u8(cursor, &level) ||
        !cursor_read_u32(cursor, &welcome->max_message_bytes) ||
        !cursor_read_u32(cursor, &welcome->window_bytes) ||
        !message_read_span(cursor, &welcome->server_name) ||
        !message_read_span(cursor, &welcome->reply))
        return message_broken(error, frame, "the body is cut off");
    if (welcome->head.last_seq > MESSAGE_SEQ_MAX)
        return message_broken(error, frame, "the last number is above 2^63 - 1");
    if (level > MESSAGE_LEVEL_REPLICATED)
        return message_broken(error, frame, "the level is not one");
    welcome->level = (enum message_level)level;
    if (welcome->max_message_bytes > FRAME_MESSAGE_MAX_BYTES)
        return message_broken(error, frame, "max_message is above 16777215");
    if (welcome->window_bytes < message_cost_bytes(welcome->max_message_bytes))
        return message_broken(error, frame, "the window is too small for max_message");
    if (!text_rules_plain(welcome->server_name.bytes, welcome->server_name.length) ||
        !text_rules_utf8(welcome->reply.bytes, welcome->reply.length))
        return message_broken(error, frame, "the server's name or the reply is not valid text");
    return CERTPOST_OK;
}

static enum certpost_status message_decode_welcome(const struct frame *frame, struct cursor *cursor,
                                                   struct message *message,
                                                   struct certpost_error *error)
{
    struct message_welcome *welcome = &message->welcome;
    *welcome = (struct message_welcome){.level = MESSAGE_LEVEL_ACCEPTED};
    enum certpost_status status = message_decode_terms(frame, cursor, welcome, error);
    struct message_tags tags = {{0}};
    struct message_option option = {0};
    bool any = true;
    while (status == CERTPOST_OK && any) {
        status = message_next_option(frame, cursor, &tags, &any, &option, error);
        if (status == CERTPOST_OK && any)
            status = message_welcome_option(frame, &option, welcome, error);
    }
    return status;
}

static enum certpost_status message_decode_payload(const struct frame *frame, struct cursor *cursor,
                                                   struct message *message,
                                                   struct certpost_error *error)
{
    message->payload.length = frame->length;
    if (!cursor_take(cursor, frame->length, &message->payload.bytes))
        return message_broken(error, frame, "the body is cut off");
    return CERTPOST_OK;
}

static enum certpost_status message_decode_ack(const struct frame *frame, struct cursor *cursor,
                                               struct message *message,
                                               struct certpost_error *error)
{
    if (!message_read_ack(cursor, &message->ack))
        return message_broken(error, frame, "the body is cut off");
    return CERTPOST_OK;
}

static enum certpost_status message_decode_refusal(const struct frame *frame, struct cursor *cursor,
                                                   struct message *message,
                                                   struct certpost_error *error)
{
    struct message_refusal *refusal = &message->refusal;
    *refusal = (struct message_refusal){0};
    bool whole = frame->type == FRAME_GOAWAY || cursor_read_u64(cursor, &refusal->seq);
    if (!whole || !cursor_read_u16(cursor, &refusal->code) ||
        !message_read_span(cursor, &refusal->text))
        return message_broken(error, frame, "the body is cut off");
    if (!text_rules_utf8(refusal->text.bytes, refusal->text.length))
        return message_broken(error, frame, "the text is not valid UTF-8");
    return CERTPOST_OK;
}

static enum certpost_status message_decode_ping(const struct frame *frame, struct cursor *cursor,
                                                struct message *message,
                                                struct certpost_error *error)
{
    const unsigned char *bytes = NULL;
    if (!cursor_take(cursor, MESSAGE_PING_BYTES, &bytes))
        return message_broken(error, frame, "the body is cut off");
    memcpy(message->ping, bytes, MESSAGE_PING_BYTES);
    return CERTPOST_OK;
}

static enum certpost_status message_decode_empty(const struct frame *frame, struct cursor *cursor,
                                                 struct message *message,
                                                 struct certpost_error *error)
{
    (void)frame;
    (void)cursor;
    (void)message;
    (void)error;
    return CERTPOST_OK;
}

static bool message_read_bytes16(struct cursor *cursor, struct message_span *ret_span)
{
    uint16_t length = 0;
    if (!cursor_read_u16(cursor, &length) || !cursor_take(cursor, length, &ret_span->bytes))
        return false;
    ret_span->length = length;
    return true;
}

static enum certpost_status message_decode_receipt(const struct frame *frame, struct cursor *cursor,
                                                   struct message *message,
                                                   struct certpost_error *error)
{
    if (!message_read_bytes16(cursor, &message->receipt.statement) ||
        !message_read_bytes16(cursor, &message->receipt.signature))
        return message_broken(error, frame, "the body is cut off");
    return CERTPOST_OK;
}

typedef enum certpost_status message_decoder(const struct frame *frame, struct cursor *cursor,
                                             struct message *message, struct certpost_error *error);

static message_decoder *const message_decoders[] = {
    [FRAME_HELLO] = message_decode_hello,     [FRAME_WELCOME] = message_decode_welcome,
    [FRAME_MESSAGE] = message_decode_payload, [FRAME_ACK] = message_decode_ack,
    [FRAME_REJECT] = message_decode_refusal,  [FRAME_GOAWAY] = message_decode_refusal,
    [FRAME_BYE] = message_decode_empty,       [FRAME_PING] = message_decode_ping,
    [FRAME_PONG] = message_decode_ping,       [FRAME_RECEIPT_REQUEST] = message_decode_empty,
    [FRAME_RECEIPT] = message_decode_receipt,
};

enum certpost_status message_decode(const struct frame *frame, struct message *ret_message,
                                    struct certpost_error *error)
{
    size_t count = sizeof message_decoders / sizeof message_decoders[0];
    if ((size_t)frame->type >= count || message_decoders[frame->type] == NULL)
        return error_set(error, CERTPOST_PROTOCOL, "a frame of an unknown type came");
    struct cursor cursor = cursor_over(frame->body, frame->length);
    struct message message = {.type = frame->type};
    enum certpost_status status = message_decoders[frame->type](frame, &cursor, &message, error);
    if (status == CERTPOST_OK && cursor.left_bytes > 0)
        status = message_broken(error, frame, "the body is longer than its fields");
    if (status == CERTPOST_OK)
        *ret_message = message;
    return status;
}
