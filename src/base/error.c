/*
 * error.c — statuses as names and sentences, and the recording of errors.
 *
 * Uses: text.  Used by: everything.
 * Never: allocates, prints, or changes errno; records a text that would lead a terminal astray.
 */
#include "base/error.h"

#include "base/text.h"

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

/* `length` bytes of `text`, or a few fewer so that the last character of UTF-8 is whole. */
static size_t error_whole_characters(const char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 4) {
        start--;
        if (((unsigned char)text[start] & 0xc0) != 0x80)
            break;
    }
    unsigned char lead = (unsigned char)text[start];
    size_t announced = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return length - start < announced ? start : length;
}

/*
 * Puts ": " and the words for `system_errno` behind the `used` bytes of text. Where both do not
 * fit, the text gives way: a path without its reason helps nobody.
 */
static void error_append_reason(struct certpost_error *error, size_t used, int system_errno)
{
    char words[128];
    char reason[sizeof words + 2];
    int length =
        snprintf(reason, sizeof reason, ": %s", strerror_r(system_errno, words, sizeof words));
    size_t latest = sizeof error->text - 1 - (size_t)length;
    size_t at = used < latest ? used : error_whole_characters(error->text, latest);
    memcpy(error->text + at, reason, (size_t)length + 1);
}

__attribute__((format(printf, 4, 0))) static void error_fill(struct certpost_error *error,
                                                             enum certpost_status status,
                                                             int system_errno, const char *format,
                                                             va_list arguments)
{
    int saved_errno = errno;
    error->status = status;
    error->system_errno = system_errno;
    int written = vsnprintf(error->text, sizeof error->text, format, arguments);
    size_t used = written < 0 ? 0 : (size_t)written;
    if (used >= sizeof error->text)
        used = error_whole_characters(error->text, sizeof error->text - 1);
    char raw[sizeof error->text];
    memcpy(raw, error->text, used);
    used = text_escape_rest(raw, used, error->text, sizeof error->text);
    if (system_errno != 0)
        error_append_reason(error, used, system_errno);
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
