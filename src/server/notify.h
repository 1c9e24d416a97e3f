/*
 * server/notify.h — what a service manager is told: the datagrams of sd_notify(3), spelled by us.
 *
 * The protocol is lines NAME=VALUE in one datagram to the socket that NOTIFY_SOCKET names. What is
 * to be told is a set of facts, not a queue: telling never waits, and where the manager has no room
 * now, the facts that are due stay due, the newest of each kind, until notify_flush gets them
 * through. They leave in the order in which a manager has to hear them: reloading, ready, stopping.
 *
 * The socket is connected when it is opened, so that nothing has to be looked up or connected once
 * the sandbox is entered.
 *
 * Threads: one, the owner's. Every function but notify_open takes NULL, and does nothing then.
 */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include "certpost/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The longest line about the state, its end included; a longer one is cut. */
enum { NOTIFY_STATUS_BYTES = 200 };

struct notify;

/*
 * Connects to the manager at `address`, the value of NOTIFY_SOCKET: a path, or @ and an abstract
 * name. NULL and "" mean that nobody wants to know, and give NULL. Errors: USAGE: neither of the
 * two, or longer than an address can be; SYSTEM: nobody listens there; NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status notify_open(const char *address, struct notify **ret_notify,
                                 struct certpost_error *error);
void notify_close(struct notify *notify);

/* READY=1: it serves, after the start or again after a reload. */
void notify_ready(struct notify *notify);

/* RELOADING=1, with the time at which it began. */
void notify_reloading(struct notify *notify);

/* STOPPING=1; what is due of the two above is not told any more. */
void notify_stopping(struct notify *notify);

/* EXTEND_TIMEOUT_USEC=: what is under way may take until `until_ms` of the monotonic clock. */
void notify_extend(struct notify *notify, int64_t until_ms);

/* STATUS=: one line for people. The same line again is not told again. */
void notify_status(struct notify *notify, const char *line);

/* WATCHDOG=1: all is well just now. */
void notify_alive(struct notify *notify);

/*
 * Tells what is due, as far as the manager has room. True when nothing is due any more. A manager
 * that has gone is given up: false from notify_is_heard.
 */
bool notify_flush(struct notify *notify);

/* Whether there is a manager, and it has not gone. */
bool notify_is_heard(const struct notify *notify);

#endif
