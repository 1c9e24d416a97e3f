/*
 * server/log_limit.h — how many lines peers can make the server log, and what was left out.
 *
 * Lines are counted per reason and address (IPv6: per /64), and per reason alone, because one who
 * has many addresses must not fill the disk either. Windows of LOG_LIMIT_WINDOW_MS begin with their
 * first line. What is left out is counted, and the count is always written: with the next line of
 * the same reason and address, or by log_limit_report.
 *
 * Memory is fixed. One limit serves all workers, so that the bound is the server's and does not
 * grow with the number of workers; its lock is taken once for a line that a peer causes, never for
 * a byte or a message.
 *
 * Threads: any.
 */
#ifndef SERVER_LOG_LIMIT_H
#define SERVER_LOG_LIMIT_H

#include "base/log.h"

#include "certpost/error.h"

#include <sys/socket.h>

enum { LOG_LIMIT_WINDOW_MS = 10 * 1000 };

/*
 * Lines in one window. Faults, of which an attacker makes any number, are shown by examples; an end
 * that is as it should be is a record of what happened, and a fleet that reconnects at once is no
 * attack.
 */
enum {
    LOG_LIMIT_FAULTS_PER_ADDRESS = 20,
    LOG_LIMIT_FAULTS = 200,
    LOG_LIMIT_ENDS_PER_ADDRESS = 1000,
    LOG_LIMIT_ENDS = 10 * 1000,
};

struct log_limit;

struct log_limit_event {
    enum log_level level;
    bool is_fault;               /* which of the bounds above holds */
    const char *reason;          /* one of few; a copy is kept */
    const struct sockaddr *peer; /* NULL: nobody in particular */
};

/* Errors: SYSTEM (no random numbers), NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status log_limit_new(struct log_limit **ret_limit, struct certpost_error *error);
void log_limit_free(struct log_limit *limit);

/*
 * Whether the line may be written, at the moment `now_ms` of the monotonic clock. If so,
 * `ret_suppressed` is how many lines like it were left out before it and not reported since: the
 * line's field `suppressed`, when it is not 0. A line below the level in force is neither written
 * nor counted.
 */
CERTPOST_MUST_CHECK
bool log_limit_allows(struct log_limit *limit, const struct log_limit_event *event, int64_t now_ms,
                      uint64_t *ret_suppressed);

/* log_message within the bounds: the message is the reason, and `event->reason` is not looked at.
 */
void log_limit_message(struct log_limit *limit, const struct log_limit_event *event,
                       const char *message, const char *key, const char *value);

/*
 * Writes a line for each count of lines that were left out a window or more ago; with `all`, for
 * each. Call it once in a window, and with `all` at the end.
 */
void log_limit_report(struct log_limit *limit, int64_t now_ms, bool all);

#endif
