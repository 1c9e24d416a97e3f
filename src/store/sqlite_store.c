/*
 * sqlite_store.c — the engine of level `stored`: one SQLite database, one writer.
 *
 * One transaction holds messages, heads and a row of `commits` per stream; COMMIT returns after the
 * log is on disk. Any failure ends in sqlite_abort and then sqlite_recover, which trusts nothing
 * that it has not written anew (docs/durability.md).
 *
 * Uses: database, schema, file_lock, checkpointer.  Used by: store.c through store/engine.h.
 * Never: acknowledges, decides about order or owners, or goes on after a failure.
 */
#include "base/clock.h"
#include "base/error.h"
#include "store/checkpointer.h"
#include "store/database.h"
#include "store/engine.h"
#include "store/file_lock.h"
#include "store/schema.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    SQLITE_STORE_BUSY_TIMEOUT_MS = 2000,
    SQLITE_STORE_CHECKPOINT_PAGES = 2048, /* 16 MiB: longer is no faster, but recovers longer */
};

enum sqlite_statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_FIND_STREAM,
    STATEMENT_ADD_STREAM,
    STATEMENT_ADD_MESSAGE,
    STATEMENT_ADD_COMMIT,
    STATEMENT_SET_HEAD,
    STATEMENT_COUNT,
};

/* All that the server ever asks of its store. */
static const char *const statement_sql[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_FIND_STREAM] =
        "SELECT id, last_seq, digest FROM streams WHERE identity = ?1 AND name = ?2",
    [STATEMENT_ADD_STREAM] =
        "INSERT INTO streams (identity, name, last_seq, digest) VALUES (?1, ?2, 0, ?3)",
    [STATEMENT_ADD_MESSAGE] = "INSERT INTO messages (stream, seq, body) VALUES (?1, ?2, ?3)",
    /* clang-format off */
    [STATEMENT_ADD_COMMIT] = ("INSERT INTO commits"
                              " (stream, last_seq, first_seq, first_row, last_row, time_ms, digest)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
    /* clang-format on */
    [STATEMENT_SET_HEAD] = "UPDATE streams SET last_seq = ?2, digest = ?3 WHERE id = ?1",
};

struct sqlite_store {
    struct store_engine engine; /* first: the engine is the store */
    char *path;
    char *vfs; /* NULL: the default */
    struct database_place place;
    int checkpoint_pages;
    int lock;
    struct database db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct checkpointer *checkpointer;
    bool in_transaction; /* begin was called, and neither commit nor abort has ended it */
    bool failed;
    bool had_io_error; /* since the last recovery, on any connection */
};

static struct sqlite_store *sqlite_store_of(struct store_engine *engine)
{
    return (struct sqlite_store *)engine;
}

void store_prepare_process(void)
{
    unsigned char seed = 0;
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_randomness(sizeof seed, &seed);
    (void)signal(SIGXFSZ, SIG_IGN);
}

const char *store_engine_version(void)
{
    return sqlite3_libversion();
}

/* Called by SQLite within COMMIT, after the log is on disk. */
static int sqlite_note_log(void *context, sqlite3 *handle, const char *name, int pages)
{
    (void)handle;
    (void)name;
    struct sqlite_store *store = context;
    checkpointer_notice(store->checkpointer, pages);
    return SQLITE_OK;
}

static enum certpost_status sqlite_failure(struct sqlite_store *store, int code,
                                           struct certpost_error *error)
{
    return database_failure(&store->db, code, error);
}

static enum certpost_status sqlite_run(struct sqlite_store *store, enum sqlite_statement which,
                                       struct certpost_error *error)
{
    return database_step(&store->db, store->statements[which], error);
}

/* Closes all connections and remembers whether the file can still be trusted. */
static void sqlite_disconnect(struct sqlite_store *store)
{
    if (checkpointer_stop(store->checkpointer))
        store->had_io_error = true;
    store->checkpointer = NULL;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    if (store->db.had_io_error)
        store->had_io_error = true;
    database_close(&store->db, !store->failed && !store->had_io_error);
}

