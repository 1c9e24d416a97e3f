/*
 * admin_routes.c — what the admin endpoint of a server shows (server/admin_routes.h).
 *
 * Uses: server.h.  Used by: server.c.
 * Never: waits for a worker or the writer: what it says about them, it can see from here.
 */
#include "server/admin_routes.h"

#include "server/server.h"

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

static unsigned admin_fill_metrics(void *context, struct buffer *body)
{
    struct metrics_facts facts;
    server_look(context, &facts);
    return metrics_write(server_metrics(context), &facts, body) == CERTPOST_OK
               ? MHD_HTTP_OK
               : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

const struct admin_route admin_routes[] = {
    {.path = "/healthz", .content_type = ADMIN_TEXT, .fill = admin_fill_health},
    {.path = "/readyz", .content_type = ADMIN_TEXT, .fill = admin_fill_readiness},
    {.path = "/metrics", .content_type = METRICS_CONTENT_TYPE, .fill = admin_fill_metrics},
    {0},
};
