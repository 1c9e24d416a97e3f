/*
 * notify.c — the datagrams that a service manager understands (server/notify.h).
 *
 * Uses: sockets, base/clock.  Used by: service.c.
 * Never: waits; logs; looks at the environment.
 */
#include "server/notify.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* All facts at once, each a line. */
enum { NOTIFY_DATAGRAM_BYTES = NOTIFY_STATUS_BYTES + 200 };

struct notify_facts {
    bool reloading;
    bool ready;
    bool stopping;
    bool extend;
    bool status;
    bool alive;
};

struct notify {
    int socket; /* -1 once the manager has gone */
    struct notify_facts due;
    int64_t reloading_since_us;
    int64_t extend_until_ms;
    char status[NOTIFY_STATUS_BYTES];
};

/* ------------------------------------------------------------------------------ opening */

static enum certpost_status notify_make_address(const char *text, struct sockaddr_un *ret_address,
                                                socklen_t *ret_length, struct certpost_error *error)
{
    size_t length = strlen(text);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if ((text[0] != '/' && text[0] != '@') || length < 2)
        return error_set(error, CERTPOST_USAGE,
                         "NOTIFY_SOCKET is neither a path from / nor an abstract name from @");
    if (length >= sizeof address.sun_path)
        return error_set(error, CERTPOST_USAGE,
                         "NOTIFY_SOCKET has %zu bytes, and a socket's address at most %zu", length,
                         sizeof address.sun_path - 1);
    memcpy(address.sun_path, text, length);
    /* An abstract name begins with a NUL and has no end but its length. */
    if (text[0] == '@')
        address.sun_path[0] = '\0';
    else
        length++;
    *ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    *ret_address = address;
    return CERTPOST_OK;
}

static enum certpost_status notify_connect(const char *text, int *ret_socket,
                                           struct certpost_error *error)
{
    struct sockaddr_un address;
    socklen_t length = 0;
    enum certpost_status status = notify_make_address(text, &address, &length, error);
    if (status != CERTPOST_OK)
        return status;
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, length) == 0) {
        *ret_socket = descriptor;
        return CERTPOST_OK;
    }
    int saved_errno = errno;
    if (descriptor >= 0)
        close(descriptor);
    return error_set_errno(error, CERTPOST_SYSTEM, saved_errno, "cannot reach NOTIFY_SOCKET %s",
                           text);
}

enum certpost_status notify_open(const char *address, struct notify **ret_notify,
                                 struct certpost_error *error)
{
    if (address == NULL || address[0] == '\0') {
        *ret_notify = NULL;
        return CERTPOST_OK;
    }
    struct notify *notify = calloc(1, sizeof *notify);
    if (notify == NULL)
        return error_no_memory(error);
    enum certpost_status status = notify_connect(address, &notify->socket, error);
    if (status == CERTPOST_OK)
        *ret_notify = notify;
    else
        free(notify);
    return status;
}

static void notify_give_up(struct notify *notify)
{
    if (notify->socket >= 0)
        close(notify->socket);
    notify->socket = -1;
    notify->due = (struct notify_facts){0};
}

void notify_close(struct notify *notify)
{
    if (notify == NULL)
        return;
    notify_give_up(notify);
    free(notify);
}

bool notify_is_heard(const struct notify *notify)
{
    return notify != NULL && notify->socket >= 0;
}

/* ------------------------------------------------------------------------------ telling */

static void notify_add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void notify_add(char *text, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + length, NOTIFY_DATAGRAM_BYTES - length, format, arguments);
    va_end(arguments);
}

/* One step of the service's life at most, and what goes with any. */
static struct notify_facts notify_next(const struct notify *notify)
{
    struct notify_facts next = notify->due;
    next.ready = next.ready && !next.reloading;
    next.stopping = next.stopping && !next.reloading && !next.ready;
    return next;
}

