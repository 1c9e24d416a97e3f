/*
 * spool.c — the sender's box (store/spool.h): an SQLite file with one owner.
 *
 * The connection keeps the file to itself (DATABASE_SOLE), which spares the locks around each
 * message that is got, and the shared index. Checkpoints run within spool_commit: with a single
 * connection each is complete, and a sender has nobody who waits for the answer to a commit.
 *
 * Uses: database, schema, file_lock.  Used by: client.
 * Never: sends, computes digests, or hands out what is not durable.
 */
#include "store/spool.h"

#include "base/error.h"
#include "store/database.h"
#include "store/file_lock.h"
#include "store/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPOOL_BUSY_TIMEOUT_MS = 2000, SPOOL_CHECKPOINT_PAGES = 1024 };

enum spool_statement {
    SPOOL_BEGIN,
    SPOOL_COMMIT,
    SPOOL_PUT,
    SPOOL_GET,
    SPOOL_FORGET,
    SPOOL_SET_STATE,
    SPOOL_STATEMENT_COUNT,
};

static const char *const spool_sql[SPOOL_STATEMENT_COUNT] = {
    [SPOOL_BEGIN] = "BEGIN IMMEDIATE",
    [SPOOL_COMMIT] = "COMMIT",
    [SPOOL_PUT] = "INSERT INTO messages (seq, body) VALUES (?1, ?2)",
    [SPOOL_GET] = "SELECT body FROM messages WHERE seq = ?1",
    [SPOOL_FORGET] = "DELETE FROM messages WHERE seq <= ?1",
    [SPOOL_SET_STATE] = "INSERT INTO state (id, stream, server, acked_seq, digest)"
                        " VALUES (1, ?1, ?2, ?3, ?4)"
                        " ON CONFLICT (id) DO UPDATE SET server = excluded.server,"
                        " acked_seq = excluded.acked_seq, digest = excluded.digest",
};

struct spool {
    char *path;
    char *vfs; /* NULL: the default */
    struct database_place place;
    int lock;
    struct database db;
    sqlite3_stmt *statements[SPOOL_STATEMENT_COUNT];
    struct spool_state state;
    uint64_t pending_seq; /* the last message put; last_seq when none is */
    int log_pages;
    bool in_transaction;
    bool has_unwritten_state;
    bool failed;
    struct certpost_error cause;
};

static int spool_note_log(void *context, sqlite3 *handle, const char *name, int pages)
{
    (void)handle;
    (void)name;
    struct spool *spool = context;
    spool->log_pages = pages;
    return SQLITE_OK;
}

/* Every failure of the file goes through here, so that nothing is tried on top of it. */
static enum certpost_status spool_fail(struct spool *spool, enum certpost_status status,
                                       const struct certpost_error *cause,
                                       struct certpost_error *error)
{
    if (!spool->failed) {
        spool->failed = true;
        spool->cause = *cause;
        spool->cause.status = status;
    }
    return error_adopt(error, status, cause);
}

static enum certpost_status spool_run(struct spool *spool, enum spool_statement which,
                                      struct certpost_error *error)
{
    return database_step(&spool->db, spool->statements[which], error);
}

/* First thing in each call: refuses after a failure, and ends the life of what was got. */
static enum certpost_status spool_enter(struct spool *spool, struct certpost_error *error)
{
    if (spool->failed)
        return error_adopt(error, spool->cause.status, &spool->cause);
    sqlite3_reset(spool->statements[SPOOL_GET]);
    return CERTPOST_OK;
}

static enum certpost_status spool_begin(struct spool *spool, struct certpost_error *error)
{
    if (spool->in_transaction)
        return CERTPOST_OK;
    enum certpost_status status = spool_run(spool, SPOOL_BEGIN, error);
    spool->in_transaction = status == CERTPOST_OK;
    return status;
}

static enum certpost_status spool_write_state(struct spool *spool, struct certpost_error *error)
{
    const struct spool_state *state = &spool->state;
    sqlite3_stmt *set = spool->statements[SPOOL_SET_STATE];
    int code = database_bind_text(set, 1, state->stream, strlen(state->stream));
    if (code == SQLITE_OK)
        code = database_bind_text(set, 2, state->server, strlen(state->server));
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(set, 3, (int64_t)state->acked_seq);
    if (code == SQLITE_OK)
        code = state->is_adopted ? database_bind_blob(set, 4, state->digest, CHAIN_DIGEST_BYTES)
                                 : sqlite3_bind_null(set, 4);
    if (code != SQLITE_OK)
        return database_failure(&spool->db, code, error);
    return spool_run(spool, SPOOL_SET_STATE, error);
}

