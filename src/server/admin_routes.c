/*
 * admin_routes.c — what the admin endpoint of a server shows (server/admin_routes.h).
 *
 * Uses: server.h.  Used by: server.c.
 * Never: waits for the writer; for a worker only a moment, where the status page asks it.
 */
#include "server/admin_routes.h"

#include "server/server.h"
#include "server/status.h"

#include <microhttpd.h>
#include <string.h>

#define ADMIN_TEXT "text/plain; charset=utf-8"

static unsigned admin_say(struct buffer *body, unsigned status, const char *words)
{
    bool said = buffer_append(body, words, strlen(words)) == CERTPOST_OK &&
                buffer_append(body, "\n", 1) == CERTPOST_OK;
    return said ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

/* That it can be asked is the answer. */
static unsigned admin_fill_health(void *context, struct buffer *body)
{
    (void)context;
    return admin_say(body, MHD_HTTP_OK, "ok");
}

static unsigned admin_fill_readiness(void *context, struct buffer *body)
{
    const char *reason = server_unready_reason(context);
    return reason == NULL ? admin_say(body, MHD_HTTP_OK, "ready")
                          : admin_say(body, MHD_HTTP_SERVICE_UNAVAILABLE, reason);
}

static unsigned admin_fill_page(void *context, struct buffer *body)
{
    (void)context;
    return buffer_append(body, status_page, status_page_length) == CERTPOST_OK
               ? MHD_HTTP_OK
               : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static unsigned admin_fill_metrics(void *context, struct buffer *body)
{
    struct metrics_facts facts;
    server_look(context, &facts);
    return metrics_write(server_metrics(context), &facts, body) == CERTPOST_OK
               ? MHD_HTTP_OK
               : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static unsigned admin_fill_status(void *context, struct buffer *body)
{
    struct status *status = server_status(context);
    if (status_fill_again(status, body))
        return MHD_HTTP_OK;
    struct status_view view;
    server_view(context, &view);
    enum certpost_status failed = status_fill(status, &view, body);
    state_release(view.state);
    return failed == CERTPOST_OK ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

const struct admin_route admin_routes[] = {
    {.path = "/",
     .content_type = "text/html; charset=utf-8",
     .content_policy = status_page_policy,
     .fill = admin_fill_page},
    {.path = "/status.json", .content_type = "application/json", .fill = admin_fill_status},
    {.path = "/healthz", .content_type = ADMIN_TEXT, .fill = admin_fill_health},
    {.path = "/readyz", .content_type = ADMIN_TEXT, .fill = admin_fill_readiness},
    {.path = "/metrics", .content_type = METRICS_CONTENT_TYPE, .fill = admin_fill_metrics},
    {0},
};
