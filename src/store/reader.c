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

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Said here, because SQLite has one word for all of these, and opens a pipe for ever. */
static enum certpost_status reader_check_file(const char *path, struct stat *ret_file,
                                              struct certpost_error *error)
{
    if (path[0] == '\0')
        return error_set(error, CERTPOST_STORE, "the store has no file name");
    if (stat(path, ret_file) != 0)
        return error_set_errno(error, CERTPOST_STORE, errno, "store %s cannot be opened", path);
    if (!S_ISREG(ret_file->st_mode))
        return error_set(error, CERTPOST_STORE, "store %s: it is %s, not a file", path,
                         S_ISDIR(ret_file->st_mode) ? "a folder" : "a device or a pipe");
    if (access(path, R_OK) != 0)
        return error_set_errno(error, CERTPOST_STORE, errno, "store %s cannot be read", path);
    return CERTPOST_OK;
}

/*
 * A server that runs, and one that was killed, have a log beside the file. Where there is none, an
 * ordinary connection would make one, which it may not be allowed to, and leave it there.
 */
static bool reader_has_log(const struct reader *reader)
{
    struct stat log;
    return stat(reader->log_path, &log) == 0 || errno != ENOENT;
}

static bool reader_is_still_frozen(const struct reader *reader)
{
    const struct stat *then = &reader->when_opened;
    struct stat now;
    return stat(reader->path, &now) == 0 && now.st_dev == then->st_dev &&
           now.st_ino == then->st_ino && now.st_size == then->st_size &&
           now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == then->st_mtim.tv_nsec && !reader_has_log(reader);
}

static void reader_disconnect(struct reader *reader)
{
    for (size_t i = 0; i < READER_STATEMENT_COUNT; i++) {
        sqlite3_finalize(reader->statements[i]);
        reader->statements[i] = NULL;
    }
    database_close(&reader->db, true);
}

static enum certpost_status reader_connect_as(struct reader *reader, enum database_mode mode,
                                              struct certpost_error *error)
{
    enum certpost_status status = database_open(&reader->db, &reader->place, mode, error);
    if (status == CERTPOST_OK)
        status = schema_check(&reader->db, &schema_store, error);
    for (size_t i = 0; i < READER_STATEMENT_COUNT && status == CERTPOST_OK; i++)
        status = database_prepare(&reader->db, reader_sql[i], &reader->statements[i], error);
    return status;
}

/* SQLite says CANTOPEN or READONLY; what it was not allowed to make is the index of the log. */
static enum certpost_status reader_explain(const struct reader *reader, enum certpost_status status,
                                           const struct certpost_error *cause,
                                           struct certpost_error *error)
{
    char index_path[4096];
    size_t length = strlen(reader->path);
    struct stat index;
    int printed = snprintf(index_path, sizeof index_path, "%s-shm", reader->path);
    bool fits = length > 0 && printed > 0 && (size_t)printed < sizeof index_path;
    if (status == CERTPOST_STORE && fits && reader_has_log(reader) &&
        (access(reader->log_path, R_OK) != 0 ||
         (stat(index_path, &index) != 0 && errno == ENOENT) || access(index_path, R_OK) != 0))
        return error_set(error, status,
                         "store %s: its log, %s, cannot be read without the right to read it and "
                         "to read or make its index, %s: run as the server's user",
                         reader->path, reader->log_path, index_path);
    return error_adopt(error, status, cause);
}

static enum certpost_status reader_connect(struct reader *reader, struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = reader_check_file(reader->path, &reader->when_opened, error);
    if (status != CERTPOST_OK)
        return status;
    /* A VFS of its own keeps files of its own: nothing is known about those. */
    reader->is_frozen = reader->vfs == NULL && !reader_has_log(reader);
    if (reader->is_frozen) {
        status = reader_connect_as(reader, DATABASE_FROZEN, &cause);
        if (status == CERTPOST_OK || reader_is_still_frozen(reader))
            return status == CERTPOST_OK ? status : error_adopt(error, status, &cause);
        certpost_error_clear(&cause);
        reader_disconnect(reader);
        reader->is_frozen = false;
    }
    status = reader_connect_as(reader, DATABASE_READ, &cause);
    return status == CERTPOST_OK ? status : reader_explain(reader, status, &cause, error);
}

enum certpost_status reader_refresh(struct reader *reader, bool *ret_changed,
                                    struct certpost_error *error)
{
    *ret_changed = reader->is_frozen && !reader_is_still_frozen(reader);
    if (!*ret_changed)
        return CERTPOST_OK;
    struct stat then = reader->when_opened;
    reader_disconnect(reader);
    enum certpost_status status = reader_connect(reader, error);
    if (status == CERTPOST_OK &&
        (reader->when_opened.st_dev != then.st_dev || reader->when_opened.st_ino != then.st_ino))
        status = error_set(error, CERTPOST_STORE,
                           "store %s: the file was replaced while it was read", reader->path);
    return status;
}

enum certpost_status reader_in_place(struct reader *reader, struct certpost_error *error)
{
    return database_in_place(&reader->db, error);
}

