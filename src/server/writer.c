/*
 * writer.c — the one thread that makes messages safe (server/writer.h).
 *
 * Uses: base, print_sink, pthreads.  Used by: worker.c, server.c.
 * Never: touches a connection, or completes a batch before its messages are safe.
 */
#include "server/writer.h"

#include "base/error.h"
#include "base/log.h"
#include "server/print_sink.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A batch is handed over when it passes WRITER_BATCH_BYTES, by at most one message of 16 MiB. */
enum { WRITER_BATCH_MAX_BYTES = WRITER_BATCH_BYTES + 17 * 1024 * 1024 };

/* How an entry lies in a batch: this, then the bytes, padded to the alignment of this. */
struct writer_header {
    void *owner;
    uint64_t seq;
    size_t length;
    enum writer_entry_kind kind;
};

struct writer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t submitted;
    struct writer_batch *first;
    struct writer_batch *last;
    bool stopping;
    bool failing; /* the last group failed; said once, until one works again */
    struct print_sink sink;
};

/* ------------------------------------------------------------------------------ batches */

struct writer_batch *writer_batch_new(void (*complete)(struct writer_batch *batch), void *origin)
{
    struct writer_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    batch->complete = complete;
    batch->origin = origin;
    buffer_init(&batch->entries, WRITER_BATCH_MAX_BYTES);
    return batch;
}

void writer_batch_free(struct writer_batch *batch)
{
    if (batch == NULL)
        return;
    buffer_free(&batch->entries);
    free(batch);
}

void writer_batch_reset(struct writer_batch *batch)
{
    batch->next = NULL;
    batch->status = CERTPOST_OK;
    buffer_clear(&batch->entries);
    /* A burst's memory goes back; what a usual batch needs stays for the next one. */
    if (batch->entries.capacity > WRITER_BATCH_BYTES / 4)
        buffer_free(&batch->entries);
}

bool writer_batch_is_empty(const struct writer_batch *batch)
{
    return batch->entries.length == 0;
}

bool writer_batch_is_full(const struct writer_batch *batch)
{
    return batch->entries.length >= WRITER_BATCH_BYTES;
}

static size_t writer_padded(size_t length)
{
    const size_t alignment = _Alignof(struct writer_header);
    return (length + alignment - 1) / alignment * alignment;
}

size_t writer_entry_cost_bytes(size_t length)
{
    return sizeof(struct writer_header) + writer_padded(length);
}

enum certpost_status writer_batch_add(struct writer_batch *batch, const struct writer_entry *entry)
{
    struct writer_header header = {
        .owner = entry->owner,
        .seq = entry->seq,
        .length = entry->length,
        .kind = entry->kind,
    };
    size_t total = writer_entry_cost_bytes(entry->length);
    unsigned char *tail = NULL;
    if (buffer_reserve(&batch->entries, total, &tail) != CERTPOST_OK)
        return CERTPOST_NO_MEMORY;
    memcpy(tail, &header, sizeof header);
    if (entry->length > 0)
        memcpy(tail + sizeof header, entry->bytes, entry->length);
    buffer_commit(&batch->entries, total);
    return CERTPOST_OK;
}

bool writer_batch_next(const struct writer_batch *batch, size_t *position,
                       struct writer_entry *ret_entry)
{
    if (*position >= batch->entries.length)
        return false;
    struct writer_header header;
    const unsigned char *at = buffer_bytes(&batch->entries) + *position;
    memcpy(&header, at, sizeof header);
    *ret_entry = (struct writer_entry){
        .kind = header.kind,
        .owner = header.owner,
        .seq = header.seq,
        .bytes = at + sizeof header,
        .length = header.length,
    };
    *position += sizeof header + writer_padded(header.length);
    return true;
}

bool writer_committed(const struct writer_batch *batch, const struct writer_entry *entry,
                      struct committed *ret_committed)
{
    if (batch->status != CERTPOST_OK || entry->kind != WRITER_MESSAGE)
        return false;
    *ret_committed = (struct committed){.seq = entry->seq};
    return true;
}

struct committed writer_accepted(uint64_t seq)
{
    return (struct committed){.seq = seq};
}

/* ------------------------------------------------------------------------------ thread */

static enum certpost_status writer_add_lines(struct writer *writer,
                                             const struct writer_batch *batch,
                                             struct certpost_error *error)
{
    struct writer_entry entry;
    size_t position = 0;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && writer_batch_next(batch, &position, &entry))
        status = print_sink_add(&writer->sink,
                                entry.kind == WRITER_MESSAGE ? "Received: " : "Connected by ",
                                entry.bytes, entry.length, error);
    return status;
}

static void writer_report(struct writer *writer, enum certpost_status status,
                          const struct certpost_error *error)
{
    bool failing = status != CERTPOST_OK;
    if (failing && !writer->failing)
        log_message(LOG_LEVEL_ERROR, "messages cannot be taken", "reason",
                    certpost_error_text(error, status));
    else if (!failing && writer->failing)
        log_message(LOG_LEVEL_INFO, "messages are taken again", NULL, NULL);
    writer->failing = failing;
}

/* Makes a group safe: all of it or, for all that the workers are told, nothing. */
static void writer_commit_group(struct writer *writer, struct writer_batch *group)
{
    struct certpost_error error;
    certpost_error_clear(&error);
    enum certpost_status status = CERTPOST_OK;
    for (struct writer_batch *batch = group; batch != NULL && status == CERTPOST_OK;
         batch = batch->next)
        status = writer_add_lines(writer, batch, &error);
    if (status == CERTPOST_OK)
        status = print_sink_commit(&writer->sink, &error);
    if (status != CERTPOST_OK)
        print_sink_discard(&writer->sink);
    writer_report(writer, status, &error);
    while (group != NULL) {
        struct writer_batch *batch = group;
        group = batch->next;
        batch->status = status;
        batch->complete(batch);
    }
}

/* Waits for work; NULL when the writer stops and all is done. */
static struct writer_batch *writer_take_group(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex);
    while (writer->first == NULL && !writer->stopping)
        (void)pthread_cond_wait(&writer->submitted, &writer->mutex);
    struct writer_batch *group = writer->first;
    writer->first = NULL;
    writer->last = NULL;
    (void)pthread_mutex_unlock(&writer->mutex);
    return group;
}

static void *writer_run(void *argument)
{
    struct writer *writer = argument;
    struct writer_batch *group = NULL;
    while ((group = writer_take_group(writer)) != NULL)
        writer_commit_group(writer, group);
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
    (void)pthread_cond_signal(&writer->submitted);
    (void)pthread_mutex_unlock(&writer->mutex);
}

static void writer_free(struct writer *writer)
{
    print_sink_free(&writer->sink);
    (void)pthread_cond_destroy(&writer->submitted);
    (void)pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

enum certpost_status writer_start(int descriptor, struct writer **ret_writer,
                                  struct certpost_error *error)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return error_no_memory(error);
    (void)pthread_mutex_init(&writer->mutex, NULL);
    (void)pthread_cond_init(&writer->submitted, NULL);
    print_sink_init(&writer->sink, descriptor);
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
