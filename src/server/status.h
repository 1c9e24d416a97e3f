/*
 * server/status.h — the status page of the admin endpoint: what a person sees who looks at a
 * running server. "/" is one page without anything from elsewhere; "/status.json" is what it shows
 * (docs/status-page.md).
 *
 * An answer is made anew at most every STATUS_FRESH_MS, however many look, because making it asks
 * every worker for its connections. A worker that does not tell them within STATUS_WORKER_WAIT_MS
 * is shown as silent.
 *
 * Threads: the admin endpoint's.
 */
#ifndef SERVER_STATUS_H
#define SERVER_STATUS_H

#include "base/buffer.h"
#include "server/expiry.h"
#include "server/metrics_table.h"
#include "server/refusals.h"
#include "server/roster.h"
#include "server/state.h"

#include "certpost/error.h"

enum {
    STATUS_FRESH_MS = 250,
    STATUS_WORKER_WAIT_MS = 500,
    STATUS_LISTENERS_MAX = CONFIG_LIST_MAX,
    STATUS_CERTIFICATES_MAX = 50,
};

/* What a server lets be seen of itself at one moment. */
struct status_view {
    struct server_state *state; /* held for the look, the newest */
    const char *phase;          /* "starts", "serves" or "drains" */
    const char *unready_reason; /* NULL: ready */
    const char *listeners[STATUS_LISTENERS_MAX];
    size_t listener_count;
    struct roster *roster;
    struct refusals *refusals;
    struct expiry_watch *expiry;
    const struct metrics *metrics;
    struct metrics_facts facts;
    const char *store_path;    /* NULL: none */
    const char *store_failure; /* the code's name; NULL: it works */
    bool has_workers;          /* whose threads run, or have run */
};

struct status;

/* Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status status_new(struct status **ret_status, struct certpost_error *error);

/* NULL does nothing. */
void status_free(struct status *status);

/* Whether an answer that was made before still does, appended to `body`; else status_fill. */
bool status_fill_again(struct status *status, struct buffer *body);

/* Appends the JSON document. Errors: LIMIT (`body` is full), NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status status_fill(struct status *status, const struct status_view *view,
                                 struct buffer *body);

/* The page, made by the build from page/status.html, and the Content-Security-Policy that lets
 * exactly its own style and script be used. */
extern const unsigned char status_page[];
extern const size_t status_page_length;
extern const char status_page_policy[];

#endif