static enum certpost_status sqlite_connect(struct sqlite_store *store, struct certpost_error *error)
{
    enum certpost_status status =
        schema_settle(&store->place, &schema_store, store->had_io_error, error);
    if (status == CERTPOST_OK)
        status = database_open(&store->db, &store->place, DATABASE_SHARED, error);
    if (status == CERTPOST_OK) /* it is on already; were it not, the promise would not hold */
        status = database_use_log(&store->db, error);
    for (size_t i = 0; i < STATEMENT_COUNT && status == CERTPOST_OK; i++)
        status = database_prepare(&store->db, statement_sql[i], &store->statements[i], error);
    if (status == CERTPOST_OK)
        status =
            checkpointer_start(&store->place, store->checkpoint_pages, &store->checkpointer, error);
    if (status == CERTPOST_OK) {
        (void)sqlite3_wal_hook(store->db.handle, sqlite_note_log, store);
        store->failed = false;
        store->had_io_error = false;
        return CERTPOST_OK;
    }
    store->failed = true;
    sqlite_disconnect(store);
    return status;
}

static enum certpost_status sqlite_find(struct store_engine *engine, struct store_stream *stream,
                                        struct certpost_error *error)
{
    struct sqlite_store *store = sqlite_store_of(engine);
    sqlite3_stmt *find = store->statements[STATEMENT_FIND_STREAM];
    int code = database_bind_text(find, 1, stream_identity(stream), stream->identity_length);
    if (code == SQLITE_OK)
        code = database_bind_text(find, 2, stream_name(stream), stream->name_length);
    if (code == SQLITE_OK)
        code = sqlite3_step(find);
    enum certpost_status status = CERTPOST_OK;
    if (code == SQLITE_ROW) {
        const void *digest = sqlite3_column_blob(find, 2);
        if (digest != NULL && sqlite3_column_bytes(find, 2) == CHAIN_DIGEST_BYTES) {
            stream->id = sqlite3_column_int64(find, 0);
            stream->durable.seq = (uint64_t)sqlite3_column_int64(find, 1);
            memcpy(stream->durable.digest, digest, CHAIN_DIGEST_BYTES);
            stream->pending = stream->durable;
        } else {
            status = sqlite_failure(store, SQLITE_CORRUPT, error);
        }
    } else if (code != SQLITE_DONE) {
        status = sqlite_failure(store, code, error);
    }
    sqlite3_reset(find);
    return status;
}

static enum certpost_status sqlite_begin(struct store_engine *engine, struct certpost_error *error)
{
    struct sqlite_store *store = sqlite_store_of(engine);
    checkpointer_enter(store->checkpointer);
    store->in_transaction = true;
    enum certpost_status status = database_in_place(&store->db, error);
    return status == CERTPOST_OK ? sqlite_run(store, STATEMENT_BEGIN, error) : status;
}

static enum certpost_status sqlite_add_stream(struct sqlite_store *store,
                                              struct store_stream *stream,
                                              struct certpost_error *error)
{
    sqlite3_stmt *add = store->statements[STATEMENT_ADD_STREAM];
    int code = database_bind_text(add, 1, stream_identity(stream), stream->identity_length);
    if (code == SQLITE_OK)
        code = database_bind_text(add, 2, stream_name(stream), stream->name_length);
    if (code == SQLITE_OK)
        code = database_bind_blob(add, 3, stream->origin, CHAIN_DIGEST_BYTES);
    if (code != SQLITE_OK)
        return sqlite_failure(store, code, error);
    enum certpost_status status = sqlite_run(store, STATEMENT_ADD_STREAM, error);
    if (status == CERTPOST_OK)
        stream->id = sqlite3_last_insert_rowid(store->db.handle);
    return status;
}

