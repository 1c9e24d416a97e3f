/*
 * log.c — building and writing log lines (base/log.h).
 *
 * Uses: text, clock.  Used by: server/, client/, and the debug lines of net/.
 * Never: blocks, allocates, or lets a byte of a peer start a new line.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Kept free at the end of a line for what closes it: cut mark, brace, newline. */
enum { LOG_TAIL_BYTES = 32 };

static const char *const log_level_names[] = {"error", "warning", "info", "debug"};
/* syslog(3) severities, as the journal reads them at the start of a line (sd-daemon(3)). */
static const int log_level_severity[] = {3, 4, 6, 7};

static struct {
    int descriptor;
    enum log_format format;
    atomic_int level;
    atomic_ullong dropped_lines;
} log_state = {.descriptor = STDERR_FILENO, .format = LOG_FORMAT_TEXT, .level = LOG_LEVEL_INFO};

void log_configure(int descriptor, enum log_format format)
{
    log_state.descriptor = descriptor;
    log_state.format = format;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_state.level, (int)level, memory_order_relaxed);
}

bool log_is_wanted(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return log_level_names[level];
}

bool log_level_from_name(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof log_level_names / sizeof log_level_names[0]; i++) {
        if (strcmp(name, log_level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Appends formatted text, cutting at the room that is left before the tail. */
__attribute__((format(printf, 2, 3))) static void log_add(struct log_line *line, const char *format,
                                                          ...)
{
    size_t room = sizeof line->text - LOG_TAIL_BYTES - line->length;
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    if (written < 0)
        return;
    if ((size_t)written >= room) {
        line->cut = true;
        written = room == 0 ? 0 : (int)(room - 1);
    }
    line->length += (size_t)written;
}

/*
 * text_escape makes \xHH for unsafe bytes, which JSON does not know: there the backslash itself has
 * to be escaped, so a JSON reader sees the same text that a person sees.
 */
static void log_add_escaped(struct log_line *line, const void *bytes, size_t length)
{
    char escaped[LOG_LINE_BYTES / 2];
    size_t escaped_length = text_escape(bytes, length, escaped, sizeof escaped);
    bool json = log_state.format == LOG_FORMAT_JSON;
    size_t plain_from = 0;
    for (size_t i = 0; i < escaped_length; i++) {
        if (escaped[i] != '"' && !(json && escaped[i] == '\\'))
            continue;
        log_add(line, "%.*s\\", (int)(i - plain_from), escaped + plain_from);
        plain_from = i;
    }
    log_add(line, "%s", escaped + plain_from);
}

static bool log_needs_quotes(const char *value, size_t length)
{
    if (length == 0)
        return true;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)value[i];
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte >= 0x7f)
            return true;
    }
    return false;
}

void log_begin(struct log_line *line, enum log_level level, const char *message)
{
    line->level = level;
    line->wanted = log_is_wanted(level);
    line->cut = false;
    line->length = 0;
    if (!line->wanted)
        return;
    char now[CLOCK_UTC_TEXT_BYTES];
    clock_format_utc(clock_wall_ms(), now);
    switch (log_state.format) {
    case LOG_FORMAT_TEXT:
        log_add(line, "%s %s ", now, log_level_names[level]);
        log_add(line, "%s", message);
        break;
    case LOG_FORMAT_JSON:
        log_add(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"", now,
                log_level_names[level]);
        log_add_escaped(line, message, strlen(message));
        log_add(line, "\"");
        break;
    case LOG_FORMAT_JOURNAL:
        log_add(line, "<%d>%s", log_level_severity[level], message);
        break;
    }
}

static void log_key(struct log_line *line, const char *key)
{
    log_add(line, log_state.format == LOG_FORMAT_JSON ? ",\"%s\":" : " %s=", key);
}

void log_bytes(struct log_line *line, const char *key, const void *value, size_t length)
{
    if (!line->wanted || value == NULL)
        return;
    bool quotes = log_state.format == LOG_FORMAT_JSON || log_needs_quotes(value, length);
    log_key(line, key);
    log_add(line, quotes ? "\"" : "");
    log_add_escaped(line, value, length);
    log_add(line, quotes ? "\"" : "");
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    if (value != NULL)
        log_bytes(line, key, value, strlen(value));
}

void log_u64(struct log_line *line, const char *key, uint64_t value)
{
    if (!line->wanted)
        return;
    log_key(line, key);
    log_add(line, "%llu", (unsigned long long)value);
}

/*
 * A pipe reports POLLOUT only when PIPE_BUF bytes fit, and a line is not longer than that, so the
 * write that follows does not block. Two threads can still meet between poll and write; the worst
 * that follows is one short wait.
 */
static bool log_write(const char *text, size_t length)
{
    struct pollfd ready = {.fd = log_state.descriptor, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0)
        return false;
    ssize_t written = 0;
    do {
        written = write(log_state.descriptor, text, length);
    } while (written < 0 && errno == EINTR);
    return written >= 0;
}

void log_end(struct log_line *line)
{
    if (!line->wanted)
        return;
    bool json = log_state.format == LOG_FORMAT_JSON;
    unsigned long long dropped =
        atomic_exchange_explicit(&log_state.dropped_lines, 0, memory_order_relaxed);
    if (dropped > 0 && !line->cut)
        log_u64(line, "dropped_lines", dropped);
    /* log_add keeps LOG_TAIL_BYTES free, so the closing always fits. */
    int closing = snprintf(line->text + line->length, LOG_TAIL_BYTES, "%s%s\n",
                           !line->cut ? ""
                           : json     ? "\",\"cut\":true"
                                      : " (cut)",
                           json ? "}" : "");
    int saved_errno = errno;
    if (!log_write(line->text, line->length + (size_t)closing))
        atomic_fetch_add_explicit(&log_state.dropped_lines, dropped + 1, memory_order_relaxed);
    errno = saved_errno;
}

void log_message(enum log_level level, const char *message, const char *key, const char *value)
{
    struct log_line line;
    log_begin(&line, level, message);
    if (key != NULL)
        log_text(&line, key, value);
    log_end(&line);
}
