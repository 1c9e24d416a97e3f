/*
 * print_sink.c — messages as lines on standard output (server/print_sink.h).
 *
 * Uses: base.  Used by: server.c (the first lines) and writer.c, one after the other.
 * Never: prints a byte of a peer that could move the cursor, start a line, or end one.
 */
#include "server/print_sink.h"

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Long messages pass through in pieces, so that a message costs no multiple of its size. */
enum { PRINT_PIECE_BYTES = 4096, PRINT_GATHER_BYTES = 256 * 1024 };

void print_sink_init(struct print_sink *sink, int descriptor)
{
    sink->descriptor = descriptor;
    buffer_init(&sink->lines, PRINT_GATHER_BYTES);
}

void print_sink_free(struct print_sink *sink)
{
    buffer_free(&sink->lines);
}

void print_sink_discard(struct print_sink *sink)
{
    buffer_clear(&sink->lines);
}

static enum certpost_status print_wait_for_reader(int descriptor)
{
    struct pollfd ready = {.fd = descriptor, .events = POLLOUT};
    if (poll(&ready, 1, -1) < 0 && errno != EINTR)
        return CERTPOST_LOCAL_IO;
    return CERTPOST_OK;
}

enum certpost_status print_sink_commit(struct print_sink *sink, struct certpost_error *error)
{
    while (sink->lines.length > 0) {
        ssize_t written = write(sink->descriptor, buffer_bytes(&sink->lines), sink->lines.length);
        if (written >= 0) {
            buffer_consume(&sink->lines, (size_t)written);
            continue;
        }
        int saved_errno = errno;
        if (saved_errno == EINTR)
            continue;
        if (saved_errno == EAGAIN && print_wait_for_reader(sink->descriptor) == CERTPOST_OK)
            continue;
        buffer_clear(&sink->lines);
        return error_set_errno(error, CERTPOST_LOCAL_IO, saved_errno,
                               "cannot write to standard output");
    }
    return CERTPOST_OK;
}

static enum certpost_status print_append(struct print_sink *sink, const char *bytes, size_t length,
                                         struct certpost_error *error)
{
    if (length > buffer_room(&sink->lines)) {
        enum certpost_status status = print_sink_commit(sink, error);
        if (status != CERTPOST_OK)
            return status;
    }
    return buffer_append(&sink->lines, bytes, length) == CERTPOST_OK ? CERTPOST_OK
                                                                     : error_no_memory(error);
}

/* How much of `bytes` to escape at once, without cutting a UTF-8 character in two. */
static size_t print_piece_length(const unsigned char *bytes, size_t length)
{
    if (length <= PRINT_PIECE_BYTES)
        return length;
    size_t piece = PRINT_PIECE_BYTES;
    for (int back = 0; back < 3 && (bytes[piece] & 0xc0) == 0x80; back++)
        piece--;
    return piece;
}

enum certpost_status print_sink_add(struct print_sink *sink, const char *prefix, const void *text,
                                    size_t length, struct certpost_error *error)
{
    char escaped[PRINT_PIECE_BYTES * TEXT_ESCAPE_MAX + 1];
    const unsigned char *next = text;
    enum certpost_status status = print_append(sink, prefix, strlen(prefix), error);
    while (status == CERTPOST_OK && length > 0) {
        size_t piece = print_piece_length(next, length);
        size_t escaped_length = text_escape(next, piece, escaped, sizeof escaped);
        status = print_append(sink, escaped, escaped_length, error);
        next += piece;
        length -= piece;
    }
    if (status == CERTPOST_OK)
        status = print_append(sink, "\n", 1, error);
    return status;
}
