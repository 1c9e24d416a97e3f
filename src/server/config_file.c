/*
 * config_file.c — the configuration file (server/config.h).
 *
 * Uses: base.  Used by: config.c.
 * Never: knows what a key means; the table of options does.
 *
 * A line is empty, a comment (# or ; first), or `key = value`. White space around key and value is
 * dropped; the value goes to the end of the line, so it may hold # and =.
 */
#include "base/error.h"
#include "base/text.h"
#include "server/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A configuration that lists a hundred thousand names stays below. */
enum { CONFIG_FILE_MAX_BYTES = 32 * 1024 * 1024, CONFIG_READ_BYTES = 64 * 1024 };

struct config_line {
    const char *path;
    unsigned number;
};

static enum certpost_status config_file_read(const char *path, struct buffer *text,
                                             struct certpost_error *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return error_set_errno(error, CERTPOST_LOCAL_IO, errno, "cannot read configuration %s",
                               path);
    enum certpost_status status = CERTPOST_OK;
    ssize_t got = 1;
    while (status == CERTPOST_OK && got > 0) {
        unsigned char *tail = NULL;
        if (buffer_reserve(text, CONFIG_READ_BYTES, &tail) != CERTPOST_OK) {
            status = error_set(error, CERTPOST_LOCAL_IO, "configuration %s is too large", path);
            break;
        }
        got = read(descriptor, tail, CONFIG_READ_BYTES);
        if (got < 0)
            status = error_set_errno(error, CERTPOST_LOCAL_IO, errno,
                                     "cannot read configuration %s", path);
        else
            buffer_commit(text, (size_t)got);
    }
    close(descriptor);
    return status;
}

/* Cuts white space off both ends, in place. */
static char *config_trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

static enum certpost_status config_line_error(const struct config_line *line,
                                              enum certpost_status status, const char *words,
                                              struct certpost_error *error)
{
    return error_set(error, status, "%s:%u: %s", line->path, line->number, words);
}

/* Options that may be given once are remembered by the line that gave them. */
static enum certpost_status config_check_first(const struct options_spec *specs, const char *key,
                                               const struct config_line *line, unsigned *seen,
                                               struct certpost_error *error)
{
    for (size_t i = 0; specs[i].name != NULL; i++) {
        if (strcmp(specs[i].name, key) != 0)
            continue;
        if (seen[i] != 0 && !options_is_repeatable(specs, key))
            return error_set(error, CERTPOST_USAGE, "%s:%u: %s is set already in line %u",
                             line->path, line->number, key, seen[i]);
        seen[i] = line->number;
    }
    return CERTPOST_OK;
}

static enum certpost_status config_line_apply(char *text, const struct config_line *line,
                                              const struct options_spec *specs, void *config,
                                              unsigned *seen, struct certpost_error *error)
{
    char *key = config_trim(text);
    if (*key == '\0' || *key == '#' || *key == ';')
        return CERTPOST_OK;
    char *equals = strchr(key, '=');
    if (equals == NULL)
        return config_line_error(line, CERTPOST_USAGE, "a line is `key = value`", error);
    *equals = '\0';
    key = config_trim(key);
    char *value = config_trim(equals + 1);
    enum certpost_status status = config_check_first(specs, key, line, seen, error);
    if (status != CERTPOST_OK)
        return status;
    if (*value == '\0')
        return config_line_error(line, CERTPOST_USAGE, "the value is empty", error);
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = options_set(specs, config, key, value, &cause);
    if (status != CERTPOST_OK)
        return config_line_error(line, status, certpost_error_text(&cause, status), error);
    return CERTPOST_OK;
}

static size_t config_count_specs(const struct options_spec *specs)
{
    size_t count = 0;
    while (specs[count].name != NULL)
        count++;
    return count;
}

enum certpost_status config_file_apply(const char *path, const struct options_spec *specs,
                                       void *config, struct buffer *text,
                                       struct certpost_error *error)
{
    buffer_init(text, CONFIG_FILE_MAX_BYTES + CONFIG_READ_BYTES);
    enum certpost_status status = config_file_read(path, text, error);
    if (status == CERTPOST_OK && memchr(buffer_bytes(text), '\0', text->length) != NULL)
        status = error_set(error, CERTPOST_USAGE, "configuration %s is not a text file", path);
    if (status == CERTPOST_OK && buffer_append(text, "", 1) != CERTPOST_OK)
        status = error_no_memory(error);
    unsigned *seen = calloc(config_count_specs(specs) + 1, sizeof *seen);
    if (status == CERTPOST_OK && seen == NULL)
        status = error_no_memory(error);
    struct config_line line = {path, 0};
    char *next = (char *)text->memory;
    const char *end = next == NULL ? NULL : next + text->length;
    while (status == CERTPOST_OK && next != NULL) {
        char *here = next;
        next = memchr(here, '\n', (size_t)(end - here));
        if (next != NULL)
            *next++ = '\0';
        line.number++;
        status = config_line_apply(here, &line, specs, config, seen, error);
    }
    free(seen);
    return status;
}
