/*
 * roster.c — who is connected now (server/roster.h).
 *
 * Uses: base/clock, pthread.  Used by: server.c, worker_roster.c, status.c.
 * Never: touches a sheet that a worker may be writing; makes a worker wait.
 *
 * A sheet is the asker's while IDLE, ANSWERED or ENDED, and the worker's while WANTED. Both changes
 * of hands are made under the mutex, which carries the sheet's contents along. `is_wanted` only
 * saves the worker the mutex in the wake-ups in which nobody asks.
 */
#include "server/roster.h"

#include "base/clock.h"
#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum roster_slot_state {
    ROSTER_SLOT_IDLE,
    ROSTER_SLOT_WANTED,
    ROSTER_SLOT_ANSWERED,
    ROSTER_SLOT_ENDED,
};

struct roster_slot {
    atomic_bool is_wanted;
    enum roster_slot_state state; /* under the mutex */
    enum roster_answer answer;    /* the asker's: at its last look */
    struct roster_sheet sheet;
};

struct roster {
    void (*wake)(void *argument, size_t worker);
    void *argument;
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    size_t worker_count;
    const struct roster_row **rows; /* of all sheets; for the view */
    struct roster_slot slots[];
};

static void roster_init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

enum certpost_status roster_new(size_t worker_count, void (*wake)(void *argument, size_t worker),
                                void *argument, struct roster **ret_roster,
                                struct certpost_error *error)
{
    struct roster *roster = calloc(1, sizeof *roster + worker_count * sizeof roster->slots[0]);
    if (roster == NULL)
        return error_no_memory(error);
    roster->wake = wake;
    roster->argument = argument;
    roster->worker_count = worker_count;
    (void)pthread_mutex_init(&roster->mutex, NULL);
    roster_init_condition(&roster->answered);
    for (size_t i = 0; i < worker_count; i++)
        atomic_init(&roster->slots[i].is_wanted, false);
    *ret_roster = roster;
    return CERTPOST_OK;
}

void roster_free(struct roster *roster)
{
    if (roster == NULL)
        return;
    for (size_t i = 0; i < roster->worker_count; i++)
        free(roster->slots[i].sheet.rows);
    free(roster->rows);
    (void)pthread_cond_destroy(&roster->answered);
    (void)pthread_mutex_destroy(&roster->mutex);
    free(roster);
}

/* ------------------------------------------------------------------------------ worker */

struct roster_sheet *roster_wanted_sheet(struct roster *roster, size_t worker)
{
    struct roster_slot *slot = &roster->slots[worker];
    if (!atomic_load_explicit(&slot->is_wanted, memory_order_relaxed))
        return NULL;
    (void)pthread_mutex_lock(&roster->mutex);
    bool wanted = slot->state == ROSTER_SLOT_WANTED;
    (void)pthread_mutex_unlock(&roster->mutex);
    return wanted ? &slot->sheet : NULL;
}

static void roster_give_back(struct roster *roster, size_t worker, enum roster_slot_state state)
{
    struct roster_slot *slot = &roster->slots[worker];
    (void)pthread_mutex_lock(&roster->mutex);
    atomic_store_explicit(&slot->is_wanted, false, memory_order_relaxed);
    slot->state = state;
    (void)pthread_cond_signal(&roster->answered);
    (void)pthread_mutex_unlock(&roster->mutex);
}

void roster_hand_in(struct roster *roster, size_t worker)
{
    roster_give_back(roster, worker, ROSTER_SLOT_ANSWERED);
}

void roster_leave(struct roster *roster, size_t worker)
{
    roster_give_back(roster, worker, ROSTER_SLOT_ENDED);
}

/* ------------------------------------------------------------------------------ asking */

static bool roster_has_memory(struct roster *roster)
{
    if (roster->rows == NULL)
        roster->rows =
            calloc(roster->worker_count * ROSTER_ROWS_MAX, sizeof(const struct roster_row *));
    bool complete = roster->rows != NULL;
    for (size_t i = 0; i < roster->worker_count && complete; i++) {
        struct roster_sheet *sheet = &roster->slots[i].sheet;
        if (sheet->rows == NULL)
            sheet->rows = calloc(ROSTER_ROWS_MAX, sizeof *sheet->rows);
        complete = sheet->rows != NULL;
    }
    return complete;
}