static enum certpost_status spool_forget(struct spool *spool, struct certpost_error *error)
{
    sqlite3_stmt *forget = spool->statements[SPOOL_FORGET];
    int code = sqlite3_bind_int64(forget, 1, (int64_t)spool->state.acked_seq);
    if (code != SQLITE_OK)
        return database_failure(&spool->db, code, error);
    return spool_run(spool, SPOOL_FORGET, error);
}

static enum certpost_status spool_end_transaction(struct spool *spool, struct certpost_error *error)
{
    enum certpost_status status = spool_run(spool, SPOOL_COMMIT, error);
    if (status != CERTPOST_OK)
        return status;
    spool->in_transaction = false;
    spool->has_unwritten_state = false;
    spool->state.last_seq = spool->pending_seq;
    if (spool->log_pages < SPOOL_CHECKPOINT_PAGES)
        return CERTPOST_OK;
    struct database_log log = {0};
    return database_checkpoint(&spool->db, SQLITE_CHECKPOINT_PASSIVE, &log, error);
}

enum certpost_status spool_commit(struct spool *spool, struct certpost_error *error)
{
    enum certpost_status status = spool_enter(spool, error);
    if (status != CERTPOST_OK || !(spool->in_transaction || spool->has_unwritten_state))
        return status;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = spool_begin(spool, &cause);
    if (status == CERTPOST_OK && spool->has_unwritten_state) {
        status = spool_write_state(spool, &cause);
        if (status == CERTPOST_OK)
            status = spool_forget(spool, &cause);
    }
    if (status == CERTPOST_OK)
        status = spool_end_transaction(spool, &cause);
    return status == CERTPOST_OK ? status : spool_fail(spool, status, &cause, error);
}

static enum certpost_status spool_insert(struct spool *spool, uint64_t seq, const void *bytes,
                                         size_t length, struct certpost_error *error)
{
    enum certpost_status status = spool_begin(spool, error);
    if (status != CERTPOST_OK)
        return status;
    sqlite3_stmt *put = spool->statements[SPOOL_PUT];
    int code = sqlite3_bind_int64(put, 1, (int64_t)seq);
    if (code == SQLITE_OK)
        code = database_bind_blob(put, 2, bytes, length);
    if (code != SQLITE_OK)
        return database_failure(&spool->db, code, error);
    return spool_run(spool, SPOOL_PUT, error);
}

enum certpost_status spool_put(struct spool *spool, const void *bytes, size_t length,
                               struct certpost_error *error)
{
    enum certpost_status status = spool_enter(spool, error);
    if (status != CERTPOST_OK)
        return status;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = spool_insert(spool, spool->pending_seq + 1, bytes, length, &cause);
    if (status != CERTPOST_OK)
        return spool_fail(spool, status, &cause, error);
    spool->pending_seq++;
    return CERTPOST_OK;
}

enum certpost_status spool_get(struct spool *spool, uint64_t seq, const void **ret_bytes,
                               size_t *ret_length, struct certpost_error *error)
{
    enum certpost_status status = spool_enter(spool, error);
    if (status != CERTPOST_OK)
        return status;
    const struct spool_state *state = &spool->state;
    if (!state->is_adopted || seq <= state->acked_seq || seq > state->last_seq)
        return error_set(error, CERTPOST_INTERNAL, "message %llu is not to be sent",
                         (unsigned long long)seq);
    struct certpost_error cause;
    certpost_error_clear(&cause);
    sqlite3_stmt *get = spool->statements[SPOOL_GET];
    int code = sqlite3_bind_int64(get, 1, (int64_t)seq);
    if (code == SQLITE_OK)
        code = sqlite3_step(get);
    if (code == SQLITE_ROW) {
        const void *bytes = sqlite3_column_blob(get, 0);
        size_t length = (size_t)sqlite3_column_bytes(get, 0);
        if (bytes != NULL || length == 0) {
            *ret_bytes = length == 0 ? "" : bytes;
            *ret_length = length;
            return CERTPOST_OK;
        }
        code = SQLITE_NOMEM; /* the only reason for a blob of some length and no bytes */
    }
    if (code == SQLITE_DONE)
        status = error_set(&cause, CERTPOST_LOCAL_IO, "spool %s: message %llu is missing",
                           spool->path, (unsigned long long)seq);
    else
        status = database_failure(&spool->db, code, &cause);
    return spool_fail(spool, status, &cause, error);
}

static void spool_set_head(struct spool *spool, uint64_t seq,
                           const unsigned char digest[CHAIN_DIGEST_BYTES], const char *server)
{
    spool->state.acked_seq = seq;
    memcpy(spool->state.digest, digest, CHAIN_DIGEST_BYTES);
    snprintf(spool->state.server, sizeof spool->state.server, "%s", server);
    spool->has_unwritten_state = true;
}

