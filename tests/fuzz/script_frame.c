/* fuzz/script_frame.c — see the header. */
#include "fuzz/script_frame.h"

#include "wire/message.h"

#include <string.h>

static enum certpost_status script_hello(struct cursor *script, struct buffer *output)
{
    static const unsigned char letters[] = "stream/of/messages";
    uint8_t flags = fuzz_u8(script);
    struct message_hello hello = {
        .stream = {letters, 1 + fuzz_u8(script) % (sizeof letters - 1)},
        .required_level = (enum message_level)(flags % 3),
        .software = {letters, (flags & 4) != 0 ? 6 : 0},
    };
    return message_append_hello(output, &hello);
}

static enum certpost_status script_payload(struct cursor *script, struct buffer *output)
{
    unsigned char payload[UINT16_MAX];
    uint16_t length = fuzz_u16(script);
    memset(payload, fuzz_u8(script), length);
    return message_append_payload(output, payload, length);
}

/* Any type, any body. */
static enum certpost_status script_raw(struct cursor *script, uint8_t type, struct buffer *output)
{
    const uint8_t *body = NULL;
    size_t length = fuzz_take(script, fuzz_u16(script), &body);
    unsigned char *tail = NULL;
    enum certpost_status status = buffer_reserve(output, FRAME_HEADER_BYTES + length, &tail);
    if (status == CERTPOST_OK)
        status = buffer_append_u8(output, type);
    if (status == CERTPOST_OK)
        status = buffer_append_u24(output, (uint32_t)length);
    return status == CERTPOST_OK ? buffer_append(output, body, length) : status;
}

void script_frame_append(struct cursor *script, struct buffer *output)
{
    static const unsigned char ping[MESSAGE_PING_BYTES] = {'p', 'i', 'n', 'g'};
    uint8_t type = fuzz_u8(script);
    enum certpost_status status = CERTPOST_OK;
    switch (type) {
    case FRAME_HELLO:
        status = script_hello(script, output);
        break;
    case FRAME_MESSAGE:
        status = script_payload(script, output);
        break;
    case FRAME_BYE:
    case FRAME_RECEIPT_REQUEST:
        status = message_append_empty(output, (enum frame_type)type);
        break;
    case FRAME_PING:
    case FRAME_PONG:
        status = message_append_ping(output, (enum frame_type)type, ping);
        break;
    default:
        status = script_raw(script, type, output);
        break;
    }
    FUZZ_CHECK(status == CERTPOST_OK || status == CERTPOST_LIMIT || status == CERTPOST_NO_MEMORY);
}
