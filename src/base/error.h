/* base/error.h — recording an error. The type itself is public: certpost/error.h. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "certpost/error.h"

/*
 * Records `status` with a printf-style text, unless an error is recorded already, and returns
 * `status`, so that a failing function can end with `return error_set(…)`. `error` may be NULL.
 */
enum certpost_status error_set(struct certpost_error *error, enum certpost_status status,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, and appends ": " and the words for `system_errno`. */
enum certpost_status error_set_errno(struct certpost_error *error, enum certpost_status status,
                                     int system_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Records all that `cause` says, or the sentence of `status` if it says nothing, unless an error is
 * recorded already. Returns `status`. For a caller that had to look at an error before passing it
 * on.
 */
enum certpost_status error_adopt(struct certpost_error *error, enum certpost_status status,
                                 const struct certpost_error *cause);

/*
 * Records CERTPOST_NO_MEMORY; for every allocation that failed. Inline, so that compilers and
 * analysers see that it is a failure which is returned.
 */
static inline enum certpost_status error_no_memory(struct certpost_error *error)
{
    (void)error_set(error, CERTPOST_NO_MEMORY, "out of memory");
    return CERTPOST_NO_MEMORY;
}

#endif
