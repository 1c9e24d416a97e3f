/*
 * message_encode.c — values to frames (wire/message.h, docs/protocol.md section 4), and the rules
 * for text.
 *
 * Uses: base.  Used by: session, client agent (payloads).
 * Never: leaves half a frame in the buffer; a frame's room is reserved before its first byte.
 */
#include "base/text.h"
#include "wire/message.h"
#include "wire/text_rules.h"

bool text_rules_utf8(const void *bytes, size_t length)
{
    return text_is_utf8(bytes, length);
}

bool text_rules_plain(const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    while (length > 0) {
        size_t taken = text_utf8_length(next, length);
        bool c0 = next[0] < 0x20 || next[0] == 0x7f;
        bool c1 = taken == 2 && next[0] == 0xc2 && next[1] < 0xa0;
        if (taken == 0 || c0 || c1)
            return false;
        next += taken;
        length -= taken;
    }
    return true;
}

bool message_stream_name_is_valid(const void *bytes, size_t length)
{
    return length >= 1 && length <= MESSAGE_STR8_MAX_BYTES && text_rules_plain(bytes, length);
}

struct message_code_row {
    uint16_t code;
    bool may_retry;
    const char *name;
};

static const struct message_code_row *message_code_find(uint16_t code)
{
    static const struct message_code_row rows[] = {
#define MESSAGE_CODE_ROW(constant, number, name, again) {(number), (again), (name)},
        MESSAGE_CODE_LIST(MESSAGE_CODE_ROW)
#undef MESSAGE_CODE_ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code == code)
            return &rows[i];
    }
    return NULL;
}

const char *message_code_name(uint16_t code)
{
    const struct message_code_row *row = message_code_find(code);
    if (row != NULL)
        return row->name;
    return code >= MESSAGE_CODE_APPLICATION ? "application" : "unknown";
}

bool message_code_may_retry(uint16_t code)
{
    const struct message_code_row *row = message_code_find(code);
    return row == NULL || row->may_retry;
}

/* Appends until something fails, then does nothing more; the caller looks at `status` once. */
struct message_writer {
    struct buffer *buffer;
    enum certpost_status status;
};

static void message_put_u8(struct message_writer *writer, uint8_t value)
{
    if (writer->status == CERTPOST_OK)
        writer->status = buffer_append_u8(writer->buffer, value);
}

static void message_put_u16(struct message_writer *writer, uint16_t value)
{
    if (writer->status == CERTPOST_OK)
        writer->status = buffer_append_u16(writer->buffer, value);
}

static void message_put_u32(struct message_writer *writer, uint32_t value)
{
    if (writer->status == CERTPOST_OK)
        writer->status = buffer_append_u32(writer->buffer, value);
}

static void message_put_bytes(struct message_writer *writer, const void *bytes, size_t length)
{
    if (writer->status == CERTPOST_OK)
        writer->status = buffer_append(writer->buffer, bytes, length);
}

static void message_put_str8(struct message_writer *writer, const struct message_span *span)
{
    message_put_u8(writer, (uint8_t)span->length);
    message_put_bytes(writer, span->bytes, span->length);
}

static void message_put_option(struct message_writer *writer, uint8_t tag, const void *bytes,
                               size_t length)
{
    message_put_u8(writer, tag);
    message_put_u8(writer, (uint8_t)length);
    message_put_bytes(writer, bytes, length);
}

/* Room for the whole frame first: after this no append can fail, so no frame is left half done. */
static struct message_writer message_begin(struct buffer *buffer, enum frame_type type,
                                           size_t body_length)
{
    struct message_writer writer = {.buffer = buffer};
    unsigned char *tail = NULL;
    writer.status = buffer_reserve(buffer, FRAME_HEADER_BYTES + body_length, &tail);
    message_put_u8(&writer, (uint8_t)type);
    if (writer.status == CERTPOST_OK)
        writer.status = buffer_append_u24(buffer, (uint32_t)body_length);
    return writer;
}

static bool message_str8_is_utf8(const struct message_span *span)
{
    return span->length <= MESSAGE_STR8_MAX_BYTES && text_rules_utf8(span->bytes, span->length);
}

static bool message_str8_is_plain(const struct message_span *span)
{
    return span->length <= MESSAGE_STR8_MAX_BYTES && text_rules_plain(span->bytes, span->length);
}

enum certpost_status message_append_hello(struct buffer *buffer, const struct message_hello *hello)
{
    const struct message_span *stream = &hello->stream;
    if (!message_stream_name_is_valid(stream->bytes, stream->length) ||
        !message_str8_is_plain(&hello->software))
        return CERTPOST_USAGE;
    bool requires = hello->required_level != MESSAGE_LEVEL_ACCEPTED;
    bool named = hello->software.length > 0;
    size_t length = 1 + stream->length + (requires ? 3 : 0);
    length += named ? 2 + hello->software.length : 0;
    struct message_writer writer = message_begin(buffer, FRAME_HELLO, length);
    message_put_str8(&writer, stream);
    if (requires) {
        uint8_t level = (uint8_t)hello->required_level;
        message_put_option(&writer, MESSAGE_OPTION_REQUIRED_LEVEL, &level, sizeof level);
    }
    if (named)
        message_put_option(&writer, MESSAGE_OPTION_SOFTWARE, hello->software.bytes,
                           hello->software.length);
    return writer.status;
}