static enum certpost_status reader_name_files(struct reader *reader, const char *path,
                                              const char *vfs, struct certpost_error *error)
{
    static const char suffix[] = "-wal";
    size_t length = strlen(path);
    reader->path = strdup(path);
    reader->vfs = vfs == NULL ? NULL : strdup(vfs);
    reader->log_path = malloc(length + sizeof suffix);
    if (reader->path == NULL || reader->log_path == NULL || (vfs != NULL && reader->vfs == NULL))
        return error_no_memory(error);
    memcpy(reader->log_path, path, length);
    memcpy(reader->log_path + length, suffix, sizeof suffix);
    return CERTPOST_OK;
}

enum certpost_status reader_open(const char *path, const char *vfs, struct reader **ret_reader,
                                 struct certpost_error *error)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return error_no_memory(error);
    buffer_init(&reader->bytes, SIZE_MAX / 2);
    enum certpost_status status = reader_name_files(reader, path, vfs, error);
    reader->place = (struct database_place){
        .path = reader->path,
        .vfs = reader->vfs,
        .what = "store",
        .status = CERTPOST_STORE,
        .busy_timeout_ms = READER_BUSY_TIMEOUT_MS,
    };
    reader_select(reader, 0, 1, UINT64_MAX);
    if (status == CERTPOST_OK)
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
    reader_disconnect(reader);
    buffer_free(&reader->bytes);
    free(reader->log_path);
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

enum certpost_status reader_find_stream(struct reader *reader, const struct reader_filter *filter,
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

enum certpost_status reader_next_stream(struct reader *reader, const struct reader_filter *filter,
                                        int64_t after_id, struct reader_stream *ret_stream,
                                        bool *ret_found, struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    bool found = false;
    bool changed = false;
    struct reader_stream *stream = malloc(sizeof *stream);
    if (stream == NULL)
        return error_no_memory(error);
    enum certpost_status status =
        reader_find_stream(reader, filter, after_id, stream, &found, &cause);
    enum certpost_status refreshed = reader_refresh(reader, &changed, error);
    if (refreshed == CERTPOST_OK && changed) {
        certpost_error_clear(&cause);
        status = reader_find_stream(reader, filter, after_id, stream, &found, &cause);
    }
    if (refreshed == CERTPOST_OK && status == CERTPOST_OK) {
        *ret_found = found;
        if (found)
            *ret_stream = *stream;
    }
    free(stream);
    if (refreshed != CERTPOST_OK)
        return refreshed;
    return status == CERTPOST_OK ? status : error_adopt(error, status, &cause);
}

enum certpost_status reader_load_commit(struct reader *reader, int64_t stream_id, uint64_t seq,
                                        struct commit_row *ret_row, struct certpost_error *error)
{
    struct certpost_error cause;
    certpost_error_clear(&cause);
    struct commit_row row = {0};
    enum certpost_status status = commit_row_load(&reader->db, reader->statements[READER_COMMIT],
                                                  stream_id, seq, &row, &cause);
    bool changed = false;
    enum certpost_status refreshed = reader_refresh(reader, &changed, error);
    if (refreshed != CERTPOST_OK)
        return refreshed;
    if (changed)
        return commit_row_load(&reader->db, reader->statements[READER_COMMIT], stream_id, seq,
                               ret_row, error);
    if (status != CERTPOST_OK)
        return error_adopt(error, status, &cause);
    *ret_row = row;
    return status;
}

enum certpost_status reader_find_checkpoint(struct reader *reader, int64_t stream_id, uint64_t seq,
                                            struct reader_checkpoint *ret_checkpoint,
                                            bool *ret_found, struct certpost_error *error)
{
    struct commit_row row = {0};
    enum certpost_status status = reader_load_commit(reader, stream_id, seq, &row, error);
    if (status != CERTPOST_OK)
        return status;
    *ret_found = row.stream_id != 0;
    if (*ret_found) {
        *ret_checkpoint = (struct reader_checkpoint){row.first_seq, row.last_seq, {0}};
        memcpy(ret_checkpoint->digest, row.digest, sizeof ret_checkpoint->digest);
    }
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

/* A part of a batch, or one that may be torn, is not handed out, and not passed over. */
static void reader_undo_fill(struct reader *reader, int64_t after_row,
                             const struct commit_row *commit)
{
    reader->batch_count = 0;
    reader->after_row = after_row;
    reader->commit = *commit;
    buffer_clear(&reader->bytes);
}

static enum certpost_status reader_fill(struct reader *reader, struct certpost_error *error)
{
    int64_t after_row = reader->after_row;
    struct commit_row commit = reader->commit;
    struct certpost_error cause;
    bool changed = true;
    enum certpost_status status = CERTPOST_OK;
    for (int round = 0; round < 2 && changed; round++) {
        reader_undo_fill(reader, after_row, &commit);
        certpost_error_clear(&cause);
        status = reader->stream_id == 0 ? reader_fill_arrivals(reader, &cause)
                                        : reader_fill_stream(reader, &cause);
        enum certpost_status refreshed = reader_refresh(reader, &changed, error);
        if (refreshed != CERTPOST_OK) {
            reader_undo_fill(reader, after_row, &commit);
            return refreshed;
        }
    }
    if (status == CERTPOST_OK)
        return status;
    reader_undo_fill(reader, after_row, &commit);
    return error_adopt(error, status, &cause);
}

enum certpost_status reader_next(struct reader *reader, struct reader_message *ret_message,
                                 bool *ret_found, struct certpost_error *error)
{
    if (reader->batch_next == reader->batch_count) {
        reader->batch_next = 0;
        enum certpost_status status = reader_fill(reader, error);
        if (status != CERTPOST_OK)
            return status;
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
