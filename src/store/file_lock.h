/*
 * store/file_lock.h — one owner per store or spool.
 *
 * Private to store/. The lock is on a file of its own, PATH-lock: readers never touch it, and
 * SQLite's own locks, which live in the database file, cannot be disturbed by it. The kernel drops
 * it when the owner ends, however it ends. The file stays: removing it would race with the next.
 */
#ifndef STORE_FILE_LOCK_H
#define STORE_FILE_LOCK_H

#include "store/database.h"

/*
 * Locks, or fails with the place's status and words that name the process in the way.
 * `*ret_descriptor` is closed by file_lock_release.
 */
CERTPOST_MUST_CHECK
enum certpost_status file_lock_take(const struct database_place *place, int *ret_descriptor,
                                    struct certpost_error *error);

/* -1 does nothing. */
void file_lock_release(int descriptor);

#endif
