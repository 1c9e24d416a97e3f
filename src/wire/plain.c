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
    /* An unfinished line with its CR LF, and all that one read can add while nothing is taken. */
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
    decoder->fed += length;
    decoder->fed_bytes -= length;
}

static enum certpost_status plain_next_chunk(struct plain_decoder *decoder,
                                             struct plain_span *ret_message)
{
    if (!decoder->fed_is_message)
        return CERTPOST_WANT_READ;
    size_t length = decoder->fed_bytes;
    if (length > 0 && decoder->fed[length - 1] == '\n')
        length--;
    if (length < decoder->fed_bytes && length > 0 && decoder->fed[length - 1] == '\r')
        length--;
    decoder->fed_is_message = false;
    decoder->fed_bytes = 0;
    if (length > decoder->max_message_bytes)
        return CERTPOST_LIMIT;
    *ret_message = (struct plain_span){decoder->fed, length};
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
    return decoder->framing == PLAIN_CHUNK ? plain_next_chunk(decoder, ret_message)
                                           : plain_next_line(decoder, ret_message);
}

enum certpost_status plain_decoder_keep(struct plain_decoder *decoder)
{
    plain_drop_taken(decoder);
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
