/*
 * certpost/error.h — what went wrong, in words.
 *
 * A caller that wants the words passes a cleared `struct certpost_error`; NULL is allowed wherever
 * one is taken. The first error that is recorded wins, because it is made nearest to the cause: a
 * caller further up does not overwrite it. The text is complete on its own: it names the file, the
 * host or the limit, and where that helps it says what to do. Bytes that came from a peer are
 * escaped in it, so it can be shown on a terminal as it is.
 *
 * Ownership: the struct is the caller's, holds no pointers, and can be copied and dropped freely.
 * Threads: one thread at a time per struct.
 */
#ifndef CERTPOST_ERROR_H
#define CERTPOST_ERROR_H

#include "certpost/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for a path (which is cut, if long) and two sentences. */
#define CERTPOST_ERROR_TEXT_BYTES 1024

struct certpost_error {
    enum certpost_status status;          /* CERTPOST_OK while nothing is recorded */
    int system_errno;                     /* errno of the failing call, or 0 */
    char text[CERTPOST_ERROR_TEXT_BYTES]; /* NUL-terminated, one printable line, no full stop */
};

/* Makes the struct say "no error". NULL does nothing. */
CERTPOST_API void certpost_error_clear(struct certpost_error *error);

/*
 * The text to show for a failed call: the recorded text, or the status's own sentence when nothing
 * was recorded or `error` is NULL. The pointer lives as long as `error` does.
 */
CERTPOST_API const char *certpost_error_text(const struct certpost_error *error,
                                             enum certpost_status status);

#ifdef __cplusplus
}
#endif
#endif