static enum certpost_status sqlite_append(struct store_engine *engine, struct store_stream *stream,
                                          const void *bytes, size_t length,
                                          struct certpost_error *error)
{
    struct sqlite_store *store = sqlite_store_of(engine);
    if (stream->id == 0) {
        enum certpost_status status = sqlite_add_stream(store, stream, error);
        if (status != CERTPOST_OK)
            return status;
    }
    sqlite3_stmt *add = store->statements[STATEMENT_ADD_MESSAGE];
    int code = sqlite3_bind_int64(add, 1, stream->id);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(add, 2, (int64_t)stream->pending.seq + 1);
    if (code == SQLITE_OK)
        code = database_bind_blob(add, 3, bytes, length);
    if (code != SQLITE_OK)
        return sqlite_failure(store, code, error);
    enum certpost_status status = sqlite_run(store, STATEMENT_ADD_MESSAGE, error);
    if (status != CERTPOST_OK)
        return status;
    stream->last_row = sqlite3_last_insert_rowid(store->db.handle);
    if (!stream->touched)
        stream->first_row = stream->last_row;
    return CERTPOST_OK;
}

static enum certpost_status sqlite_add_commit(struct sqlite_store *store,
                                              const struct store_stream *stream, int64_t time_ms,
                                              struct certpost_error *error)
{
    const int64_t numbers[] = {stream->id,
                               (int64_t)stream->pending.seq,
                               (int64_t)stream->durable.seq + 1,
                               stream->first_row,
                               stream->last_row,
                               time_ms};
    sqlite3_stmt *add = store->statements[STATEMENT_ADD_COMMIT];
    int code = SQLITE_OK;
    for (int i = 0; i < 6 && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(add, i + 1, numbers[i]);
    if (code == SQLITE_OK)
        code = database_bind_blob(add, 7, stream->pending.digest, CHAIN_DIGEST_BYTES);
    if (code != SQLITE_OK)
        return sqlite_failure(store, code, error);
    return sqlite_run(store, STATEMENT_ADD_COMMIT, error);
}

static enum certpost_status sqlite_set_head(struct sqlite_store *store,
                                            const struct store_stream *stream,
                                            struct certpost_error *error)
{
    sqlite3_stmt *set = store->statements[STATEMENT_SET_HEAD];
    int code = sqlite3_bind_int64(set, 1, stream->id);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(set, 2, (int64_t)stream->pending.seq);
    if (code == SQLITE_OK)
        code = database_bind_blob(set, 3, stream->pending.digest, CHAIN_DIGEST_BYTES);
    if (code != SQLITE_OK)
        return sqlite_failure(store, code, error);
    return sqlite_run(store, STATEMENT_SET_HEAD, error);
}

static enum certpost_status sqlite_commit(struct store_engine *engine, struct store_stream *touched,
                                          struct certpost_error *error)
{
    struct sqlite_store *store = sqlite_store_of(engine);
    int64_t time_ms = clock_wall_ms();
    enum certpost_status status = CERTPOST_OK;
    for (struct store_stream *stream = touched; stream != NULL && status == CERTPOST_OK;
         stream = stream->next_touched) {
        status = sqlite_add_commit(store, stream, time_ms, error);
        if (status == CERTPOST_OK)
            status = sqlite_set_head(store, stream, error);
    }
    if (status == CERTPOST_OK)
        status = sqlite_run(store, STATEMENT_COMMIT, error);
    if (status != CERTPOST_OK)
        return status;
    store->in_transaction = false;
    checkpointer_leave(store->checkpointer);
    return CERTPOST_OK;
}

/* After a failure the connection is not used again, so what SQLite makes of ROLLBACK is all one. */
static void sqlite_abort(struct store_engine *engine)
{
    struct sqlite_store *store = sqlite_store_of(engine);
    if (!store->in_transaction)
        return;
    store->in_transaction = false;
    (void)sqlite3_exec(store->db.handle, "ROLLBACK", NULL, NULL, NULL);
    checkpointer_leave(store->checkpointer);
}

/*
 * While another program keeps us from having the file to ourselves, we stay in it. Were that
 * program the last one out, SQLite would make it finish our checkpoint on the word of the shared
 * index, and delete the log (docs/durability.md, Failed fsync). A hold that fails is no worse than
 * none.
 */
static void sqlite_hold(struct sqlite_store *store)
{
    if (database_open(&store->db, &store->place, DATABASE_SHARED, NULL) == CERTPOST_OK)
        (void)sqlite3_exec(store->db.handle, "SELECT count(*) FROM sqlite_master", NULL, NULL,
                           NULL);
}

static enum certpost_status sqlite_recover(struct store_engine *engine,
                                           struct certpost_error *error)
{
    struct sqlite_store *store = sqlite_store_of(engine);
    store->failed = true;
    sqlite_disconnect(store);
    enum certpost_status status = sqlite_connect(store, error);
    if (status != CERTPOST_OK && store->had_io_error)
        sqlite_hold(store);
    return status;
}

static bool sqlite_has_failed(struct store_engine *engine, struct certpost_error *error)
{
    return checkpointer_has_failed(sqlite_store_of(engine)->checkpointer, error);
}

static void sqlite_free(struct store_engine *engine)
{
    struct sqlite_store *store = sqlite_store_of(engine);
    sqlite_disconnect(store);
    file_lock_release(store->lock);
    free(store->vfs);
    free(store->path);
    free(store);
}

static const struct store_engine_operations sqlite_operations = {
    .level = STORE_LEVEL_STORED,
    .find = sqlite_find,
    .begin = sqlite_begin,
    .append = sqlite_append,
    .commit = sqlite_commit,
    .abort = sqlite_abort,
    .recover = sqlite_recover,
    .has_failed = sqlite_has_failed,
    .free = sqlite_free,
};

static enum certpost_status sqlite_store_new(const char *path,
                                             const struct store_sqlite_options *options,
                                             struct sqlite_store **ret_store,
                                             struct certpost_error *error)
{
    static const struct store_sqlite_options defaults = {0};
    const struct store_sqlite_options *chosen = options != NULL ? options : &defaults;
    struct sqlite_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_no_memory(error);
    store->engine.operations = &sqlite_operations;
    store->lock = -1;
    store->checkpoint_pages = chosen->checkpoint_pages != 0 ? (int)chosen->checkpoint_pages
                                                            : SQLITE_STORE_CHECKPOINT_PAGES;
    store->path = strdup(path);
    if (chosen->vfs != NULL)
        store->vfs = strdup(chosen->vfs);
    if (store->path == NULL || (chosen->vfs != NULL && store->vfs == NULL)) {
        sqlite_free(&store->engine);
        return error_no_memory(error);
    }
    store->place = (struct database_place){
        .path = store->path,
        .vfs = store->vfs,
        .what = "store",
        .status = CERTPOST_STORE,
        .busy_timeout_ms =
            chosen->busy_timeout_ms != 0 ? chosen->busy_timeout_ms : SQLITE_STORE_BUSY_TIMEOUT_MS,
    };
    *ret_store = store;
    return CERTPOST_OK;
}

enum certpost_status store_open_sqlite(const char *path, const struct store_sqlite_options *options,
                                       struct store **ret_store, struct certpost_error *error)
{
    if (path[0] == '\0')
        return error_set(error, CERTPOST_STORE, "the store has no file name");
    if (sqlite3_threadsafe() == 0) /* writer and checkpointer are two threads */
        return error_set(error, CERTPOST_SYSTEM, "this SQLite was built without thread safety");
    struct sqlite_store *store = NULL;
    enum certpost_status status = sqlite_store_new(path, options, &store, error);
    if (status != CERTPOST_OK)
        return status;
    status = file_lock_take(&store->place, &store->lock, error);
    if (status == CERTPOST_OK)
        status = database_create(&store->place, error);
    if (status == CERTPOST_OK)
        status = sqlite_connect(store, error);
    if (status != CERTPOST_OK) {
        sqlite_free(&store->engine);
        return status;
    }
    return store_new(&store->engine, 0, ret_store, error);
}
