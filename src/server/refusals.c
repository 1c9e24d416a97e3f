/*
 * refusals.c — the last refusals and failures (server/refusals.h).
 *
 * Uses: pthread.  Used by: peer_log.c, worker_accept.c (fill), status.c (shows), server.c (owns).
 * Never: allocates after refusals_new.
 *
 * The list is kept in order, the newest first, by moving: fifty places are a page or two of memory,
 * moved once for a handshake that cost a millisecond.
 */
#include "server/refusals.h"

#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct refusals {
    pthread_mutex_t mutex;
    size_t count;
    struct refusal list[REFUSALS_MAX];
};

enum certpost_status refusals_new(struct refusals **ret_refusals, struct certpost_error *error)
{
    struct refusals *refusals = calloc(1, sizeof *refusals);
    if (refusals == NULL)
        return error_no_memory(error);
    (void)pthread_mutex_init(&refusals->mutex, NULL);
    *ret_refusals = refusals;
    return CERTPOST_OK;
}

void refusals_free(struct refusals *refusals)
{
    if (refusals == NULL)
        return;
    (void)pthread_mutex_destroy(&refusals->mutex);
    free(refusals);
}

/* HOST:PORT without its port, which is another one each time. */
static size_t refusals_host_length(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon == NULL ? strlen(address) : (size_t)(colon - address);
}

static bool refusals_is_same(const struct refusal *one, const struct refusal *other)
{
    size_t host_length = refusals_host_length(one->address);
    return host_length == refusals_host_length(other->address) &&
           memcmp(one->address, other->address, host_length) == 0 &&
           strcmp(one->reason, other->reason) == 0 && strcmp(one->detail, other->detail) == 0 &&
           one->name_length == other->name_length &&
           memcmp(one->name, other->name, one->name_length) == 0;
}

/* Where the event is to be counted: its own place, or a free one, or the oldest. */
static size_t refusals_place(struct refusals *refusals, const struct refusal *refusal)
{
    for (size_t i = 0; i < refusals->count; i++) {
        if (refusals_is_same(&refusals->list[i], refusal))
            return i;
    }
    if (refusals->count < REFUSALS_MAX)
        refusals->count++;
    memset(&refusals->list[refusals->count - 1], 0, sizeof refusals->list[0]);
    return refusals->count - 1;
}

static void refusals_insert(struct refusals *refusals, struct refusal *refusal)
{
    size_t place = refusals_place(refusals, refusal);
    if (refusals->list[place].count > 0) {
        refusal->count += refusals->list[place].count;
        refusal->first_wall_ms = refusals->list[place].first_wall_ms;
    }
    memmove(&refusals->list[1], &refusals->list[0], place * sizeof refusals->list[0]);
    refusals->list[0] = *refusal;
}

static void refusals_set_text(char *text, size_t capacity, const char *value)
{
    snprintf(text, capacity, "%s", value == NULL ? "" : value);
}

void refusals_note(struct refusals *refusals, const struct refusal_event *event, int64_t wall_ms)
{
    if (refusals == NULL)
        return;
    struct refusal refusal = {.first_wall_ms = wall_ms, .last_wall_ms = wall_ms, .count = 1};
    refusals_set_text(refusal.address, sizeof refusal.address, event->address);
    refusals_set_text(refusal.reason, sizeof refusal.reason, event->reason);
    refusals_set_text(refusal.detail, sizeof refusal.detail, event->detail);
    refusal.name_length =
        event->name_length < sizeof refusal.name ? event->name_length : sizeof refusal.name;
    if (refusal.name_length > 0)
        memcpy(refusal.name, event->name, refusal.name_length);
    (void)pthread_mutex_lock(&refusals->mutex);
    refusals_insert(refusals, &refusal);
    (void)pthread_mutex_unlock(&refusals->mutex);
}

size_t refusals_copy(struct refusals *refusals, struct refusal ret_list[REFUSALS_MAX])
{
    (void)pthread_mutex_lock(&refusals->mutex);
    size_t count = refusals->count;
    memcpy(ret_list, refusals->list, count * sizeof ret_list[0]);
    (void)pthread_mutex_unlock(&refusals->mutex);
    return count;
}
