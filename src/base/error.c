/*
 * error.c — statuses as names and sentences, and the recording of errors.
 *
 * Uses: libc.  Used by: everything.
 * Never: allocates, prints, or changes errno.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct status_row {
    const char *name;
    const char *sentence;
    enum certpost_status_group group;
};

static const struct status_row status_rows[] = {
#define STATUS_ROW(constant, name, group, sentence)                                                \
    [CERTPOST_##constant] = {name, sentence, CERTPOST_GROUP_##group},
    CERTPOST_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

static const struct status_row *status_row(enum certpost_status status)
{
    static const struct status_row unknown = {"unknown", "unknown status", CERTPOST_GROUP_USAGE};
    size_t index = (size_t)status;
    return index < sizeof status_rows / sizeof status_rows[0] ? &status_rows[index] : &unknown;
}

enum certpost_status_group certpost_status_group(enum certpost_status status)
{
    return status_row(status)->group;
}

const char *certpost_status_name(enum certpost_status status)
{
    return status_row(status)->name;
}

const char *certpost_status_sentence(enum certpost_status status)
{
    return status_row(status)->sentence;
}

void certpost_error_clear(struct certpost_error *error)
{
    if (error == NULL)
        return;
    error->status = CERTPOST_OK;
    error->system_errno = 0;
    error->text[0] = '\0';
}

const char *certpost_error_text(const struct certpost_error *error, enum certpost_status status)
{
    if (error == NULL || error->text[0] == '\0')
        return certpost_status_sentence(status);
    return error->text;
}

/* True when `error` wants to be filled in; the first error wins. */
static int error_is_open(const struct certpost_error *error)
{
    return error != NULL && error->status == CERTPOST_OK;
}

static void error_fill(struct certpost_error *error, enum certpost_status status, int system_errno,
                       const char *format, va_list arguments)
{
    int saved_errno = errno;
    error->status = status;
    error->system_errno = system_errno;
    int written = vsnprintf(error->text, sizeof error->text, format, arguments);
    size_t used = written < 0 ? 0 : (size_t)written;
    if (system_errno != 0 && used < sizeof error->text) {
        char words[128];
        snprintf(error->text + used, sizeof error->text - used, ": %s",
                 strerror_r(system_errno, words, sizeof words));
    }
    errno = saved_errno;
}

enum certpost_status error_set(struct certpost_error *error, enum certpost_status status,
                               const char *format, ...)
{
    if (error_is_open(error)) {
        va_list arguments;
        va_start(arguments, format);
        error_fill(error, status, 0, format, arguments);
        va_end(arguments);
    }
    return status;
}

enum certpost_status error_set_errno(struct certpost_error *error, enum certpost_status status,
                                     int system_errno, const char *format, ...)
{
    if (error_is_open(error)) {
        va_list arguments;
        va_start(arguments, format);
        error_fill(error, status, system_errno, format, arguments);
        va_end(arguments);
    }
    return status;
}

enum certpost_status error_adopt(struct certpost_error *error, enum certpost_status status,
                                 const struct certpost_error *cause)
{
    if (!error_is_open(error))
        return status;
    if (cause->status == CERTPOST_OK)
        return error_set(error, status, "%s", certpost_status_sentence(status));
    *error = *cause;
    error->status = status;
    return status;
}

enum certpost_status error_no_memory(struct certpost_error *error)
{
    return error_set(error, CERTPOST_NO_MEMORY, "out of memory");
}
