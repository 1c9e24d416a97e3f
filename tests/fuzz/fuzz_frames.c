/*
 * fuzz_frames.c — frames of certpost/1 (wire/frame.h): the same bytes give the same frames, however
 * they are cut into pieces, and no more is held than one frame.
 *
 * Script: u8 allocation that fails, u16 types that are allowed, u16 longest message, u8 how the
 * bytes are cut; then the bytes.
 */
#include "fuzz/fuzz.h"
#include "wire/frame.h"

#include <stdlib.h>
#include <string.h>

enum { FRAMES_MAX = 4096 };

struct frames_seen {
    struct {
        enum frame_type type;
        size_t offset, length; /* of the body, in the input */
    } frames[FRAMES_MAX];
    size_t count;
    enum certpost_status end;
};

static struct frames_seen frames_whole;

static void frames_decode_whole(struct frame_decoder *decoder, const uint8_t *bytes, size_t length,
                                uint32_t allowed)
{
    struct cursor input = cursor_over(bytes, length);
    struct certpost_error error;
    certpost_error_clear(&error);
    struct frame frame = {0};
    frames_whole.count = 0;
    enum certpost_status status = CERTPOST_OK;
    while (frames_whole.count < FRAMES_MAX) {
        status = frame_decoder_next(decoder, &input, allowed, &frame, &error);
        if (status != CERTPOST_OK)
            break;
        FUZZ_CHECK((allowed & FRAME_BIT(frame.type)) != 0);
        FUZZ_CHECK(frame.type != FRAME_MESSAGE || frame.length <= decoder->max_message_bytes);
        FUZZ_CHECK(frame.body >= bytes && frame.body + frame.length <= bytes + length);
        FUZZ_CHECK(frame.body + frame.length == input.next);
        frames_whole.frames[frames_whole.count].type = frame.type;
        frames_whole.frames[frames_whole.count].offset = (size_t)(frame.body - bytes);
        frames_whole.frames[frames_whole.count++].length = frame.length;
    }
    frames_whole.end = status;
    if (status == CERTPOST_WANT_READ)
        FUZZ_CHECK(input.left_bytes == 0);
    else
        fuzz_check_error(status, &error);
}

/* One piece, in memory of its own; WANT_READ, or the failure that ends it all. */
static enum certpost_status frames_decode_piece(struct frame_decoder *decoder, const uint8_t *piece,
                                                size_t length, uint32_t allowed,
                                                const uint8_t *bytes, size_t *at)
{
    struct cursor input = cursor_over(piece, length);
    struct frame frame = {0};
    enum certpost_status status = CERTPOST_OK;
    while (*at < FRAMES_MAX) {
        status = frame_decoder_next(decoder, &input, allowed, &frame, NULL);
        FUZZ_CHECK(frame_decoder_partial_bytes(decoder) <=
                   FRAME_HEADER_BYTES + (size_t)FRAME_MESSAGE_MAX_BYTES);
        if (status != CERTPOST_OK)
            break;
        FUZZ_CHECK(*at < frames_whole.count && frame.type == frames_whole.frames[*at].type);
        FUZZ_CHECK(frame.length == frames_whole.frames[*at].length);
        FUZZ_CHECK(frame.length == 0 ||
                   memcmp(frame.body, bytes + frames_whole.frames[*at].offset, frame.length) == 0);
        ++*at;
    }
    return status;
}

static void frames_decode_pieces(struct frame_decoder *decoder, struct cursor input, uint8_t cut,
                                 uint32_t allowed)
{
    const uint8_t *bytes = input.next;
    enum certpost_status status = CERTPOST_WANT_READ;
    size_t at = 0;
    for (unsigned step = 1; status == CERTPOST_WANT_READ && input.left_bytes > 0; step++) {
        const uint8_t *piece = NULL;
        size_t wanted = cut == 0 ? 1 : 1 + (cut * step) % 97;
        size_t length = fuzz_take(&input, wanted, &piece);
        uint8_t *copy = fuzz_copy(piece, length);
        status = frames_decode_piece(decoder, copy, length, allowed, bytes, &at);
        free(copy);
        if (step % 3 == 0)
            frame_decoder_release(decoder);
    }
    bool struck = fuzz_heal_memory();
    if (status == CERTPOST_NO_MEMORY)
        FUZZ_CHECK(struck);
    if (status == CERTPOST_NO_MEMORY || at == FRAMES_MAX)
        return;
    FUZZ_CHECK(at == frames_whole.count);
    FUZZ_CHECK(status == frames_whole.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    struct cursor fault = cursor_over(data, size > 0 ? 1 : 0);
    (void)fuzz_u8(&script);
    uint32_t allowed = (uint32_t)fuzz_u16(&script) << 1;
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, fuzz_u16(&script));
    uint8_t cut = fuzz_u8(&script);
    frames_decode_whole(&decoder, script.next, script.left_bytes, allowed);
    frame_decoder_free(&decoder);
    fuzz_arm_memory(&fault);
    frames_decode_pieces(&decoder, script, cut, allowed);
    frame_decoder_free(&decoder);
    frame_decoder_free(NULL);
    for (unsigned type = 0; type < 16; type++)
        FUZZ_CHECK(frame_type_name(type)[0] != '\0');
    return 0;
}
