/*
 * base/log.h — log lines for people and for machines.
 *
 * One line is one event: a level, a fixed message, and fields. It is built in a bounded buffer and
 * leaves the process in one write, so lines of several threads never mix. Writing never blocks:
 * when the reader of standard error has stopped reading, lines are dropped and counted, and the
 * next line that gets through says how many.
 *
 * Only server/ and client/ log above LOG_DEBUG. Threads: any; log_configure only before the others
 * start, log_set_level and log_set_format at any time (a line has one form from begin to end).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_format {
    LOG_FORMAT_TEXT,    /* 2026-11-22T13:21:17.123Z info message key=value … */
    LOG_FORMAT_JSON,    /* {"time":"…","level":"info","event":"message","key":"value",…} */
    LOG_FORMAT_JOURNAL, /* <6>message key=value …: the journal adds the time */
};

/* The longest line; what does not fit is cut, and the line says so. */
enum { LOG_LINE_BYTES = 4096 };

struct log_line {
    enum log_level level;
    enum log_format format;
    bool wanted; /* false: below the level in force, so nothing is built */
    bool cut;
    size_t length;
    char text[LOG_LINE_BYTES];
};

/* Where lines go (a descriptor that stays open) and how they look. Text on descriptor 2 until then.
 */
void log_configure(int descriptor, enum log_format format);
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);

/* Whether `descriptor` is the one that the system's journal reads ($JOURNAL_STREAM,
 * systemd.exec(5)).
 */
bool log_is_journal(int descriptor);

bool log_is_wanted(enum log_level level);

/* "error", "warning", "info", "debug", and back; false for any other name. */
const char *log_level_name(enum log_level level);
bool log_level_from_name(const char *name, enum log_level *ret_level);

/*
 * Building: begin, any number of fields, end. Keys and the message are literals of ours; values are
 * escaped. A NULL string leaves its field out.
 */
void log_begin(struct log_line *line, enum log_level level, const char *message);
void log_text(struct log_line *line, const char *key, const char *value);
void log_bytes(struct log_line *line, const char *key, const void *value, size_t length);
void log_u64(struct log_line *line, const char *key, uint64_t value);
void log_end(struct log_line *line);

/* One line with at most one field, for the many places that need no more. */
void log_message(enum log_level level, const char *message, const char *key, const char *value);

#endif
