/*
 * audit.c — reader_verify: recomputes every digest of a store (store/reader.h).
 *
 * One pass over the messages in the order of arrival, with a small state per stream: the digest so
 * far, and the checkpoint that comes next. A pass per stream would read the rows of a commit once
 * for each of its streams. After a fault the stream goes on from its next checkpoint, so that one
 * bad message does not hide the next one.
 *
 * Uses: reader (its inside too), chain.  Used by: client (verify), tests.
 * Never: writes, or mends anything.
 */
#include "base/chain.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "store/reader_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct audit_stream {
    int64_t id;
    uint64_t seq; /* the last message seen */
    unsigned char digest[CHAIN_DIGEST_BYTES];
    bool lost; /* a message was missing, so `digest` says nothing until the next checkpoint */
    uint64_t head_seq;
    unsigned char head_digest[CHAIN_DIGEST_BYTES];
    struct commit_row commit; /* the checkpoint that is to come, or was last */
};

struct audit {
    struct reader *reader;
    struct chain *chain;
    struct audit_stream *streams; /* by rising id */
    size_t capacity;
    size_t count;
    int64_t last_row; /* of the snapshot; rows behind it came later */
    reader_report report;
    void *context;
    struct reader_audit result;
    struct certpost_error first;
};

struct audit_place {
    int64_t stream_id;
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t time_ms;
};

static void audit_quote(char *ret_text, size_t capacity, const void *bytes, size_t length)
{
    text_escape(bytes, length, ret_text, capacity);
}

/* "stream "log" of dns:a.example, messages 4 to 7, committed 2026-…: what" */
static void audit_describe(const struct reader_stream *stream, const struct audit_place *place,
                           const char *what, char *ret_text, size_t capacity)
{
    char name[320];
    char identity[320];
    char range[64];
    char time[CLOCK_UTC_TEXT_BYTES] = "";
    audit_quote(name, sizeof name, stream->name, stream->name_length);
    audit_quote(identity, sizeof identity, stream->identity, stream->identity_length);
    if (place->first_seq == place->last_seq)
        snprintf(range, sizeof range, "message %llu", (unsigned long long)place->first_seq);
    else
        snprintf(range, sizeof range, "messages %llu to %llu", (unsigned long long)place->first_seq,
                 (unsigned long long)place->last_seq);
    if (place->time_ms != 0)
        clock_format_utc(place->time_ms, time);
    snprintf(ret_text, capacity, "stream \"%s\"%s%s, %s%s%s: %s", name,
             stream->identity_length > 0 ? " of " : "", identity, range,
             place->time_ms != 0 ? ", committed " : "", time, what);
}

static enum certpost_status audit_fault(struct audit *audit, struct audit_place place,
                                        const char *what, struct certpost_error *error)
{
    struct reader_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return error_no_memory(error);
    bool found = false;
    char text[CERTPOST_ERROR_TEXT_BYTES];
    enum certpost_status status = CERTPOST_OK;
    if (place.stream_id > 0)
        status =
            reader_next_stream(audit->reader, NULL, place.stream_id - 1, stream, &found, error);
    if (status == CERTPOST_OK) {
        found = found && stream->id == place.stream_id;
        audit_describe(stream, &place, what, text, sizeof text);
        struct reader_fault fault = {
            found ? stream : NULL, place.first_seq, place.last_seq, place.time_ms, what, text};
        audit->result.faults++;
        (void)error_set(&audit->first, CERTPOST_DIGEST, "%s", text);
        if (audit->report != NULL)
            audit->report(audit->context, &fault);
    }
    free(stream);
    return status;
}

static enum certpost_status audit_add_stream(struct audit *audit,
                                             const struct reader_stream *stream,
                                             struct certpost_error *error)
{
    if (audit->count == audit->capacity) {
        size_t wanted = audit->capacity == 0 ? 16 : 2 * audit->capacity;
        struct audit_stream *grown = reallocarray(audit->streams, wanted, sizeof *grown);
        if (grown == NULL)
            return error_no_memory(error);
        audit->streams = grown;
        audit->capacity = wanted;
    }
    struct audit_stream *added = &audit->streams[audit->count];
    *added = (struct audit_stream){.id = stream->id, .head_seq = stream->last_seq};
    memcpy(added->head_digest, stream->digest, CHAIN_DIGEST_BYTES);
    enum certpost_status status =
        chain_first(audit->chain, stream->identity, stream->identity_length, stream->name,
                    stream->name_length, added->digest);
    if (status != CERTPOST_OK)
        return error_set(error, status, "OpenSSL cannot compute SHA-256");
    audit->count++;
    return CERTPOST_OK;
}

