/*
 * reader.c — streams and messages of a store, for reading (store/reader.h).
 *
 * Of one stream, the rows are found through `commits`, which says in which rows each range of
 * numbers lies; of all streams, they are read as they arrived. Either way a batch is copied out and
 * the statement reset, so that no snapshot outlives a call.
 *
 * Uses: database, schema, commit_row.  Used by: client (read, verify), audit.c, tests.
 * Never: writes, or holds a snapshot between calls.
 */
#include "base/error.h"
#include "store/reader_internal.h"
#include "store/schema.h"

#include <stdlib.h>
#include <string.h>

enum { READER_BUSY_TIMEOUT_MS = 2000 };

static const char *const reader_sql[READER_STATEMENT_COUNT] = {
    [READER_STREAM] = "SELECT id, identity, name, last_seq, digest FROM streams WHERE id > ?1"
                      " AND (?2 IS NULL OR identity = ?2) AND (?3 IS NULL OR name = ?3)"
                      " ORDER BY id LIMIT 1",
    [READER_ARRIVALS] = "SELECT id, stream, seq, body FROM messages WHERE id > ?1"
                        " AND seq BETWEEN ?2 AND ?3 ORDER BY id",
    [READER_COMMITTED] = "SELECT id, stream, seq, body FROM messages WHERE id > ?1"
                         " AND seq BETWEEN ?2 AND ?3 AND id <= ?4 AND stream = ?5 ORDER BY id",
    [READER_COMMIT] = COMMIT_ROW_SQL,
};

enum certpost_status commit_row_load(struct database *db, sqlite3_stmt *statement,
                                     int64_t stream_id, uint64_t seq, struct commit_row *ret_row,
                                     struct certpost_error *error)
{
    int code = sqlite3_bind_int64(statement, 1, stream_id);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 2, seq > INT64_MAX ? INT64_MAX : (int64_t)seq);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    enum certpost_status status = CERTPOST_OK;
    struct commit_row row = {0};
    if (code == SQLITE_ROW) {
        const void *digest = sqlite3_column_blob(statement, 5);
        if (digest != NULL && sqlite3_column_bytes(statement, 5) == CHAIN_DIGEST_BYTES)
            memcpy(row.digest, digest, CHAIN_DIGEST_BYTES);
        row.stream_id = stream_id;
        row.first_seq = (uint64_t)sqlite3_column_int64(statement, 0);
        row.last_seq = (uint64_t)sqlite3_column_int64(statement, 1);
        row.first_row = sqlite3_column_int64(statement, 2);
        row.last_row = sqlite3_column_int64(statement, 3);
        row.time_ms = sqlite3_column_int64(statement, 4);
    } else if (code != SQLITE_DONE) {
        status = database_failure(db, code, error);
    }
    sqlite3_reset(statement);
    if (status == CERTPOST_OK)
        *ret_row = row;
    return status;
}

static enum certpost_status reader_connect(struct reader *reader, struct certpost_error *error)
{
    enum certpost_status status = database_open(&reader->db, &reader->place, DATABASE_READ, error);
    if (status == CERTPOST_OK)
        status = schema_check(&reader->db, &schema_store, error);
    for (size_t i = 0; i < READER_STATEMENT_COUNT && status == CERTPOST_OK; i++)
        status = database_prepare(&reader->db, reader_sql[i], &reader->statements[i], error);
    return status;
}

enum certpost_status reader_open(const char *path, const char *vfs, struct reader **ret_reader,
                                 struct certpost_error *error)
{
    if (path[0] == '\0')
        return error_set(error, CERTPOST_STORE, "the store has no file name");
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return error_no_memory(error);
    buffer_init(&reader->bytes, SIZE_MAX / 2);
    reader->path = strdup(path);
    reader->vfs = vfs == NULL ? NULL : strdup(vfs);
    reader->place = (struct database_place){
        .path = reader->path,
        .vfs = reader->vfs,
        .what = "store",
        .status = CERTPOST_STORE,
        .busy_timeout_ms = READER_BUSY_TIMEOUT_MS,
    };
    reader_select(reader, 0, 1, UINT64_MAX);
    enum certpost_status status = CERTPOST_OK;
    if (reader->path == NULL || (vfs != NULL && reader->vfs == NULL))
        status = error_no_memory(error);
    else
        status = reader_connect(reader, error);
    if (status != CERTPOST_OK) {
        reader_close(reader);
        return status;
    }
    *ret_reader = reader;
    return CERTPOST_OK;
}

void reader_close(struct reader *reader)
{
    if (reader == NULL)
        return;
    for (size_t i = 0; i < READER_STATEMENT_COUNT; i++)
        sqlite3_finalize(reader->statements[i]);
    database_close(&reader->db, true);
    buffer_free(&reader->bytes);
    free(reader->vfs);
    free(reader->path);
    free(reader);
}