static void notify_compose(const struct notify *notify, const struct notify_facts *facts,
                           char text[NOTIFY_DATAGRAM_BYTES])
{
    text[0] = '\0';
    if (facts->reloading)
        notify_add(text, "RELOADING=1\nMONOTONIC_USEC=%" PRIi64 "\n", notify->reloading_since_us);
    if (facts->ready)
        notify_add(text, "READY=1\n");
    if (facts->stopping)
        notify_add(text, "STOPPING=1\n");
    int64_t left_ms = notify->extend_until_ms - clock_monotonic_ms();
    if (facts->extend && left_ms > 0)
        notify_add(text, "EXTEND_TIMEOUT_USEC=%" PRIi64 "\n", left_ms * 1000);
    if (facts->status)
        notify_add(text, "STATUS=%s\n", notify->status);
    if (facts->alive)
        notify_add(text, "WATCHDOG=1\n");
}

static void notify_forget(struct notify_facts *due, const struct notify_facts *told)
{
    due->reloading = due->reloading && !told->reloading;
    due->ready = due->ready && !told->ready;
    due->stopping = due->stopping && !told->stopping;
    due->extend = due->extend && !told->extend;
    due->status = due->status && !told->status;
    due->alive = due->alive && !told->alive;
}

static bool notify_is_due(const struct notify_facts *facts)
{
    return facts->reloading || facts->ready || facts->stopping || facts->extend || facts->status ||
           facts->alive;
}

/* No room in the manager's queue, or in ours; it passes. */
static bool notify_must_wait(int system_errno)
{
    return system_errno == EAGAIN || system_errno == EINTR || system_errno == ENOBUFS ||
           system_errno == ENOMEM;
}

bool notify_flush(struct notify *notify)
{
    if (notify == NULL)
        return true;
    while (notify_is_due(&notify->due)) {
        char text[NOTIFY_DATAGRAM_BYTES];
        struct notify_facts next = notify_next(notify);
        notify_compose(notify, &next, text);
        size_t length = strlen(text);
        if (length == 0 ||
            send(notify->socket, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length)
            notify_forget(&notify->due, &next);
        else if (notify_must_wait(errno))
            return false;
        else
            notify_give_up(notify);
    }
    return true;
}

void notify_ready(struct notify *notify)
{
    if (!notify_is_heard(notify))
        return;
    notify->due.ready = true;
    (void)notify_flush(notify);
}

/* Whole milliseconds would be too coarse: a manager takes a reload that began before it has asked
 * for it as an older one, and waits for another. */
static int64_t notify_now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void notify_reloading(struct notify *notify)
{
    if (!notify_is_heard(notify))
        return;
    /* A "ready" that is still due is about what was before, and the next one says the same. */
    notify->due.ready = false;
    notify->due.reloading = true;
    notify->reloading_since_us = notify_now_us();
    (void)notify_flush(notify);
}

void notify_stopping(struct notify *notify)
{
    if (!notify_is_heard(notify))
        return;
    notify->due.ready = notify->due.reloading = false;
    notify->due.stopping = true;
    (void)notify_flush(notify);
}

void notify_extend(struct notify *notify, int64_t until_ms)
{
    if (!notify_is_heard(notify))
        return;
    notify->due.extend = true;
    notify->extend_until_ms = until_ms;
    (void)notify_flush(notify);
}

void notify_status(struct notify *notify, const char *line)
{
    char cut[NOTIFY_STATUS_BYTES];
    if (!notify_is_heard(notify))
        return;
    (void)snprintf(cut, sizeof cut, "%s", line);
    if (strcmp(cut, notify->status) == 0)
        return;
    memcpy(notify->status, cut, sizeof cut);
    notify->due.status = true;
    (void)notify_flush(notify);
}

void notify_alive(struct notify *notify)
{
    if (!notify_is_heard(notify))
        return;
    notify->due.alive = true;
    (void)notify_flush(notify);
}
