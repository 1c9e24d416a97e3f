/*
 * file_lock.c — one owner per store or spool (store/file_lock.h).
 *
 * Uses: base, flock(2).  Used by: sqlite_store, spool.
 * Never: waits, or opens the database file itself.
 */
#include "store/file_lock.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The owner's process id, which it left in the file; 0 when there is none to read. */
static long file_lock_owner(int descriptor)
{
    char text[32] = {0};
    ssize_t length = pread(descriptor, text, sizeof text - 1, 0);
    return length > 0 ? strtol(text, NULL, 10) : 0;
}

/* For people only, so a disk too full to write it is no reason to fail. */
static void file_lock_sign(int descriptor)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(descriptor, 0) == 0 && pwrite(descriptor, text, (size_t)length, 0) < 0)
        errno = 0;
}

static enum certpost_status file_lock_take_at(const char *lock_path,
                                              const struct database_place *place,
                                              int *ret_descriptor, struct certpost_error *error)
{
    int descriptor = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return error_set_errno(error, place->status, errno, "%s %s: cannot open its lock file %s",
                               place->what, place->path, lock_path);
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
        file_lock_sign(descriptor);
        *ret_descriptor = descriptor;
        return CERTPOST_OK;
    }
    int failed = errno;
    long owner = file_lock_owner(descriptor);
    (void)close(descriptor);
    if (failed != EWOULDBLOCK)
        return error_set_errno(error, place->status, failed, "%s %s: cannot lock %s", place->what,
                               place->path, lock_path);
    if (owner > 0)
        return error_set(error, place->status, "%s %s is in use by process %ld", place->what,
                         place->path, owner);
    return error_set(error, place->status, "%s %s is in use by another process", place->what,
                     place->path);
}

enum certpost_status file_lock_take(const struct database_place *place, int *ret_descriptor,
                                    struct certpost_error *error)
{
    static const char suffix[] = "-lock";
    size_t length = strlen(place->path);
    char *lock_path = malloc(length + sizeof suffix);
    if (lock_path == NULL)
        return error_no_memory(error);
    memcpy(lock_path, place->path, length);
    memcpy(lock_path + length, suffix, sizeof suffix);
    enum certpost_status status = file_lock_take_at(lock_path, place, ret_descriptor, error);
    free(lock_path);
    return status;
}

void file_lock_release(int descriptor)
{
    if (descriptor >= 0)
        (void)close(descriptor);
}
