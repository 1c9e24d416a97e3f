/*
 * server/admin.h — the admin endpoint: HTTP for the machine's own users, at a Unix socket or a
 * loopback address.
 *
 * What it serves is a table of routes; each fills a buffer. One thread, the endpoint's own, does
 * everything, so that whatever happens here (a scraper that stalls, a disk that does not answer)
 * holds up neither connections nor signals. The parsing of HTTP is libmicrohttpd's.
 *
 *     admin_open (sockets; before rights are dropped) → admin_start → admin_stop
 *
 * Bounds: ADMIN_PLACES connections, or fewer where descriptors are few, of which the oldest gives
 * way to a new one; one request on each; ADMIN_DEADLINE_MS from the first byte to the last, however
 * the peer behaves; ADMIN_REQUEST_BYTES for a request's line and headers; ADMIN_BODY_MAX_BYTES for
 * an answer.
 */
#ifndef SERVER_ADMIN_H
#define SERVER_ADMIN_H

#include "base/buffer.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
    ADMIN_PLACES = 32,
    ADMIN_DEADLINE_MS = 10 * 1000,
    ADMIN_REQUEST_BYTES = 16 * 1024,
    ADMIN_BODY_MAX_BYTES = 4 * 1024 * 1024,
};

/*
 * So many places fit the descriptors that the process can have (1024 and more: all of them), so
 * that the endpoint takes a sixteenth, or eight where that is less: enough for a scraper, a health
 * check and a person who looks.
 */
enum { ADMIN_PLACES_MIN = 4 };
size_t admin_places(size_t descriptors);

/*
 * Fills `body`, which is empty and has ADMIN_BODY_MAX_BYTES, and returns the HTTP status; 500 where
 * it could not (what the body holds is dropped then). On the endpoint's thread, one at a time;
 * `context` is what admin_open was given.
 */
typedef unsigned (*admin_handler)(void *context, struct buffer *body);

struct admin_route {
    const char *path; /* NULL ends a table */
    const char *content_type;
    /* Content-Security-Policy; NULL: nothing may be loaded, run or framed. */
    const char *content_policy;
    admin_handler fill;
};

struct admin_setup {
    const char *address; /* an option's value (server/admin_address.h) */
    size_t places;       /* ADMIN_PLACES at most */
    const char *user;    /* who is to own a Unix socket; NULL: whoever makes it */
    const struct admin_route *routes;
    void *context;
};

struct admin;

/*
 * Makes everything that can fail, and listens; nobody is answered yet. All of `setup` is borrowed
 * until admin_stop. Errors: USAGE, SYSTEM, NO_MEMORY, with words.
 */
CERTPOST_MUST_CHECK
enum certpost_status admin_open(const struct admin_setup *setup, struct admin **ret_admin,
                                struct certpost_error *error);

/* How many descriptors it can come to need beside those that it has since admin_open. NULL: none.
 */
size_t admin_descriptors_to_come(const struct admin *admin);

/* Starts the thread. Errors: SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status admin_start(struct admin *admin, struct certpost_error *error);

/* Ends the thread and gives everything back; no handler runs afterwards. NULL does nothing. */
void admin_stop(struct admin *admin);

/* Where it listens: unix:PATH or HOST:PORT. */
const char *admin_address(const struct admin *admin);

#endif