static int reader_bind_filter(sqlite3_stmt *statement, int index, const char *text)
{
    if (text == NULL)
        return sqlite3_bind_null(statement, index);
    return database_bind_text(statement, index, text, strlen(text));
}

static bool reader_copy(sqlite3_stmt *statement, int column, void *ret_bytes, size_t capacity,
                        size_t *ret_length)
{
    const void *bytes = sqlite3_column_blob(statement, column);
    size_t length = (size_t)sqlite3_column_bytes(statement, column);
    if (length > capacity || (bytes == NULL && length > 0))
        return false;
    if (length > 0)
        memcpy(ret_bytes, bytes, length);
    *ret_length = length;
    return true;
}

/* False when the row is not one that certpost writes. */
static bool reader_take_stream(sqlite3_stmt *row, struct reader_stream *ret_stream)
{
    size_t digest_length = 0;
    ret_stream->id = sqlite3_column_int64(row, 0);
    ret_stream->last_seq = (uint64_t)sqlite3_column_int64(row, 3);
    return reader_copy(row, 1, ret_stream->identity, sizeof ret_stream->identity,
                       &ret_stream->identity_length) &&
           reader_copy(row, 2, ret_stream->name, sizeof ret_stream->name,
                       &ret_stream->name_length) &&
           reader_copy(row, 4, ret_stream->digest, sizeof ret_stream->digest, &digest_length) &&
           digest_length == CHAIN_DIGEST_BYTES;
}

enum certpost_status reader_next_stream(struct reader *reader, const struct reader_filter *filter,
                                        int64_t after_id, struct reader_stream *ret_stream,
                                        bool *ret_found, struct certpost_error *error)
{
    sqlite3_stmt *find = reader->statements[READER_STREAM];
    int code = sqlite3_bind_int64(find, 1, after_id);
    if (code == SQLITE_OK)
        code = reader_bind_filter(find, 2, filter == NULL ? NULL : filter->identity);
    if (code == SQLITE_OK)
        code = reader_bind_filter(find, 3, filter == NULL ? NULL : filter->name);
    if (code == SQLITE_OK)
        code = sqlite3_step(find);
    struct reader_stream stream = {0};
    if (code == SQLITE_ROW && !reader_take_stream(find, &stream))
        code = SQLITE_CORRUPT;
    enum certpost_status status = CERTPOST_OK;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = database_failure(&reader->db, code, error);
    sqlite3_reset(find);
    if (status != CERTPOST_OK)
        return status;
    *ret_found = code == SQLITE_ROW;
    if (*ret_found)
        *ret_stream = stream;
    return CERTPOST_OK;
}

void reader_select(struct reader *reader, int64_t stream_id, uint64_t first_seq, uint64_t last_seq)
{
    reader->stream_id = stream_id;
    reader->first_seq = first_seq;
    reader->last_seq = last_seq > INT64_MAX ? INT64_MAX : last_seq;
    reader->after_row = 0;
    reader->commit = (struct commit_row){0};
    reader->batch_count = 0;
    reader->batch_next = 0;
}

/* Copies the row that `statement` is at into the batch. */
static enum certpost_status reader_take_message(struct reader *reader, sqlite3_stmt *statement,
                                                struct certpost_error *error)
{
    const void *body = sqlite3_column_blob(statement, 3);
    size_t length = (size_t)sqlite3_column_bytes(statement, 3);
    if (body == NULL && length > 0)
        return database_failure(&reader->db, SQLITE_NOMEM, error);
    struct reader_entry entry = {
        .row = sqlite3_column_int64(statement, 0),
        .stream_id = sqlite3_column_int64(statement, 1),
        .seq = (uint64_t)sqlite3_column_int64(statement, 2),
        .offset = reader->bytes.length,
        .length = length,
    };
    if (length > 0 && buffer_append(&reader->bytes, body, length) != CERTPOST_OK)
        return error_no_memory(error);
    reader->batch[reader->batch_count++] = entry;
    return CERTPOST_OK;
}

/* Steps a bound statement until the batch is full or the rows end, and resets it. */
static enum certpost_status reader_take_rows(struct reader *reader, sqlite3_stmt *statement,
                                             bool *ret_ended, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    int code = SQLITE_ROW;
    while (status == CERTPOST_OK && reader->batch_count < READER_BATCH_MESSAGES &&
           reader->bytes.length < READER_BATCH_BYTES) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW)
            break;
        status = reader_take_message(reader, statement, error);
    }
    if (status == CERTPOST_OK && code != SQLITE_ROW && code != SQLITE_DONE)
        status = database_failure(&reader->db, code, error);
    sqlite3_reset(statement);
    if (status != CERTPOST_OK)
        return status;
    if (reader->batch_count > 0)
        reader->after_row = reader->batch[reader->batch_count - 1].row;
    *ret_ended = code == SQLITE_DONE;
    return CERTPOST_OK;
}

