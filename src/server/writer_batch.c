/*
 * writer_batch.c — what lies in a batch, and how (server/writer.h).
 *
 * Uses: base.  Used by: worker.c, writer.c, writer_group.c.
 * Never: allocates for one message; a batch's memory grows by doubling and is used again.
 */
#include "server/writer.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

/* A batch is handed over when it passes WRITER_BATCH_BYTES, by at most one message of 16 MiB. */
enum { WRITER_BATCH_MAX_BYTES = WRITER_BATCH_BYTES + 17 * 1024 * 1024 };

/* More than there can be connections. */
#define WRITER_OUTCOMES_MAX_BYTES (sizeof(struct writer_outcome) * 4 * 1024 * 1024)

/* How an entry lies in a batch: this, then the bytes, padded to the alignment of this. */
struct writer_header {
    struct writer_stream *stream;
    uint64_t number; /* MESSAGE: seq; OPEN: length of the identity */
    uint32_t length;
    uint32_t kind;
    unsigned char digest[CHAIN_DIGEST_BYTES];
};

/* With its padding, an entry never counts more than a message does in a client's window. */
_Static_assert(sizeof(struct writer_header) + _Alignof(struct writer_header) - 1 <=
                   MESSAGE_OVERHEAD_BYTES,
               "an entry must fit what a message counts");

struct writer_batch *writer_batch_new(struct writer_port *port)
{
    struct writer_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    batch->port = port;
    batch->delivery.batch = batch;
    buffer_init(&batch->entries, WRITER_BATCH_MAX_BYTES);
    buffer_init(&batch->outcomes, WRITER_OUTCOMES_MAX_BYTES);
    return batch;
}

void writer_batch_free(struct writer_batch *batch)
{
    if (batch == NULL)
        return;
    buffer_free(&batch->entries);
    buffer_free(&batch->outcomes);
    free(batch);
}

void writer_batch_reset(struct writer_batch *batch)
{
    batch->next = NULL;
    batch->delivery.next = NULL;
    batch->releases = NULL;
    batch->open_count = 0;
    batch->message_count = 0;
    buffer_clear(&batch->entries);
    buffer_clear(&batch->outcomes);
    /* A burst's memory goes back; what a usual batch needs stays for the next one. */
    if (batch->entries.capacity > WRITER_BATCH_BYTES / 4)
        buffer_free(&batch->entries);
    if (batch->outcomes.capacity > WRITER_BATCH_BYTES / 4)
        buffer_free(&batch->outcomes);
}

bool writer_batch_is_empty(const struct writer_batch *batch)
{
    return batch->entries.length == 0 && batch->releases == NULL;
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

struct writer_outcome *writer_batch_outcomes(const struct writer_batch *batch, size_t *ret_count)
{
    *ret_count = batch->outcomes.length / sizeof(struct writer_outcome);
    if (*ret_count == 0)
        return NULL; /* not even an offset of 0 may be added to NULL */
    return (struct writer_outcome *)(void *)(batch->outcomes.memory + batch->outcomes.start);
}

/* The stream's outcome in this batch, made if it has none; NULL when there is no memory. */
static struct writer_outcome *writer_outcome_of(struct writer_batch *batch,
                                                struct writer_stream *stream)
{
    size_t count = 0;
    struct writer_outcome *outcomes = writer_batch_outcomes(batch, &count);
    if (stream->outcome < count && outcomes[stream->outcome].stream == stream)
        return &outcomes[stream->outcome];
    const struct writer_outcome fresh = {.stream = stream};
    if (buffer_append(&batch->outcomes, &fresh, sizeof fresh) != CERTPOST_OK)
        return NULL;
    stream->outcome = count;
    return &writer_batch_outcomes(batch, &count)[stream->outcome];
}

static void writer_count(struct writer_batch *batch, const struct writer_entry *entry)
{
    batch->open_count += entry->kind == WRITER_OPEN;
    batch->message_count += entry->kind == WRITER_MESSAGE;
}

enum certpost_status writer_batch_add(struct writer_batch *batch, const struct writer_entry *entry)
{
    struct writer_header header = {
        .stream = entry->stream,
        .number = entry->kind == WRITER_OPEN ? entry->identity_length : entry->seq,
        .length = (uint32_t)entry->length,
        .kind = (uint32_t)entry->kind,
    };
    memcpy(header.digest, entry->digest, sizeof header.digest);
    size_t total = writer_entry_cost_bytes(entry->length);
    unsigned char *tail = NULL;
    if (buffer_reserve(&batch->entries, total, &tail) != CERTPOST_OK)
        return CERTPOST_NO_MEMORY;
    struct writer_outcome *outcome = writer_outcome_of(batch, entry->stream);
    if (outcome == NULL)
        return CERTPOST_NO_MEMORY;
    outcome->entry_count++;
    outcome->cost_bytes += total;
    writer_count(batch, entry);
    memcpy(tail, &header, sizeof header);
    if (entry->length > 0)
        memcpy(tail + sizeof header, entry->bytes, entry->length);
    buffer_commit(&batch->entries, total);
    return CERTPOST_OK;
}

void writer_batch_release(struct writer_batch *batch, struct writer_stream *stream)
{
    stream->next_release = batch->releases;
    batch->releases = stream;
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
        .kind = (enum writer_entry_kind)header.kind,
        .stream = header.stream,
        .bytes = at + sizeof header,
        .length = header.length,
    };
    if (ret_entry->kind == WRITER_OPEN)
        ret_entry->identity_length = (size_t)header.number;
    else
        ret_entry->seq = header.number;
    memcpy(ret_entry->digest, header.digest, sizeof header.digest);
    *position += sizeof header + writer_padded(header.length);
    return true;
}

struct committed writer_accepted(uint64_t seq)
{
    return (struct committed){.seq = seq};
}
