/*
 * plain.c — the framings of the plain exchange (wire/plain.h).
 *
 * Uses: base.  Used by: session/plain_receiver.
 * Never: I/O; never searches the same byte for a line's end twice, so that a peer which sends one
 * byte at a time costs no more than one that sends a line at a time.
 *
 * A line is returned from where it lies: out of the fed bytes when it is whole there, else out of
 * `kept`, where its beginning waited.
 */
#include "wire/plain.h"

#include "base/cursor.h"

#include <string.h>

/* The length of a chunk in `kept`; PLAIN_CHUNK_MAX_BYTES fits into it. */
enum { PLAIN_KEPT_LENGTH_BYTES = 2 };

bool plain_framing_from_name(const char *name, enum plain_framing *ret_framing)
{
    if (strcmp(name, "chunk") == 0)
        *ret_framing = PLAIN_CHUNK;
    else if (strcmp(name, "line") == 0)
        *ret_framing = PLAIN_LINE;
    else
        return false;
    return true;
}

void plain_decoder_init(struct plain_decoder *decoder, enum plain_framing framing,
                        size_t max_message_bytes)
{
    *decoder = (struct plain_decoder){.framing = framing, .max_message_bytes = max_message_bytes};
    /*
     * An unfinished line with its CR LF, and all that one read can add while nothing is taken; or,
     * where there are no lines, a chunk behind its length.
     */
    buffer_init(&decoder->kept, max_message_bytes + 2 + PLAIN_CHUNK_MAX_BYTES);
}

void plain_decoder_free(struct plain_decoder *decoder)
{
    if (decoder != NULL)
        buffer_free(&decoder->kept);
}

void plain_decoder_feed(struct plain_decoder *decoder, const unsigned char *bytes, size_t length)
{
    decoder->fed = bytes;
    decoder->fed_bytes = length;
    decoder->fed_is_message = true;
}

/* Gives back what the span returned last occupied in `kept`. */
static void plain_drop_taken(struct plain_decoder *decoder)
{
    if (decoder->kept_taken == 0)
        return;
    buffer_consume(&decoder->kept, decoder->kept_taken);
    decoder->kept_taken = 0;
    decoder->kept_searched = 0;
    buffer_release_if_empty(&decoder->kept);
}

static void plain_drop_fed(struct plain_decoder *decoder, size_t length)
{
    if (length == 0)
        return;
    decoder->fed += length;
    decoder->fed_bytes -= length;
}

static struct plain_span plain_chunk_without_end(const unsigned char *bytes, size_t length)
{
    size_t bare = length;
    if (bare > 0 && bytes[bare - 1] == '\n')
        bare--;
    if (bare < length && bare > 0 && bytes[bare - 1] == '\r')
        bare--;
    return (struct plain_span){bytes, bare};
}

/* In `kept` a chunk stands behind its length, so that two that were kept stay two messages. */
static enum certpost_status plain_keep_chunk(struct plain_decoder *decoder)
{
    unsigned char *tail = NULL;
    if (!decoder->fed_is_message)
        return CERTPOST_OK;
    size_t length = decoder->fed_bytes;
    enum certpost_status status =
        buffer_reserve(&decoder->kept, PLAIN_KEPT_LENGTH_BYTES + length, &tail);
    if (status != CERTPOST_OK)
        return status;
    tail[0] = (unsigned char)(length >> 8);
    tail[1] = (unsigned char)length;
    if (length > 0)
        memcpy(tail + PLAIN_KEPT_LENGTH_BYTES, decoder->fed, length);
    buffer_commit(&decoder->kept, PLAIN_KEPT_LENGTH_BYTES + length);
    decoder->fed_is_message = false;
    decoder->fed_bytes = 0;
    return CERTPOST_OK;
}

static bool plain_next_kept_chunk(struct plain_decoder *decoder, struct plain_span *ret_message)
{
    struct cursor kept = cursor_over(buffer_bytes(&decoder->kept), decoder->kept.length);
    const unsigned char *chunk = NULL;
    uint16_t length = 0;
    if (!cursor_read_u16(&kept, &length) || !cursor_take(&kept, length, &chunk))
        return false;
    decoder->kept_taken = PLAIN_KEPT_LENGTH_BYTES + (size_t)length;
    *ret_message = plain_chunk_without_end(chunk, length);
    return true;
}

static enum certpost_status plain_next_chunk(struct plain_decoder *decoder,
                                             struct plain_span *ret_message)
{
    if (plain_next_kept_chunk(decoder, ret_message))
        return CERTPOST_OK;
    if (!decoder->fed_is_message)
        return CERTPOST_WANT_READ;
    *ret_message = plain_chunk_without_end(decoder->fed, decoder->fed_bytes);
    decoder->fed_is_message = false;
    decoder->fed_bytes = 0;
    return CERTPOST_OK;
}

