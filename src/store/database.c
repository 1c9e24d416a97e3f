/*
 * database.c — one connection to an SQLite file (store/database.h).
 *
 * Uses: base, SQLite.  Used by: everything in store/ that touches a file.
 * Never: knows a table, retries on its own, or prints.
 */
#include "store/database.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * synchronous=FULL      COMMIT returns after the log is on disk: the promise itself.
 * wal_autocheckpoint=0  SQLite's own checkpoints run inside COMMIT and hide their errors; ours do
 *                       neither.
 * journal_size_limit    a log that had to grow is cut back once it starts anew.
 * cache_size            8 MiB: appending touches few pages, but heads of many streams are spread.
 * mmap_size=0           an I/O error must be a result code and not a SIGBUS.
 * secure_delete=OFF     some systems build SQLite with it on; it would write each deleted page.
 * trusted_schema, cell_size_check: a damaged or hostile file must not do more than fail.
 */
static const char settings_sql[] = "PRAGMA synchronous=FULL;"
                                   "PRAGMA wal_autocheckpoint=0;"
                                   "PRAGMA journal_size_limit=16777216;"
                                   "PRAGMA cache_size=-8192;"
                                   "PRAGMA mmap_size=0;"
                                   "PRAGMA temp_store=MEMORY;"
                                   "PRAGMA secure_delete=OFF;"
                                   "PRAGMA foreign_keys=OFF;"
                                   "PRAGMA trusted_schema=OFF;"
                                   "PRAGMA cell_size_check=ON;";

/* What a result code means for the person who runs the program, and what to do about it. */
static const struct {
    int code;
    const char *words;
} failure_words[] = {
    {SQLITE_FULL, "the disk is full, or a quota or size limit is reached: make room"},
    {SQLITE_READONLY, "it cannot be written: check the permissions of the file and its directory, "
                      "and that the file system is not mounted read-only"},
    {SQLITE_PERM, "access is not permitted: check the permissions"},
    {SQLITE_BUSY, "another process has locked it: find it with fuser(1) and end it"},
    {SQLITE_LOCKED, "another part of this process has locked it"},
    {SQLITE_CORRUPT, "it is damaged: keep a copy, and restore it from a backup"},
    {SQLITE_NOTADB, "it is not an SQLite database, or is damaged at its start"},
    {SQLITE_CANTOPEN, "it cannot be opened: check that its directory exists and can be written"},
    {SQLITE_PROTOCOL, "its locks do not work: it must be on a local file system"},
    {SQLITE_TOOBIG, "a message is larger than SQLite can keep"},
};

/* Which operation it was that the disk failed in; SQLite's own words do not tell. */
static const struct {
    int code;
    const char *doing;
} failure_doing[] = {
    {SQLITE_IOERR_WRITE, "writing"},
    {SQLITE_IOERR_FSYNC, "forcing data to the disk (fsync)"},
    {SQLITE_IOERR_READ, "reading"},
    {SQLITE_IOERR_DIR_FSYNC, "syncing the directory"},
    {SQLITE_IOERR_TRUNCATE, "truncating"},
    {SQLITE_IOERR_SHMMAP, "mapping the log's index"},
    {SQLITE_IOERR_DELETE, "deleting a file"},
    {SQLITE_IOERR_SHMOPEN, "opening the log's index"},
};

static const char *failure_find_doing(int code)
{
    for (size_t i = 0; i < sizeof failure_doing / sizeof failure_doing[0]; i++) {
        if (failure_doing[i].code == code)
            return failure_doing[i].doing;
    }
    return "reading or writing";
}

static const char *failure_find_words(int code)
{
    for (size_t i = 0; i < sizeof failure_words / sizeof failure_words[0]; i++) {
        if (failure_words[i].code == (code & 0xff))
            return failure_words[i].words;
    }
    return sqlite3_errstr(code);
}