/* Within one read transaction, so that heads and last row belong together. */
static enum certpost_status audit_load(struct audit *audit, int64_t only_id,
                                       struct certpost_error *error)
{
    struct reader_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return error_no_memory(error);
    int64_t after_id = only_id == 0 ? 0 : only_id - 1;
    bool found = true;
    struct database *db = &audit->reader->db;
    enum certpost_status status = database_run(db, "BEGIN", error);
    bool in_snapshot = status == CERTPOST_OK;
    while (status == CERTPOST_OK && found) {
        status = reader_find_stream(audit->reader, NULL, after_id, stream, &found, error);
        if (status != CERTPOST_OK || !found || (only_id != 0 && stream->id != only_id))
            break;
        after_id = stream->id;
        status = audit_add_stream(audit, stream, error);
    }
    if (status == CERTPOST_OK)
        status = database_number(db, "SELECT coalesce(max(id), 0) FROM messages", &audit->last_row,
                                 error);
    if (in_snapshot)
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL); /* nothing was written */
    free(stream);
    return status;
}

/* Again if a server started meanwhile: what was loaded may be torn. */
static enum certpost_status audit_load_whole(struct audit *audit, int64_t only_id,
                                             struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = audit_load(audit, only_id, &cause);
    bool changed = false;
    enum certpost_status refreshed = reader_refresh(audit->reader, &changed, error);
    if (refreshed != CERTPOST_OK)
        return refreshed;
    if (!changed)
        return status == CERTPOST_OK ? status : error_adopt(error, status, &cause);
    audit->count = 0;
    return audit_load(audit, only_id, error);
}