static int reader_bind_range(const struct reader *reader, sqlite3_stmt *statement)
{
    int64_t first = reader->first_seq > INT64_MAX ? INT64_MAX : (int64_t)reader->first_seq;
    int code = sqlite3_bind_int64(statement, 1, reader->after_row);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 2, first);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 3, (int64_t)reader->last_seq);
    return code;
}

/* The commits of all streams are mixed; usually the next message is of the same one. */
static enum certpost_status reader_add_times(struct reader *reader, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    struct commit_row *commit = &reader->commit;
    for (size_t i = 0; i < reader->batch_count && status == CERTPOST_OK; i++) {
        struct reader_entry *entry = &reader->batch[i];
        if (commit->stream_id != entry->stream_id || entry->seq < commit->first_seq ||
            entry->seq > commit->last_seq)
            status = commit_row_load(&reader->db, reader->statements[READER_COMMIT],
                                     entry->stream_id, entry->seq, commit, error);
        if (status == CERTPOST_OK && commit->stream_id != 0)
            entry->time_ms = commit->time_ms;
    }
    return status;
}

static enum certpost_status reader_fill_arrivals(struct reader *reader,
                                                 struct certpost_error *error)
{
    sqlite3_stmt *statement = reader->statements[READER_ARRIVALS];
    int code = reader_bind_range(reader, statement);
    if (code != SQLITE_OK)
        return database_failure(&reader->db, code, error);
    bool ended = false;
    enum certpost_status status = reader_take_rows(reader, statement, &ended, error);
    return status == CERTPOST_OK ? reader_add_times(reader, error) : status;
}

/* Moves to the next commit of the stream that has messages of the range; false: there is none. */
static enum certpost_status reader_next_commit(struct reader *reader, bool *ret_found,
                                               struct certpost_error *error)
{
    struct commit_row next = {0};
    uint64_t seq = reader->commit.stream_id == 0 ? reader->first_seq : reader->commit.last_seq + 1;
    enum certpost_status status = commit_row_load(&reader->db, reader->statements[READER_COMMIT],
                                                  reader->stream_id, seq, &next, error);
    if (status != CERTPOST_OK)
        return status;
    *ret_found = next.stream_id != 0 && next.first_seq <= reader->last_seq;
    if (*ret_found) {
        reader->commit = next;
        reader->after_row = next.first_row - 1;
    }
    return CERTPOST_OK;
}

static enum certpost_status reader_fill_stream(struct reader *reader, struct certpost_error *error)
{
    sqlite3_stmt *statement = reader->statements[READER_COMMITTED];
    bool found = true;
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && reader->batch_count == 0) {
        if (reader->commit.stream_id == 0 || reader->after_row >= reader->commit.last_row)
            status = reader_next_commit(reader, &found, error);
        if (status != CERTPOST_OK || !found)
            break;
        int code = reader_bind_range(reader, statement);
        if (code == SQLITE_OK)
            code = sqlite3_bind_int64(statement, 4, reader->commit.last_row);
        if (code == SQLITE_OK)
            code = sqlite3_bind_int64(statement, 5, reader->stream_id);
        if (code != SQLITE_OK)
            return database_failure(&reader->db, code, error);
        bool ended = false;
        status = reader_take_rows(reader, statement, &ended, error);
        if (status == CERTPOST_OK && ended)
            reader->after_row = reader->commit.last_row;
    }
    for (size_t i = 0; i < reader->batch_count; i++)
        reader->batch[i].time_ms = reader->commit.time_ms;
    return status;
}

enum certpost_status reader_next(struct reader *reader, struct reader_message *ret_message,
                                 bool *ret_found, struct certpost_error *error)
{
    if (reader->batch_next == reader->batch_count) {
        reader->batch_count = 0;
        reader->batch_next = 0;
        buffer_clear(&reader->bytes);
        int64_t before = reader->after_row;
        enum certpost_status status = reader->stream_id == 0 ? reader_fill_arrivals(reader, error)
                                                             : reader_fill_stream(reader, error);
        if (status != CERTPOST_OK) {
            reader->batch_count = 0; /* a part of a batch is not handed out, and not passed over */
            reader->after_row = before;
            return status;
        }
    }
    *ret_found = reader->batch_next < reader->batch_count;
    if (!*ret_found)
        return CERTPOST_OK;
    const struct reader_entry *entry = &reader->batch[reader->batch_next++];
    const unsigned char *bytes = buffer_bytes(&reader->bytes);
    *ret_message = (struct reader_message){
        .row = entry->row,
        .stream_id = entry->stream_id,
        .seq = entry->seq,
        .time_ms = entry->time_ms,
        .bytes = entry->length == 0 ? (const void *)"" : bytes + entry->offset,
        .length = entry->length,
    };
    return CERTPOST_OK;
}
