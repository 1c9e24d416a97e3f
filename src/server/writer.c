/*
 * writer.c — the writer's thread: what it waits for, and in which portions it works
 * (server/writer.h).
 *
 * Uses: writer_group.c, base, pthreads.  Used by: worker.c, server.c.
 * Never: touches a connection.
 */
#include "base/clock.h"
#include "base/error.h"
#include "server/writer_internal.h"

#include <stdlib.h>
#include <time.h>

/* A group takes in batches until it has so much: more would only make the first wait longer. */
enum { WRITER_GROUP_BYTES = 4 * 1024 * 1024 };

/* Waits for a submission or until `look_at_ms`; the lock is held. */
static void writer_wait(struct writer *writer)
{
    if (writer->look_at_ms == CLOCK_NEVER_MS) {
        (void)pthread_cond_wait(&writer->submitted, &writer->mutex);
        return;
    }
    const struct timespec until = {
        .tv_sec = (time_t)(writer->look_at_ms / 1000),
        .tv_nsec = (long)(writer->look_at_ms % 1000) * 1000000L,
    };
    (void)pthread_cond_timedwait(&writer->submitted, &writer->mutex, &until);
}

static struct writer_batch *writer_cut_group(struct writer *writer)
{
    struct writer_batch *group = writer->first;
    struct writer_batch *end = group;
    size_t bytes = end != NULL ? end->entries.length : 0;
    while (end != NULL && end->next != NULL && bytes < WRITER_GROUP_BYTES) {
        end = end->next;
        bytes += end->entries.length;
    }
    if (end == NULL)
        return NULL;
    for (const struct writer_batch *batch = group; batch != end->next; batch = batch->next)
        writer->queued_batches--;
    writer->queued_bytes -= bytes;
    writer->first = end->next;
    end->next = NULL;
    if (writer->first == NULL)
        writer->last = NULL;
    return group;
}

/* Waits for work. False when the writer stops and all is done; `*ret_group` may be NULL. */
static bool writer_take_group(struct writer *writer, struct writer_batch **ret_group)
{
    (void)pthread_mutex_lock(&writer->mutex);
    writer_beat(writer);
    while (writer->first == NULL && !writer->stopping &&
           clock_monotonic_ms() < writer->look_at_ms) {
        writer_wait(writer);
        writer_beat(writer);
    }
    *ret_group = writer_cut_group(writer);
    bool goes_on = *ret_group != NULL || !writer->stopping;
    (void)pthread_mutex_unlock(&writer->mutex);
    return goes_on;
}

static void *writer_run(void *argument)
{
    struct writer *writer = argument;
    struct writer_batch *group = NULL;
    while (writer_take_group(writer, &group)) {
        if (clock_monotonic_ms() >= writer->look_at_ms)
            writer_look_after_store(writer);
        if (group != NULL)
            writer_serve_group(writer, group);
    }
    return NULL;
}

void writer_submit(struct writer *writer, struct writer_batch *batch)
{
    batch->next = NULL;
    (void)pthread_mutex_lock(&writer->mutex);
    if (writer->last != NULL)
        writer->last->next = batch;
    else
        writer->first = batch;
    writer->last = batch;
    writer->queued_batches++;
    writer->queued_bytes += batch->entries.length;
    (void)pthread_cond_signal(&writer->submitted);
    (void)pthread_mutex_unlock(&writer->mutex);
}

uint16_t writer_unready_code(const struct writer *writer)
{
    return atomic_load(&writer->unready_code);
}

int64_t writer_failing_since_ms(const struct writer *writer)
{
    return atomic_load(&writer->failing_since_ms);
}

void writer_queue(struct writer *writer, size_t *ret_batches, size_t *ret_bytes)
{
    (void)pthread_mutex_lock(&writer->mutex);
    *ret_batches = writer->queued_batches;
    *ret_bytes = writer->queued_bytes;
    (void)pthread_mutex_unlock(&writer->mutex);
}

void writer_stop_asking(struct writer *writer)
{
    atomic_store(&writer->asks_no_more, true);
}

static void writer_free(struct writer *writer)
{
    print_sink_free(&writer->sink);
    store_close(writer->store);
    (void)pthread_cond_destroy(&writer->submitted);
    (void)pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

/* Deadlines must not follow a wall clock that is set. */
static void writer_init_condition(struct writer *writer)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->submitted, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

enum certpost_status writer_start(const struct writer_setup *setup, struct writer **ret_writer,
                                  struct certpost_error *error)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        store_close(setup->store);
        return error_no_memory(error);
    }
    writer->store = setup->store;
    writer->judge = setup->judge;
    writer->print = setup->print;
    writer->metrics = setup->metrics;
    writer->look_at_ms = CLOCK_NEVER_MS;
    atomic_init(&writer->unready_code, 0);
    atomic_init(&writer->failing_since_ms, 0);
    atomic_init(&writer->asks_no_more, false);
    atomic_init(&writer->pulse_asked, false);
    atomic_init(&writer->at_medium_since_ms, 0);
    atomic_init(&writer->print_failed_ms, 0);
    (void)pthread_mutex_init(&writer->mutex, NULL);
    writer_init_condition(writer);
    print_sink_init(&writer->sink, setup->descriptor);
    int failed = pthread_create(&writer->thread, NULL, writer_run, writer);
    if (failed != 0) {
        writer_free(writer);
        return error_set_errno(error, CERTPOST_SYSTEM, failed, "cannot start a thread");
    }
    *ret_writer = writer;
    return CERTPOST_OK;
}

void writer_stop(struct writer *writer)
{
    if (writer == NULL)
        return;
    (void)pthread_mutex_lock(&writer->mutex);
    writer->stopping = true;
    (void)pthread_cond_signal(&writer->submitted);
    (void)pthread_mutex_unlock(&writer->mutex);
    (void)pthread_join(writer->thread, NULL);
    writer_free(writer);
}
