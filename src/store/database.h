/*
 * store/database.h — one connection to an SQLite file, as certpost uses SQLite.
 *
 * Private to store/. Here are the settings that durability rests on, the translation of SQLite's
 * result codes into words, and database_settle, the only way in which an existing file is trusted
 * (docs/durability.md, Opening and Failed fsync). Store, spool and reader share it.
 *
 * Threads: one at a time per connection; different connections are independent.
 */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "certpost/error.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which file, and how to speak of it. The strings must outlive every connection made from it. */
struct database_place {
    const char *path;
    const char *vfs;             /* NULL: SQLite's default */
    const char *what;            /* "store" or "spool", for people */
    enum certpost_status status; /* what a failure of this file is: STORE or LOCAL_IO */
    uint32_t busy_timeout_ms;
};

struct database {
    const struct database_place *place;
    sqlite3 *handle;   /* NULL while closed */
    bool had_io_error; /* an I/O error came: what the kernel caches may not be on disk */
    bool was_locked;   /* the last failure was another process's lock */
};

enum database_mode {
    DATABASE_SHARED, /* read and write, others may read */
    DATABASE_SOLE,   /* read and write, nobody else has the file open, no shared index of the log */
    DATABASE_READ,   /* read only */
    DATABASE_FROZEN, /* read only a file that nobody changes: no locks, no log, no files beside it
                      */
};

/*
 * Opens a connection with certpost's settings. The file must exist. `db` must be closed or zero; on
 * failure it is closed, and its flags say why.
 */
CERTPOST_MUST_CHECK
enum certpost_status database_open(struct database *db, const struct database_place *place,
                                   enum database_mode mode, struct certpost_error *error);

/*
 * Turns write-ahead logging on. It is a property of the file: do it only once it is known that the
 * file is ours.
 */
CERTPOST_MUST_CHECK
enum certpost_status database_use_log(struct database *db, struct certpost_error *error);

/*
 * Closes; all statements must be finalized. Without `trusting`, or after an I/O error, SQLite does
 * not checkpoint on the way out, so the log stays for the next opener to read afresh. Keeps the
 * flags. A closed `db` is left alone.
 */
void database_close(struct database *db, bool trusting);

/* Creates an empty file (mode 0600) and makes its name durable, unless it exists. */
CERTPOST_MUST_CHECK
enum certpost_status database_create(const struct database_place *place,
                                     struct certpost_error *error);

/* Records in words what `code`, just returned for `db`, means; returns the status for it. */
CERTPOST_MUST_CHECK
enum certpost_status database_failure(struct database *db, int code, struct certpost_error *error);

/* Runs statements that return no rows. */
CERTPOST_MUST_CHECK
enum certpost_status database_run(struct database *db, const char *sql,
                                  struct certpost_error *error);

/* The first column of the first row. */
CERTPOST_MUST_CHECK
enum certpost_status database_number(struct database *db, const char *sql, int64_t *ret_number,
                                     struct certpost_error *error);

/* Prepares a statement that will be used many times; finalize it with sqlite3_finalize. */
CERTPOST_MUST_CHECK
enum certpost_status database_prepare(struct database *db, const char *sql,
                                      sqlite3_stmt **ret_statement, struct certpost_error *error);

/* Steps a statement that returns no rows, and resets it. */
CERTPOST_MUST_CHECK
enum certpost_status database_step(struct database *db, sqlite3_stmt *statement,
                                   struct certpost_error *error);

/* Binds bytes as a BLOB or as TEXT that is not copied; empty is empty, not NULL. */
int database_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t length);
int database_bind_text(sqlite3_stmt *statement, int index, const void *bytes, size_t length);

struct database_log {
    int pages;      /* in the write-ahead log */
    int done_pages; /* of these, copied into the database */
};

/* One checkpoint; `mode` as for sqlite3_wal_checkpoint_v2. Short of the whole log is no failure. */
CERTPOST_MUST_CHECK
enum certpost_status database_checkpoint(struct database *db, int mode,
                                         struct database_log *ret_log,
                                         struct certpost_error *error);

/* False, and says so, when the file was deleted or replaced since it was opened. */
CERTPOST_MUST_CHECK
enum certpost_status database_in_place(struct database *db, struct certpost_error *error);

#endif