/* Who has not answered an earlier question is not asked again: the late answer will do. */
static void roster_ask(struct roster *roster)
{
    (void)pthread_mutex_lock(&roster->mutex);
    for (size_t i = 0; i < roster->worker_count; i++) {
        struct roster_slot *slot = &roster->slots[i];
        if (slot->state == ROSTER_SLOT_ENDED)
            continue;
        slot->state = ROSTER_SLOT_WANTED;
        atomic_store_explicit(&slot->is_wanted, true, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&roster->mutex);
    for (size_t i = 0; i < roster->worker_count; i++) {
        if (atomic_load_explicit(&roster->slots[i].is_wanted, memory_order_relaxed))
            roster->wake(roster->argument, i);
    }
}

static bool roster_waits(const struct roster *roster)
{
    for (size_t i = 0; i < roster->worker_count; i++) {
        if (roster->slots[i].state == ROSTER_SLOT_WANTED)
            return true;
    }
    return false;
}

static enum roster_answer roster_answer_of(enum roster_slot_state state)
{
    if (state == ROSTER_SLOT_ENDED)
        return ROSTER_ENDED;
    return state == ROSTER_SLOT_WANTED ? ROSTER_SILENT : ROSTER_ANSWERED;
}

static void roster_wait(struct roster *roster, int64_t deadline_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                                   .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    (void)pthread_mutex_lock(&roster->mutex);
    int failed = 0;
    while (failed == 0 && roster_waits(roster))
        failed = pthread_cond_timedwait(&roster->answered, &roster->mutex, &until);
    for (size_t i = 0; i < roster->worker_count; i++)
        roster->slots[i].answer = roster_answer_of(roster->slots[i].state);
    (void)pthread_mutex_unlock(&roster->mutex);
}

int roster_compare(const void *a, const void *b)
{
    const struct roster_row *left = *(const struct roster_row *const *)a;
    const struct roster_row *right = *(const struct roster_row *const *)b;
    if (left->unacked_count != right->unacked_count)
        return left->unacked_count > right->unacked_count ? -1 : 1;
    if (left->age_ms != right->age_ms)
        return left->age_ms < right->age_ms ? -1 : 1;
    return strcmp(left->address, right->address);
}

enum certpost_status roster_collect(struct roster *roster, int64_t timeout_ms,
                                    struct roster_view *ret_view)
{
    if (!roster_has_memory(roster))
        return CERTPOST_NO_MEMORY;
    roster_ask(roster);
    roster_wait(roster, clock_deadline_ms(timeout_ms));
    size_t row_count = 0;
    size_t connection_count = 0;
    for (size_t i = 0; i < roster->worker_count; i++) {
        const struct roster_slot *slot = &roster->slots[i];
        if (slot->answer != ROSTER_ANSWERED)
            continue;
        connection_count += slot->sheet.connection_count;
        for (size_t row = 0; row < slot->sheet.row_count; row++)
            roster->rows[row_count++] = &slot->sheet.rows[row];
    }
    qsort((void *)roster->rows, row_count, sizeof(void *), roster_compare);
    *ret_view = (struct roster_view){
        .worker_count = roster->worker_count,
        .connection_count = connection_count,
        .row_count = row_count < ROSTER_ROWS_MAX ? row_count : ROSTER_ROWS_MAX,
        .rows = roster->rows,
    };
    return CERTPOST_OK;
}

enum roster_answer roster_worker(const struct roster *roster, size_t worker,
                                 size_t *ret_connection_count)
{
    const struct roster_slot *slot = &roster->slots[worker];
    *ret_connection_count = slot->answer == ROSTER_ANSWERED ? slot->sheet.connection_count : 0;
    return slot->answer;
}

/* ------------------------------------------------------------------------------ names */

size_t roster_name_kept(const struct roster_name *name)
{
    return name->length < sizeof name->bytes ? name->length : sizeof name->bytes;
}

void roster_name_set(struct roster_name *name, const void *bytes, size_t length)
{
    name->length = length;
    if (length > 0)
        memcpy(name->bytes, bytes, roster_name_kept(name));
}