static enum certpost_status plain_return_line(const struct plain_decoder *decoder,
                                              const unsigned char *bytes, size_t length,
                                              struct plain_span *ret_message)
{
    if (length > 0 && bytes[length - 1] == '\r')
        length--;
    if (length > decoder->max_message_bytes)
        return CERTPOST_LIMIT;
    *ret_message = (struct plain_span){bytes, length};
    return CERTPOST_OK;
}

/* A CR at the end may yet turn out to belong to the line's ending. */
static bool plain_unfinished_is_too_long(const struct plain_decoder *decoder)
{
    size_t length = decoder->kept.length;
    if (length <= decoder->max_message_bytes)
        return false;
    return length > decoder->max_message_bytes + 1 ||
           buffer_bytes(&decoder->kept)[length - 1] != '\r';
}

/* A whole line in `kept`, where a paused connection left several. */
static bool plain_line_in_kept(struct plain_decoder *decoder, size_t *ret_length)
{
    struct cursor unsearched = cursor_over(
        decoder->kept.length == 0 ? NULL : buffer_bytes(&decoder->kept) + decoder->kept_searched,
        decoder->kept.length - decoder->kept_searched);
    size_t offset = 0;
    if (!cursor_find(&unsearched, '\n', &offset)) {
        decoder->kept_searched = decoder->kept.length;
        return false;
    }
    *ret_length = decoder->kept_searched + offset;
    return true;
}

static enum certpost_status plain_next_line(struct plain_decoder *decoder,
                                            struct plain_span *ret_message)
{
    size_t length = 0;
    if (plain_line_in_kept(decoder, &length)) {
        decoder->kept_taken = length + 1;
        return plain_return_line(decoder, buffer_bytes(&decoder->kept), length, ret_message);
    }
    struct cursor fed = cursor_over(decoder->fed, decoder->fed_bytes);
    bool whole = cursor_find(&fed, '\n', &length);
    if (whole && decoder->kept.length == 0) {
        const unsigned char *line = decoder->fed;
        plain_drop_fed(decoder, length + 1);
        return plain_return_line(decoder, line, length, ret_message);
    }
    size_t moved = whole ? length + 1 : decoder->fed_bytes;
    enum certpost_status status = buffer_append(&decoder->kept, decoder->fed, moved);
    if (status != CERTPOST_OK)
        return status;
    plain_drop_fed(decoder, moved);
    if (whole) {
        decoder->kept_taken = decoder->kept.length;
        return plain_return_line(decoder, buffer_bytes(&decoder->kept), decoder->kept.length - 1,
                                 ret_message);
    }
    decoder->kept_searched = decoder->kept.length;
    return plain_unfinished_is_too_long(decoder) ? CERTPOST_LIMIT : CERTPOST_WANT_READ;
}

enum certpost_status plain_decoder_next(struct plain_decoder *decoder,
                                        struct plain_span *ret_message)
{
    plain_drop_taken(decoder);
    if (decoder->framing == PLAIN_LINE)
        return plain_next_line(decoder, ret_message);
    struct plain_span chunk = {0};
    enum certpost_status status = plain_next_chunk(decoder, &chunk);
    if (status == CERTPOST_OK && chunk.length > decoder->max_message_bytes)
        return CERTPOST_LIMIT;
    if (status == CERTPOST_OK)
        *ret_message = chunk;
    return status;
}

enum certpost_status plain_decoder_keep(struct plain_decoder *decoder)
{
    plain_drop_taken(decoder);
    if (decoder->framing == PLAIN_CHUNK)
        return plain_keep_chunk(decoder);
    enum certpost_status status = buffer_append(&decoder->kept, decoder->fed, decoder->fed_bytes);
    if (status == CERTPOST_OK)
        decoder->fed_bytes = 0;
    return status;
}

bool plain_decoder_last(struct plain_decoder *decoder, struct plain_span *ret_message)
{
    plain_drop_taken(decoder);
    if (decoder->framing == PLAIN_CHUNK || decoder->kept.length == 0)
        return false;
    decoder->kept_taken = decoder->kept.length;
    return plain_return_line(decoder, buffer_bytes(&decoder->kept), decoder->kept.length,
                             ret_message) == CERTPOST_OK;
}

size_t plain_decoder_unfinished_bytes(const struct plain_decoder *decoder)
{
    return decoder->kept.length - decoder->kept_taken;
}