enum certpost_status database_failure(struct database *db, int code, struct certpost_error *error)
{
    const struct database_place *place = db->place;
    int primary = code & 0xff;
    db->was_locked = primary == SQLITE_BUSY || primary == SQLITE_LOCKED;
    if (primary == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM)
        return error_set(error, CERTPOST_NO_MEMORY, "%s %s: out of memory", place->what,
                         place->path);
    if (primary == SQLITE_IOERR)
        db->had_io_error = true;
    int system_errno = 0;
    if (db->handle != NULL && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN))
        system_errno = sqlite3_system_errno(db->handle);
    if (primary == SQLITE_FULL) /* by which a caller tells a full disk from a broken one */
        system_errno = ENOSPC;
    if (primary == SQLITE_IOERR)
        return error_set_errno(error, place->status, system_errno,
                               "%s %s: the disk failed while %s", place->what, place->path,
                               failure_find_doing(code));
    return error_set_errno(error, place->status, system_errno, "%s %s: %s", place->what,
                           place->path, failure_find_words(code));
}

enum certpost_status database_run(struct database *db, const char *sql,
                                  struct certpost_error *error)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? CERTPOST_OK : database_failure(db, code, error);
}

enum certpost_status database_prepare(struct database *db, const char *sql,
                                      sqlite3_stmt **ret_statement, struct certpost_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (code != SQLITE_OK)
        return database_failure(db, code, error);
    *ret_statement = statement;
    return CERTPOST_OK;
}

enum certpost_status database_step(struct database *db, sqlite3_stmt *statement,
                                   struct certpost_error *error)
{
    int code = sqlite3_step(statement);
    int reset = sqlite3_reset(statement);
    if (code == SQLITE_DONE || code == SQLITE_ROW)
        return CERTPOST_OK;
    return database_failure(db, reset != SQLITE_OK ? reset : code, error);
}

enum certpost_status database_number(struct database *db, const char *sql, int64_t *ret_number,
                                     struct certpost_error *error)
{
    sqlite3_stmt *statement = NULL;
    enum certpost_status status = database_prepare(db, sql, &statement, error);
    if (status != CERTPOST_OK)
        return status;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    else
        status = database_failure(db, code == SQLITE_DONE ? SQLITE_CORRUPT : code, error);
    sqlite3_finalize(statement);
    return status;
}

int database_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t length)
{
    return sqlite3_bind_blob64(statement, index, length == 0 ? "" : bytes, length, SQLITE_STATIC);
}

int database_bind_text(sqlite3_stmt *statement, int index, const void *bytes, size_t length)
{
    return sqlite3_bind_text64(statement, index, length == 0 ? "" : bytes, length, SQLITE_STATIC,
                               SQLITE_UTF8);
}

/*
 * SQLite gives a meaning to names that start with ':' or "file:"; for us they are files. The caller
 * frees the result.
 */
static char *database_file_name(const char *path)
{
    size_t length = strlen(path);
    char *name = malloc(length + 3);
    if (name == NULL)
        return NULL;
    size_t prefix = path[0] == '/' ? 0 : 2;
    memcpy(name, "./", prefix);
    memcpy(name + prefix, path, length + 1);
    return name;
}

/* As a URI, which is how SQLite is told that nobody changes the file. The caller frees the result.
 */
static char *database_frozen_name(const char *path)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    static const char hex[] = "0123456789ABCDEF";
    static const char option[] = "?immutable=1";
    const char *prefix = path[0] == '/' ? "file:" : "file:./";
    size_t used = strlen(prefix);
    char *name = malloc(used + 3 * strlen(path) + sizeof option);
    if (name == NULL)
        return NULL;
    memcpy(name, prefix, used);
    for (const char *next = path; *next != '\0'; next++) {
        unsigned char byte = (unsigned char)*next;
        if (strchr(plain, *next) != NULL) {
            name[used++] = *next;
            continue;
        }
        name[used++] = '%';
        name[used++] = hex[byte >> 4];
        name[used++] = hex[byte & 0x0f];
    }
    memcpy(name + used, option, sizeof option);
    return name;
}

static bool database_only_reads(enum database_mode mode)
{
    return mode == DATABASE_READ || mode == DATABASE_FROZEN;
}

static enum certpost_status database_connect(struct database *db, enum database_mode mode,
                                             struct certpost_error *error)
{
    const struct database_place *place = db->place;
    bool frozen = mode == DATABASE_FROZEN;
    char *name = frozen ? database_frozen_name(place->path) : database_file_name(place->path);
    if (name == NULL)
        return error_no_memory(error);
    int flags = database_only_reads(mode) ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (frozen)
        flags |= SQLITE_OPEN_URI;
    int code = sqlite3_open_v2(name, &db->handle,
                               flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, place->vfs);
    free(name);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(db->handle, (int)place->busy_timeout_ms);
    return code == SQLITE_OK ? CERTPOST_OK : database_failure(db, code, error);
}

