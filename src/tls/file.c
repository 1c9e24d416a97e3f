/*
 * file.c — a whole file into memory (tls/file.h).
 *
 * Uses: base.  Used by: trust.c.
 * Never: waits for a file that is none (a pipe, a device).
 */
#include "tls/file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FILE_READ_BYTES = 16 * 1024 };

static enum certpost_status file_fill(int descriptor, const char *path, const char *kind,
                                      enum certpost_status failure, struct buffer *buffer,
                                      struct certpost_error *error)
{
    for (;;) {
        unsigned char *tail = NULL;
        enum certpost_status status = buffer_reserve(buffer, FILE_READ_BYTES, &tail);
        if (status == CERTPOST_LIMIT)
            return error_set(error, failure, "the %s %s is too large to be one", kind, path);
        if (status != CERTPOST_OK)
            return error_no_memory(error);
        ssize_t got = read(descriptor, tail, FILE_READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, failure, errno, "cannot read the %s %s", kind, path);
        if (got == 0)
            return CERTPOST_OK;
        buffer_commit(buffer, (size_t)got);
    }
}

enum certpost_status tls_file_load(const char *path, const char *kind, enum certpost_status failure,
                                   struct buffer *buffer, struct certpost_error *error)
{
    /* O_NONBLOCK: a named pipe without a writer must not hang the start. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return error_set_errno(error, failure, errno, "cannot open the %s %s", kind, path);
    enum certpost_status status = file_fill(descriptor, path, kind, failure, buffer, error);
    close(descriptor);
    if (status == CERTPOST_OK && buffer->length == 0)
        status = error_set(error, failure, "the %s %s is empty", kind, path);
    return status;
}