static void message_put_committed(struct message_writer *writer, const struct committed *committed)
{
    if (writer->status == CERTPOST_OK)
        writer->status = buffer_append_u64(writer->buffer, committed->seq);
    message_put_bytes(writer, committed->digest, CHAIN_DIGEST_BYTES);
}

static void message_put_welcome_options(struct message_writer *writer,
                                        const struct message_welcome *terms)
{
    if (terms->has_origin)
        message_put_option(writer, MESSAGE_OPTION_ORIGIN, terms->origin, CHAIN_DIGEST_BYTES);
    if (terms->idle_timeout_ms > 0) {
        message_put_u8(writer, MESSAGE_OPTION_IDLE_TIMEOUT);
        message_put_u8(writer, sizeof terms->idle_timeout_ms);
        message_put_u32(writer, terms->idle_timeout_ms);
    }
    if (terms->receipts)
        message_put_option(writer, MESSAGE_OPTION_RECEIPTS, NULL, 0);
}

enum certpost_status message_append_welcome(struct buffer *buffer, const struct committed *head,
                                            const struct message_welcome *terms)
{
    if (head->seq > MESSAGE_SEQ_MAX || terms->max_message_bytes > FRAME_MESSAGE_MAX_BYTES ||
        terms->window_bytes < message_cost_bytes(terms->max_message_bytes) ||
        !message_str8_is_plain(&terms->server_name) || !message_str8_is_utf8(&terms->reply))
        return CERTPOST_USAGE;
    size_t length = 8 + CHAIN_DIGEST_BYTES + 1 + 4 + 4;
    length += 1 + terms->server_name.length + 1 + terms->reply.length;
    length += terms->has_origin ? 2 + CHAIN_DIGEST_BYTES : 0;
    length += terms->idle_timeout_ms > 0 ? 2 + 4 : 0;
    length += terms->receipts ? 2 : 0;
    struct message_writer writer = message_begin(buffer, FRAME_WELCOME, length);
    message_put_committed(&writer, head);
    message_put_u8(&writer, (uint8_t)terms->level);
    message_put_u32(&writer, terms->max_message_bytes);
    message_put_u32(&writer, terms->window_bytes);
    message_put_str8(&writer, &terms->server_name);
    message_put_str8(&writer, &terms->reply);
    message_put_welcome_options(&writer, terms);
    return writer.status;
}

enum certpost_status message_append_ack(struct buffer *buffer, const struct committed *committed)
{
    struct message_writer writer = message_begin(buffer, FRAME_ACK, 8 + CHAIN_DIGEST_BYTES);
    message_put_committed(&writer, committed);
    return writer.status;
}

enum certpost_status message_append_payload(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length > FRAME_MESSAGE_MAX_BYTES)
        return CERTPOST_USAGE;
    struct message_writer writer = message_begin(buffer, FRAME_MESSAGE, length);
    message_put_bytes(&writer, bytes, length);
    return writer.status;
}

enum certpost_status message_append_reject(struct buffer *buffer,
                                           const struct message_refusal *reject)
{
    if (!message_str8_is_utf8(&reject->text))
        return CERTPOST_USAGE;
    struct message_writer writer =
        message_begin(buffer, FRAME_REJECT, 8 + 2 + 1 + reject->text.length);
    if (writer.status == CERTPOST_OK)
        writer.status = buffer_append_u64(buffer, reject->seq);
    message_put_u16(&writer, reject->code);
    message_put_str8(&writer, &reject->text);
    return writer.status;
}

enum certpost_status message_append_goaway(struct buffer *buffer,
                                           const struct message_refusal *goaway)
{
    if (!message_str8_is_utf8(&goaway->text))
        return CERTPOST_USAGE;
    struct message_writer writer = message_begin(buffer, FRAME_GOAWAY, 2 + 1 + goaway->text.length);
    message_put_u16(&writer, goaway->code);
    message_put_str8(&writer, &goaway->text);
    return writer.status;
}

enum certpost_status message_append_empty(struct buffer *buffer, enum frame_type type)
{
    if (type != FRAME_BYE && type != FRAME_RECEIPT_REQUEST)
        return CERTPOST_USAGE;
    return message_begin(buffer, type, 0).status;
}

enum certpost_status message_append_ping(struct buffer *buffer, enum frame_type type,
                                         const unsigned char ping[MESSAGE_PING_BYTES])
{
    if (type != FRAME_PING && type != FRAME_PONG)
        return CERTPOST_USAGE;
    struct message_writer writer = message_begin(buffer, type, MESSAGE_PING_BYTES);
    message_put_bytes(&writer, ping, MESSAGE_PING_BYTES);
    return writer.status;
}

enum certpost_status message_append_receipt(struct buffer *buffer,
                                            const struct message_receipt *receipt)
{
    const struct message_span *statement = &receipt->statement, *signature = &receipt->signature;
    if (statement->length > FRAME_RECEIPT_MAX_BYTES || signature->length > FRAME_RECEIPT_MAX_BYTES)
        return CERTPOST_USAGE;
    size_t length = 2 + statement->length + 2 + signature->length;
    if (length > FRAME_RECEIPT_MAX_BYTES)
        return CERTPOST_USAGE;
    struct message_writer writer = message_begin(buffer, FRAME_RECEIPT, length);
    message_put_u16(&writer, (uint16_t)statement->length);
    message_put_bytes(&writer, statement->bytes, statement->length);
    message_put_u16(&writer, (uint16_t)signature->length);
    message_put_bytes(&writer, signature->bytes, signature->length);
    return writer.status;
}