static struct audit_stream *audit_find(struct audit *audit, int64_t id)
{
    size_t low = 0;
    size_t high = audit->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (audit->streams[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < audit->count && audit->streams[low].id == id ? &audit->streams[low] : NULL;
}

/* Loads the checkpoint that covers message `seq`, the next one of its stream. */
static enum certpost_status audit_next_commit(struct audit *audit, struct audit_stream *stream,
                                              uint64_t seq, struct certpost_error *error)
{
    struct commit_row commit = {0};
    enum certpost_status status =
        reader_load_commit(audit->reader, stream->id, seq, &commit, error);
    if (status != CERTPOST_OK)
        return status;
    stream->commit = commit;
    struct audit_place place = {stream->id, seq, seq, commit.time_ms};
    if (commit.stream_id == 0 || commit.first_seq > seq) {
        stream->lost = true;
        return audit_fault(audit, place, "no checkpoint covers it", error);
    }
    if (commit.first_seq != seq && !stream->lost)
        return audit_fault(audit, place, "its checkpoint does not begin with it", error);
    return CERTPOST_OK;
}

/* The number must be the next one. Sets `*ret_skip` for a message that is there once too often. */
static enum certpost_status audit_order(struct audit *audit, struct audit_stream *stream,
                                        const struct reader_message *message, bool *ret_skip,
                                        struct certpost_error *error)
{
    *ret_skip = message->seq <= stream->seq;
    if (*ret_skip) {
        struct audit_place place = {stream->id, message->seq, message->seq, message->time_ms};
        return audit_fault(audit, place, "it is there twice, or out of order", error);
    }
    if (message->seq == stream->seq + 1)
        return CERTPOST_OK;
    struct audit_place place = {stream->id, stream->seq + 1, message->seq - 1, 0};
    stream->lost = true;
    stream->seq = message->seq - 1;
    return audit_fault(audit, place, "missing", error);
}

/* At the last message of a commit: the moment of truth. */
static enum certpost_status audit_compare(struct audit *audit, struct audit_stream *stream,
                                          struct certpost_error *error)
{
    const struct commit_row *commit = &stream->commit;
    bool differs = !stream->lost && memcmp(stream->digest, commit->digest, CHAIN_DIGEST_BYTES) != 0;
    audit->result.commits++;
    stream->lost = false;
    memcpy(stream->digest, commit->digest, CHAIN_DIGEST_BYTES);
    if (!differs)
        return CERTPOST_OK;
    struct audit_place place = {stream->id, commit->first_seq, commit->last_seq, commit->time_ms};
    return audit_fault(audit, place, "the digest differs: this is not what was acknowledged",
                       error);
}

static enum certpost_status audit_message(struct audit *audit, const struct reader_message *message,
                                          struct certpost_error *error)
{
    audit->result.messages++;
    struct audit_stream *stream = audit_find(audit, message->stream_id);
    struct audit_place place = {message->stream_id, message->seq, message->seq, message->time_ms};
    if (stream == NULL)
        return audit_fault(audit, place, "it belongs to no stream", error);
    bool skip = false;
    enum certpost_status status = audit_order(audit, stream, message, &skip, error);
    if (status != CERTPOST_OK || skip)
        return status;
    if (stream->commit.stream_id == 0 || message->seq > stream->commit.last_seq)
        status = audit_next_commit(audit, stream, message->seq, error);
    const struct commit_row *commit = &stream->commit;
    bool covered = commit->stream_id != 0 && message->seq >= commit->first_seq;
    if (status == CERTPOST_OK && covered &&
        (message->row < commit->first_row || message->row > commit->last_row))
        status = audit_fault(audit, place, "it is not in the rows of its checkpoint", error);
    if (status == CERTPOST_OK)
        status = chain_next(audit->chain, stream->digest, message->bytes, message->length,
                            stream->digest);
    stream->seq = message->seq;
    if (status == CERTPOST_OK && covered && message->seq == commit->last_seq)
        status = audit_compare(audit, stream, error);
    return status;
}

static enum certpost_status audit_head(struct audit *audit, const struct audit_stream *stream,
                                       struct certpost_error *error)
{
    struct audit_place place = {stream->id, stream->seq + 1, stream->head_seq, 0};
    if (stream->seq < stream->head_seq)
        return audit_fault(audit, place, "missing", error);
    place.first_seq = stream->head_seq + 1;
    place.last_seq = stream->seq;
    if (stream->seq > stream->head_seq)
        return audit_fault(audit, place, "the stream's head does not count them", error);
    place.first_seq = stream->seq;
    if (memcmp(stream->digest, stream->head_digest, CHAIN_DIGEST_BYTES) != 0)
        return audit_fault(audit, place, "the head's digest differs from the messages'", error);
    return CERTPOST_OK;
}

static enum certpost_status audit_run(struct audit *audit, int64_t only_id,
                                      struct certpost_error *error)
{
    enum certpost_status status = audit_load_whole(audit, only_id, error);
    if (status == CERTPOST_OK && only_id != 0 && audit->count == 0)
        return error_set(error, CERTPOST_USAGE, "the store has no such stream");
    uint64_t last_seq = only_id == 0 || audit->count == 0 ? UINT64_MAX : audit->streams[0].head_seq;
    reader_select(audit->reader, only_id, 1, last_seq);
    bool found = true;
    while (status == CERTPOST_OK) {
        struct reader_message message;
        status = reader_next(audit->reader, &message, &found, error);
        if (status != CERTPOST_OK || !found || message.row > audit->last_row)
            break;
        status = audit_message(audit, &message, error);
    }
    for (size_t i = 0; i < audit->count && status == CERTPOST_OK; i++)
        status = audit_head(audit, &audit->streams[i], error);
    audit->result.streams = audit->count;
    return status;
}

enum certpost_status reader_verify(struct reader *reader, int64_t stream_id, reader_report report,
                                   void *context, struct reader_audit *ret_audit,
                                   struct certpost_error *error)
{
    struct audit audit = {.reader = reader, .report = report, .context = context};
    enum certpost_status status = chain_new(&audit.chain, error);
    if (status == CERTPOST_OK)
        status = audit_run(&audit, stream_id, error);
    if (status == CERTPOST_OK)
        *ret_audit = audit.result;
    if (status == CERTPOST_OK && audit.result.faults > 0)
        status = error_adopt(error, CERTPOST_DIGEST, &audit.first);
    reader_select(reader, 0, 1, UINT64_MAX);
    chain_free(audit.chain);
    free(audit.streams);
    return status;
}
