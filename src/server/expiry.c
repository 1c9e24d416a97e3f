/*
 * expiry.c — the log lines before certificates end (server/expiry.h).
 *
 * What has been said already is not kept: a line is due when, since the last look, the number of
 * whole days that are left has become less. Each step is at a whole day, so none is missed.
 *
 * Uses: state, tls/validity, libuv.  Used by: server.c, main.c.
 * Never: changes what is served. What has ended is served until a reload brings something better:
 * clients that know no better may still take it.
 */
#include "server/expiry.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct expiry_watch {
    uv_timer_t timer;
    int64_t looked_s;           /* the calendar's time when the last look was */
    pthread_mutex_t mutex;      /* over `state`: snapshots come from other threads */
    struct server_state *state; /* NULL: nothing to watch yet */
};

/* ------------------------------------------------------------------------------ lines */

static void expiry_log_one(const struct tls_validity *validity, enum tls_validity_step step,
                           int64_t now_s)
{
    bool ended = step == TLS_VALIDITY_ENDED;
    char not_after[CLOCK_UTC_TEXT_BYTES];
    struct log_line line;
    clock_format_utc(validity->not_after_s * 1000, not_after);
    if (ended)
        log_begin(&line, LOG_LEVEL_ERROR, "validity has ended");
    else
        log_begin(&line, LOG_LEVEL_WARNING, "validity ends soon");
    log_text(&line, "kind", tls_validity_kind_name(validity->kind));
    log_text(&line, "file", validity->file);
    log_u64(&line, "position", validity->position);
    log_text(&line, "name", validity->name);
    log_text(&line, "not_after", not_after);
    log_u64(&line, "days", ended ? 0 : (uint64_t)tls_validity_days_left(validity, now_s));
    log_end(&line);
}

/* The steps begin with the last second of a day, which is one earlier than what is left says. */
static bool expiry_is_due(const struct tls_validity *validity, bool all, int64_t looked_s,
                          int64_t now_s)
{
    return all || tls_validity_days_left(validity, now_s + 1) <
                      tls_validity_days_left(validity, looked_s + 1);
}

/* With `all`, whatever was said at the last look. */
static void expiry_log_due(const struct server_state *state, bool all, int64_t looked_s,
                           int64_t now_s)
{
    const struct tls_validities *list = tls_server_material_validities(state->material);
    uint64_t due = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct tls_validity *validity = &list->items[i];
        enum tls_validity_step step = tls_validity_step(validity, now_s);
        if (step == TLS_VALIDITY_OK || !expiry_is_due(validity, all, looked_s, now_s))
            continue;
        due++;
        if (due <= EXPIRY_LINES_MAX)
            expiry_log_one(validity, step, now_s);
    }
    if (due <= EXPIRY_LINES_MAX)
        return;
    struct log_line line;
    log_begin(&line, LOG_LEVEL_WARNING, "more validities end soon");
    log_u64(&line, "suppressed", due - EXPIRY_LINES_MAX);
    log_end(&line);
}

void expiry_log(const struct server_state *state, int64_t now_s)
{
    expiry_log_due(state, true, now_s, now_s);
}

/* ------------------------------------------------------------------------------ the watch */

static void expiry_on_timer(uv_timer_t *timer)
{
    struct expiry_watch *watch = timer->data;
    int64_t now_s = clock_wall_ms() / 1000;
    /* Only this thread replaces the state, so it needs no lock to look at it. */
    if (watch->state != NULL)
        expiry_log_due(watch->state, false, watch->looked_s, now_s);
    watch->looked_s = now_s;
}

enum certpost_status expiry_watch_new(uv_loop_t *loop, struct expiry_watch **ret_watch,
                                      struct certpost_error *error)
{
    struct expiry_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return error_no_memory(error);
    int failed = uv_timer_init(loop, &watch->timer);
    if (failed != 0) {
        free(watch);
        return error_set(error, CERTPOST_SYSTEM, "cannot start a timer: %s", uv_strerror(failed));
    }
    watch->timer.data = watch;
    (void)pthread_mutex_init(&watch->mutex, NULL);
    (void)uv_timer_start(&watch->timer, expiry_on_timer, EXPIRY_CHECK_INTERVAL_MS,
                         EXPIRY_CHECK_INTERVAL_MS);
    *ret_watch = watch;
    return CERTPOST_OK;
}

void expiry_watch_free(struct expiry_watch *watch)
{
    if (watch == NULL)
        return;
    state_release(watch->state);
    (void)pthread_mutex_destroy(&watch->mutex);
    free(watch);
}

void expiry_watch_replace(struct expiry_watch *watch, struct server_state *state)
{
    struct server_state *held = state_hold(state);
    (void)pthread_mutex_lock(&watch->mutex);
    struct server_state *old = watch->state;
    watch->state = held;
    (void)pthread_mutex_unlock(&watch->mutex);
    state_release(old);
    watch->looked_s = clock_wall_ms() / 1000;
    expiry_log(state, watch->looked_s);
}

/* ------------------------------------------------------------------------------ snapshots */

void expiry_watch_snapshot(struct expiry_watch *watch, struct expiry_snapshot *ret_snapshot)
{
    *ret_snapshot = (struct expiry_snapshot){0};
    (void)pthread_mutex_lock(&watch->mutex);
    if (watch->state != NULL)
        ret_snapshot->state = state_hold(watch->state);
    (void)pthread_mutex_unlock(&watch->mutex);
    if (ret_snapshot->state == NULL)
        return;
    const struct tls_validities *list =
        tls_server_material_validities(ret_snapshot->state->material);
    ret_snapshot->items = list->items;
    ret_snapshot->count = list->count;
}

void expiry_snapshot_release(struct expiry_snapshot *snapshot)
{
    state_release(snapshot->state);
    *snapshot = (struct expiry_snapshot){0};
}