enum certpost_status spool_acked(struct spool *spool, uint64_t seq,
                                 const unsigned char digest[CHAIN_DIGEST_BYTES], const char *server,
                                 struct certpost_error *error)
{
    enum certpost_status status = spool_enter(spool, error);
    if (status != CERTPOST_OK)
        return status;
    const struct spool_state *state = &spool->state;
    if (!state->is_adopted || seq < state->acked_seq || seq > state->last_seq)
        return error_set(error, CERTPOST_INTERNAL,
                         "message %llu cannot be acknowledged: %llu to %llu can",
                         (unsigned long long)seq, (unsigned long long)state->acked_seq,
                         (unsigned long long)state->last_seq);
    spool_set_head(spool, seq, digest, server);
    return CERTPOST_OK;
}

/* By way of negative numbers, so that no number is taken twice on the way. */
static enum certpost_status spool_renumber(struct spool *spool, uint64_t offset,
                                           struct certpost_error *error)
{
    if (offset == 0)
        return CERTPOST_OK;
    char sql[128];
    snprintf(sql, sizeof sql,
             "UPDATE messages SET seq = -(seq + %lld); UPDATE messages SET seq = -seq;",
             (long long)offset);
    return database_run(&spool->db, sql, error);
}

enum certpost_status spool_adopt(struct spool *spool, uint64_t seq,
                                 const unsigned char digest[CHAIN_DIGEST_BYTES], const char *server,
                                 struct certpost_error *error)
{
    enum certpost_status status = spool_enter(spool, error);
    if (status != CERTPOST_OK)
        return status;
    if (spool->state.is_adopted || spool->in_transaction || seq > INT64_MAX / 2)
        return error_set(error, CERTPOST_INTERNAL, "the spool has a place in its stream already");
    struct certpost_error cause;
    certpost_error_clear(&cause);
    uint64_t waiting = spool->state.last_seq;
    status = spool_begin(spool, &cause);
    if (status == CERTPOST_OK)
        status = spool_renumber(spool, seq, &cause);
    if (status == CERTPOST_OK) {
        spool->state.is_adopted = true;
        spool_set_head(spool, seq, digest, server);
        spool->pending_seq = seq + waiting;
        status = spool_write_state(spool, &cause);
    }
    if (status == CERTPOST_OK)
        status = spool_end_transaction(spool, &cause);
    return status == CERTPOST_OK ? status : spool_fail(spool, status, &cause, error);
}

/* Copies a name out of the file; false when it is none. */
static bool spool_read_name(sqlite3_stmt *statement, int column,
                            char ret_name[SPOOL_NAME_MAX_BYTES + 1])
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    size_t length = (size_t)sqlite3_column_bytes(statement, column);
    if (text == NULL || length > SPOOL_NAME_MAX_BYTES)
        return false;
    memcpy(ret_name, text, length);
    ret_name[length] = '\0';
    return true;
}

static enum certpost_status spool_read_state(struct spool *spool, bool *ret_found,
                                             struct certpost_error *error)
{
    struct spool_state state = {0};
    sqlite3_stmt *read = NULL;
    enum certpost_status status = database_prepare(
        &spool->db, "SELECT stream, server, acked_seq, digest FROM state WHERE id = 1", &read,
        error);
    if (status != CERTPOST_OK)
        return status;
    int code = sqlite3_step(read);
    if (code == SQLITE_ROW) {
        bool good =
            spool_read_name(read, 0, state.stream) && spool_read_name(read, 1, state.server);
        state.acked_seq = (uint64_t)sqlite3_column_int64(read, 2);
        const void *digest = sqlite3_column_blob(read, 3);
        if (digest != NULL && sqlite3_column_bytes(read, 3) == CHAIN_DIGEST_BYTES) {
            memcpy(state.digest, digest, CHAIN_DIGEST_BYTES);
            state.is_adopted = true;
        }
        good = good && (digest == NULL) == (sqlite3_column_type(read, 3) == SQLITE_NULL);
        if (!good)
            status = database_failure(&spool->db, SQLITE_CORRUPT, error);
    } else if (code != SQLITE_DONE) {
        status = database_failure(&spool->db, code, error);
    }
    if (status == CERTPOST_OK) {
        spool->state = state;
        *ret_found = code == SQLITE_ROW;
    }
    sqlite3_finalize(read);
    return status;
}

