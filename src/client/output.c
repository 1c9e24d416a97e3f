/*
 * output.c — lines on standard output and standard error (client/output.h).
 *
 * Uses: base/text.  Used by: the subcommands.  Never: exits.
 */
#include "client/output.h"

#include "base/error.h"
#include "base/text.h"

#include "certpost/version.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void output_claim_descriptors(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF)
            continue;
        /* The wrong way round on purpose: using it must fail as it did while it was closed. */
        int flags = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (open("/dev/null", flags) != descriptor)
            _exit(EXIT_FAILURE);
    }
}

enum certpost_status output_finish(struct certpost_error *error)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_set_errno(error, CERTPOST_LOCAL_IO, errno, "cannot write to standard output");
    return CERTPOST_OK;
}

enum certpost_status output_bytes(const char *prefix, const void *bytes, size_t length,
                                  struct certpost_error *error)
{
    size_t capacity = TEXT_ESCAPE_MAX * length + 1;
    char *text = malloc(capacity);
    if (text == NULL)
        return error_no_memory(error);
    text_escape(bytes, length, text, capacity);
    errno = 0;
    int printed = printf("%s%s\n", prefix, text);
    int print_errno = errno;
    free(text);
    if (printed < 0)
        return error_set_errno(error, CERTPOST_LOCAL_IO, print_errno,
                               "cannot write to standard output");
    return output_finish(error);
}

enum certpost_status output_about(bool help, void (*print_help)(FILE *out),
                                  struct certpost_error *error)
{
    if (help)
        print_help(stdout);
    else
        printf("certpost %s\n", CERTPOST_VERSION);
    return output_finish(error);
}

void output_note(const char *format, ...)
{
    char text[CERTPOST_ERROR_TEXT_BYTES + 512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "certpost: %s\n", text);
}

void output_failure(const char *endpoint, enum certpost_status status,
                    const struct certpost_error *error)
{
    bool elsewhere = false;
    switch (certpost_status_group(status)) {
    case CERTPOST_GROUP_ENDED:
    case CERTPOST_GROUP_NETWORK:
    case CERTPOST_GROUP_PEER:
        elsewhere = endpoint[0] != '\0';
        break;
    case CERTPOST_GROUP_SUCCESS:
    case CERTPOST_GROUP_WAIT:
    case CERTPOST_GROUP_LOCAL:
    case CERTPOST_GROUP_USAGE:
        break;
    }
    output_note("%s%s%s", elsewhere ? endpoint : "", elsewhere ? ": " : "",
                certpost_error_text(error, status));
}

void output_duration(int64_t duration_ms, char ret_text[OUTPUT_DURATION_BYTES])
{
    if (duration_ms % 60000 == 0 && duration_ms > 0)
        snprintf(ret_text, OUTPUT_DURATION_BYTES, "%" PRId64 " min", duration_ms / 60000);
    else if (duration_ms % 1000 == 0)
        snprintf(ret_text, OUTPUT_DURATION_BYTES, "%" PRId64 " s", duration_ms / 1000);
    else
        snprintf(ret_text, OUTPUT_DURATION_BYTES, "%" PRId64 " ms", duration_ms);
}
