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
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Kept free at the end of a line for what closes it: quote, dropped lines, cut mark, brace,
 * newline. */
enum { LOG_TAIL_BYTES = 64 };

static const char *const log_level_names[] = {"error", "warning", "info", "debug"};
/* syslog(3) severities, as the journal reads them at the start of a line (sd-daemon(3)). */
static const int log_level_severity[] = {3, 4, 6, 7};

static struct {
    int descriptor;
    atomic_int format;
    atomic_int level;
    atomic_ullong dropped_lines;
} log_state = {.descriptor = STDERR_FILENO, .format = LOG_FORMAT_TEXT, .level = LOG_LEVEL_INFO};

void log_configure(int descriptor, enum log_format format)
{
    log_state.descriptor = descriptor;
    log_set_format(format);
}

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&log_state.format, (int)format, memory_order_relaxed);
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

static size_t log_room(const struct log_line *line)
{
    size_t end = sizeof line->text - LOG_TAIL_BYTES;
    return line->cut || line->length >= end ? 0 : end - line->length;
}

/* Appends all of the text, or nothing: the reader of a line that was cut must still understand it.
 */
__attribute__((format(printf, 2, 3))) static bool log_add(struct log_line *line, const char *format,
                                                          ...)
{
    size_t room = log_room(line);
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    if (written < 0 || (size_t)written >= room)
        line->cut = true;
    else
        line->length += (size_t)written;
    return !line->cut;
}

/*
 * The next character, escaped. text_escape makes \xHH for unsafe bytes, which JSON does not know:
 * there the backslash itself is escaped, so a JSON reader sees the same text that a person sees.
 */
static void log_add_character(struct log_line *line, const unsigned char *bytes, size_t length)
{
    char escaped[TEXT_ESCAPE_MAX * TEXT_ESCAPE_MAX + 1];
    char piece[2 * sizeof escaped];
    size_t escaped_length = text_escape(bytes, length, escaped, sizeof escaped);
    size_t piece_length = 0;
    for (size_t i = 0; i < escaped_length; i++) {
        if (escaped[i] == '"' || (escaped[i] == '\\' && line->format == LOG_FORMAT_JSON))
            piece[piece_length++] = '\\';
        piece[piece_length++] = escaped[i];
    }
    piece[piece_length] = '\0';
    (void)log_add(line, "%s", piece);
}

/* Appends as many whole characters as there is room for. */
static void log_add_escaped(struct log_line *line, const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    while (length > 0 && !line->cut) {
        size_t taken = text_plain_run(next, length);
        if (taken > 0) {
            size_t room = log_room(line);
            size_t fits = taken < room ? taken : room;
            memcpy(line->text + line->length, next, fits);
            line->length += fits;
            line->cut = fits < taken;
        } else {
            taken = text_utf8_length(next, length);
            taken = taken == 0 ? 1 : taken;
            log_add_character(line, next, taken);
        }
        next += taken;
        length -= taken;
    }
}

/* Ends a string in a line that may be full: the tail has room for this one byte. */
static void log_close_quote(struct log_line *line)
{
    line->text[line->length++] = '"';
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
    line->format = (enum log_format)atomic_load_explicit(&log_state.format, memory_order_relaxed);
    line->wanted = log_is_wanted(level);
    line->cut = false;
    line->length = 0;
    if (!line->wanted)
        return;
    char now[CLOCK_UTC_TEXT_BYTES];
    clock_format_utc(clock_wall_ms(), now);
    switch (line->format) {
    case LOG_FORMAT_TEXT:
        (void)log_add(line, "%s %s %s", now, log_level_names[level], message);
        break;
    case LOG_FORMAT_JSON:
        (void)log_add(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"", now,
                      log_level_names[level]);
        log_add_escaped(line, message, strlen(message));
        log_close_quote(line);
        break;
    case LOG_FORMAT_JOURNAL:
        (void)log_add(line, "<%d>%s", log_level_severity[level], message);
        break;
    }
}

void log_bytes(struct log_line *line, const char *key, const void *value, size_t length)
{
    if (!line->wanted || value == NULL)
        return;
    bool json = line->format == LOG_FORMAT_JSON;
    bool quotes = json || log_needs_quotes(value, length);
    if (!log_add(line, json ? ",\"%s\":%s" : " %s=%s", key, quotes ? "\"" : ""))
        return;
    log_add_escaped(line, value, length);
    if (quotes)
        log_close_quote(line);
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
    (void)log_add(line, line->format == LOG_FORMAT_JSON ? ",\"%s\":%llu" : " %s=%llu", key,
                  (unsigned long long)value);
}

/*
 * A pipe reports POLLOUT only when PIPE_BUF bytes fit, and a line is not longer than that, so the
 * write that follows does not block, as long as no other thread writes in between: hence the lock.
 * Nothing under it waits.
 */
static bool log_write(const char *text, size_t length)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct pollfd ready = {.fd = log_state.descriptor, .events = POLLOUT};
    ssize_t written = -1;
    pthread_mutex_lock(&lock);
    if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0) {
        do {
            written = write(log_state.descriptor, text, length);
        } while (written < 0 && errno == EINTR);
    }
    pthread_mutex_unlock(&lock);
    return written >= 0;
}

/* Closes the line in the room that was kept for it. */
static void log_close(struct log_line *line, unsigned long long dropped)
{
    bool json = line->format == LOG_FORMAT_JSON;
    char count[LOG_TAIL_BYTES] = "";
    if (dropped > 0)
        snprintf(count, sizeof count, json ? ",\"dropped_lines\":%llu" : " dropped_lines=%llu",
                 dropped);
    const char *cut = json ? ",\"cut\":true" : " (cut)";
    int closing = snprintf(line->text + line->length, sizeof line->text - line->length, "%s%s%s\n",
                           count, line->cut ? cut : "", json ? "}" : "");
    line->length += (size_t)closing;
}

void log_end(struct log_line *line)
{
    if (!line->wanted)
        return;
    int saved_errno = errno;
    unsigned long long dropped =
        atomic_exchange_explicit(&log_state.dropped_lines, 0, memory_order_relaxed);
    log_close(line, dropped);
    if (!log_write(line->text, line->length))
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
