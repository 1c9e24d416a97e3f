/*
 * frame.c — cuts a stream of bytes into frames (wire/frame.h, docs/protocol.md section 3).
 *
 * Uses: base.  Used by: session/receiver, session/sender.
 * Never: holds more than one frame, waits for the body of a header that is wrong, reads a clock or
 * a socket.
 */
#include "wire/frame.h"

#include "base/error.h"

#include <stdlib.h>

struct frame_bounds {
    const char *name;
    uint32_t least, most;
};

/* Section 3; the bound of MESSAGE is the decoder's own. */
static const struct frame_bounds frame_bounds[] = {
    [FRAME_HELLO] = {"HELLO", 2, FRAME_GREETING_MAX_BYTES},
    [FRAME_WELCOME] = {"WELCOME", 51, FRAME_GREETING_MAX_BYTES},
    [FRAME_MESSAGE] = {"MESSAGE", 0, FRAME_MESSAGE_MAX_BYTES},
    [FRAME_ACK] = {"ACK", 40, 40},
    [FRAME_REJECT] = {"REJECT", 11, 266},
    [FRAME_GOAWAY] = {"GOAWAY", 3, 258},
    [FRAME_BYE] = {"BYE", 0, 0},
    [FRAME_PING] = {"PING", 8, 8},
    [FRAME_PONG] = {"PONG", 8, 8},
    [FRAME_RECEIPT_REQUEST] = {"RECEIPT_REQUEST", 0, 0},
    [FRAME_RECEIPT] = {"RECEIPT", 4, FRAME_RECEIPT_MAX_BYTES},
};

static bool frame_type_is_known(unsigned type)
{
    return type < sizeof frame_bounds / sizeof frame_bounds[0] && frame_bounds[type].name != NULL;
}

const char *frame_type_name(unsigned type)
{
    return frame_type_is_known(type) ? frame_bounds[type].name : "unknown";
}

void frame_decoder_init(struct frame_decoder *decoder, uint32_t max_message_bytes)
{
    *decoder = (struct frame_decoder){.max_message_bytes = max_message_bytes};
    buffer_init(&decoder->partial, FRAME_HEADER_BYTES + FRAME_MESSAGE_MAX_BYTES);
}

void frame_decoder_free(struct frame_decoder *decoder)
{
    if (decoder != NULL)
        buffer_free(&decoder->partial);
}

void frame_decoder_release(struct frame_decoder *decoder)
{
    if (!decoder->partial_delivered)
        return;
    buffer_free(&decoder->partial);
    decoder->partial_delivered = false;
}

size_t frame_decoder_partial_bytes(const struct frame_decoder *decoder)
{
    return decoder->partial_delivered ? 0 : decoder->partial.length;
}

static enum certpost_status frame_judge(const struct frame_decoder *decoder, uint8_t type,
                                        uint32_t length, uint32_t allowed,
                                        struct certpost_error *error)
{
    if (!frame_type_is_known(type))
        return error_set(error, CERTPOST_PROTOCOL, "a frame of the unknown type %u came",
                         (unsigned)type);
    const struct frame_bounds *bounds = &frame_bounds[type];
    if ((allowed & FRAME_BIT(type)) == 0)
        return error_set(error, CERTPOST_PROTOCOL, "%s is not allowed at this point", bounds->name);
    if (length < bounds->least || length > bounds->most)
        return error_set(error, CERTPOST_PROTOCOL, "a body of %u bytes cannot be that of %s",
                         (unsigned)length, bounds->name);
    if (type == FRAME_MESSAGE && length > decoder->max_message_bytes)
        return error_set(error, CERTPOST_LIMIT, "a message of %u bytes is longer than %u bytes",
                         (unsigned)length, (unsigned)decoder->max_message_bytes);
    return CERTPOST_OK;
}

/* Reads and judges the header at `cursor`; CERTPOST_WANT_READ when it is not complete. */
static enum certpost_status frame_take_header(const struct frame_decoder *decoder,
                                              struct cursor *cursor, uint32_t allowed,
                                              struct frame *ret_frame, struct certpost_error *error)
{
    uint8_t type = 0;
    uint32_t length = 0;
    if (!cursor_read_u8(cursor, &type) || !cursor_read_u24(cursor, &length))
        return CERTPOST_WANT_READ;
    enum certpost_status status = frame_judge(decoder, type, length, allowed, error);
    if (status == CERTPOST_OK)
        *ret_frame = (struct frame){.type = (enum frame_type)type, .length = length};
    return status;
}

/* Moves bytes from `input` to `partial` until that holds `wanted` bytes. */
static enum certpost_status frame_collect(struct frame_decoder *decoder, struct cursor *input,
                                          size_t wanted)
{
    size_t missing = wanted - decoder->partial.length;
    size_t length = missing < input->left_bytes ? missing : input->left_bytes;
    enum certpost_status status = buffer_append(&decoder->partial, input->next, length);
    const unsigned char *taken = NULL;
    if (status == CERTPOST_OK && cursor_take(input, length, &taken) && length < missing)
        status = CERTPOST_WANT_READ;
    return status;
}

static enum certpost_status frame_continue_partial(struct frame_decoder *decoder,
                                                   struct cursor *input, uint32_t allowed,
                                                   struct frame *ret_frame,
                                                   struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    if (decoder->partial.length < FRAME_HEADER_BYTES)
        status = frame_collect(decoder, input, FRAME_HEADER_BYTES);
    if (status != CERTPOST_OK)
        return status;
    struct cursor cursor = cursor_over(buffer_bytes(&decoder->partial), decoder->partial.length);
    struct frame frame = {0};
    status = frame_take_header(decoder, &cursor, allowed, &frame, error);
    if (status == CERTPOST_OK)
        status = frame_collect(decoder, input, FRAME_HEADER_BYTES + frame.length);
    if (status != CERTPOST_OK)
        return status;
    frame.body = buffer_bytes(&decoder->partial) + FRAME_HEADER_BYTES;
    decoder->partial_delivered = true;
    *ret_frame = frame;
    return CERTPOST_OK;
}

enum certpost_status frame_decoder_next(struct frame_decoder *decoder, struct cursor *input,
                                        uint32_t allowed, struct frame *ret_frame,
                                        struct certpost_error *error)
{
    frame_decoder_release(decoder);
    enum certpost_status status = CERTPOST_WANT_READ;
    if (decoder->partial.length == 0) {
        struct cursor cursor = *input;
        struct frame frame = {0};
        status = frame_take_header(decoder, &cursor, allowed, &frame, error);
        if (status == CERTPOST_OK && cursor_take(&cursor, frame.length, &frame.body)) {
            *input = cursor;
            *ret_frame = frame;
            return CERTPOST_OK;
        }
        if (status != CERTPOST_OK && status != CERTPOST_WANT_READ)
            return status;
    }
    status = frame_continue_partial(decoder, input, allowed, ret_frame, error);
    return status == CERTPOST_NO_MEMORY ? error_no_memory(error) : status;
}