/* The messages must be exactly those behind the acknowledged one. */
static enum certpost_status spool_count(struct spool *spool, struct certpost_error *error)
{
    int64_t last = 0;
    int64_t first = 0;
    enum certpost_status status =
        database_number(&spool->db, "SELECT coalesce(max(seq), 0) FROM messages", &last, error);
    if (status == CERTPOST_OK)
        status = database_number(&spool->db, "SELECT coalesce(min(seq), 0) FROM messages", &first,
                                 error);
    if (status != CERTPOST_OK)
        return status;
    uint64_t acked = spool->state.acked_seq;
    if (last != 0 && (first < 1 || (uint64_t)first != acked + 1))
        return error_set(error, CERTPOST_LOCAL_IO,
                         "spool %s: messages are missing after number %llu: it is damaged",
                         spool->path, (unsigned long long)acked);
    spool->state.last_seq = last == 0 ? acked : (uint64_t)last;
    spool->pending_seq = spool->state.last_seq;
    return CERTPOST_OK;
}

/* Gives a new spool its stream; for an old one, compares. */
static enum certpost_status spool_claim(struct spool *spool, const char *stream,
                                        struct certpost_error *error)
{
    bool found = false;
    enum certpost_status status = spool_read_state(spool, &found, error);
    if (status != CERTPOST_OK)
        return status;
    if (found && stream != NULL && strcmp(stream, spool->state.stream) != 0)
        return error_set(error, CERTPOST_USAGE,
                         "spool %s holds messages of another stream: use one spool per stream",
                         spool->path);
    if (found)
        return spool_count(spool, error);
    if (stream == NULL)
        return error_set(error, CERTPOST_USAGE, "spool %s is new and needs the name of a stream",
                         spool->path);
    snprintf(spool->state.stream, sizeof spool->state.stream, "%s", stream);
    status = spool_begin(spool, error);
    if (status == CERTPOST_OK)
        status = spool_write_state(spool, error);
    return status == CERTPOST_OK ? spool_end_transaction(spool, error) : status;
}

static enum certpost_status spool_connect(struct spool *spool, const char *stream,
                                          struct certpost_error *error)
{
    enum certpost_status status = file_lock_take(&spool->place, &spool->lock, error);
    if (status == CERTPOST_OK)
        status = database_create(&spool->place, error);
    if (status == CERTPOST_OK)
        status = schema_settle(&spool->place, &schema_spool, true, error);
    if (status == CERTPOST_OK)
        status = database_open(&spool->db, &spool->place, DATABASE_SOLE, error);
    if (status == CERTPOST_OK)
        status = database_use_log(&spool->db, error);
    for (size_t i = 0; i < SPOOL_STATEMENT_COUNT && status == CERTPOST_OK; i++)
        status = database_prepare(&spool->db, spool_sql[i], &spool->statements[i], error);
    if (status != CERTPOST_OK)
        return status;
    (void)sqlite3_wal_hook(spool->db.handle, spool_note_log, spool);
    return spool_claim(spool, stream, error);
}

enum certpost_status spool_open(const char *path, const char *stream, const char *vfs,
                                struct spool **ret_spool, struct certpost_error *error)
{
    size_t name_length = stream == NULL ? 1 : strlen(stream);
    if (path[0] == '\0' || name_length == 0 || name_length > SPOOL_NAME_MAX_BYTES)
        return error_set(error, CERTPOST_USAGE,
                         "a spool needs a file name, and the name of a stream of 1 to %d bytes",
                         SPOOL_NAME_MAX_BYTES);
    struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return error_no_memory(error);
    spool->lock = -1;
    spool->path = strdup(path);
    spool->vfs = vfs == NULL ? NULL : strdup(vfs);
    spool->place = (struct database_place){
        .path = spool->path,
        .vfs = spool->vfs,
        .what = "spool",
        .status = CERTPOST_LOCAL_IO,
        .busy_timeout_ms = SPOOL_BUSY_TIMEOUT_MS,
    };
    enum certpost_status status = CERTPOST_OK;
    if (spool->path == NULL || (vfs != NULL && spool->vfs == NULL))
        status = error_no_memory(error);
    else
        status = spool_connect(spool, stream, error);
    if (status != CERTPOST_OK) {
        spool->failed = true;
        spool_close(spool);
        return status;
    }
    *ret_spool = spool;
    return CERTPOST_OK;
}

void spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    for (size_t i = 0; i < SPOOL_STATEMENT_COUNT; i++)
        sqlite3_finalize(spool->statements[i]);
    if (spool->in_transaction)
        (void)sqlite3_exec(spool->db.handle, "ROLLBACK", NULL, NULL, NULL);
    database_close(&spool->db, !spool->failed);
    file_lock_release(spool->lock);
    free(spool->vfs);
    free(spool->path);
    free(spool);
}

const struct spool_state *spool_state(const struct spool *spool)
{
    return &spool->state;
}