static enum certpost_status database_configure(struct database *db, enum database_mode mode,
                                               struct certpost_error *error)
{
    /* Sole access comes first: some of the settings read the file, and a connection that has opened
     * the log with the shared index keeps it. */
    enum certpost_status status = CERTPOST_OK;
    if (mode == DATABASE_SOLE)
        status = database_run(db, "PRAGMA locking_mode=EXCLUSIVE", error);
    if (status == CERTPOST_OK)
        status = database_run(db, settings_sql, error);
    if (status == CERTPOST_OK && database_only_reads(mode))
        status = database_run(db, "PRAGMA query_only=ON", error);
    if (status != CERTPOST_OK || database_only_reads(mode))
        return status;
    /* SQLite opens what it may not write for reading only, and says nothing. */
    if (sqlite3_db_readonly(db->handle, "main") == 1)
        return database_failure(db, SQLITE_READONLY, error);
    return CERTPOST_OK;
}

enum certpost_status database_use_log(struct database *db, struct certpost_error *error)
{
    sqlite3_stmt *statement = NULL;
    enum certpost_status status =
        database_prepare(db, "PRAGMA journal_mode=WAL", &statement, error);
    if (status != CERTPOST_OK)
        return status;
    int code = sqlite3_step(statement);
    const unsigned char *mode = code == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
    bool is_on = mode != NULL && strcmp((const char *)mode, "wal") == 0;
    /* The row comes before the change is on disk: only the end of the statement tells of that. */
    if (code == SQLITE_ROW)
        code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        return database_failure(db, code, error);
    return is_on ? CERTPOST_OK : database_failure(db, SQLITE_PROTOCOL, error);
}

enum certpost_status database_open(struct database *db, const struct database_place *place,
                                   enum database_mode mode, struct certpost_error *error)
{
    *db = (struct database){.place = place};
    enum certpost_status status = database_connect(db, mode, error);
    if (status == CERTPOST_OK)
        status = database_configure(db, mode, error);
    if (status != CERTPOST_OK)
        database_close(db, false);
    return status;
}

void database_close(struct database *db, bool trusting)
{
    if (db->handle == NULL)
        return;
    if (!trusting || db->had_io_error)
        (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_close(db->handle);
    db->handle = NULL;
}

/* The name of a new file is durable only once its directory is. */
static int database_sync_directory(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return ENOMEM;
    int result = 0;
    int directory = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || fsync(directory) != 0)
        result = errno;
    if (directory >= 0)
        (void)close(directory);
    free(copy);
    return result;
}

enum certpost_status database_create(const struct database_place *place,
                                     struct certpost_error *error)
{
    /* Only a new file is opened here: closing a descriptor of a file that SQLite has open in this
     * process would drop SQLite's locks (POSIX). */
    int file = open(place->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) {
        if (errno == EEXIST)
            return CERTPOST_OK;
        return error_set_errno(error, place->status, errno, "%s %s cannot be created", place->what,
                               place->path);
    }
    int failed = fsync(file) != 0 ? errno : 0;
    if (close(file) != 0 && failed == 0)
        failed = errno;
    if (failed == 0)
        failed = database_sync_directory(place->path);
    if (failed != 0)
        return error_set_errno(error, place->status, failed, "%s %s cannot be created", place->what,
                               place->path);
    return CERTPOST_OK;
}

enum certpost_status database_checkpoint(struct database *db, int mode,
                                         struct database_log *ret_log, struct certpost_error *error)
{
    struct database_log log = {0};
    int code = sqlite3_wal_checkpoint_v2(db->handle, "main", mode, &log.pages, &log.done_pages);
    if (code != SQLITE_OK)
        return database_failure(db, code, error);
    if (log.pages < 0) /* no log, so nothing was forced to the disk: a defect of ours */
        return error_set(error, CERTPOST_INTERNAL, "%s %s: it has no write-ahead log",
                         db->place->what, db->place->path);
    *ret_log = log;
    return CERTPOST_OK;
}

enum certpost_status database_in_place(struct database *db, struct certpost_error *error)
{
    int moved = 0;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (code == SQLITE_OK && moved != 0)
        return error_set(error, db->place->status,
                         "%s %s: the file was deleted or replaced while it was in use: put it back",
                         db->place->what, db->place->path);
    return CERTPOST_OK;
}
