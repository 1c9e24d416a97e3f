/* support/fault_file_calls.c — files, as SQLite and everybody else uses them; see fault_shim.h. */
#include "support/fault_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

FAULT_REAL(open);
FAULT_REAL(open64);
FAULT_REAL(openat);
FAULT_REAL(openat64);
FAULT_REAL(fopen);
FAULT_REAL(fopen64);
FAULT_REAL(opendir);
FAULT_REAL(pread);
FAULT_REAL(pread64);
FAULT_REAL(pwrite);
FAULT_REAL(pwrite64);
FAULT_REAL(ftruncate);
FAULT_REAL(ftruncate64);
FAULT_REAL(posix_fallocate);
FAULT_REAL(posix_fallocate64);
FAULT_REAL(unlink);
FAULT_REAL(rename);
FAULT_REAL(mkdir);
FAULT_REAL(fsync);
FAULT_REAL(fdatasync);
FAULT_REAL(flock);
FAULT_REAL(fcntl);
FAULT_REAL(fcntl64);
FAULT_REAL(mmap);
FAULT_REAL(mmap64);
FAULT_REAL(stat);
FAULT_REAL(stat64);
FAULT_REAL(lstat);
FAULT_REAL(lstat64);
FAULT_REAL(fstat);
FAULT_REAL(fstat64);

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

/* The third argument is there only where the flags say so. */
static mode_t fault_mode(int flags, va_list *more)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(*more, mode_t) : 0;
}

#define FAULT_OPEN_CALL(name)                                                                      \
    FAULT_EXPORT int name(const char *path, int flags, ...)                                        \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = fault_mode(flags, &more);                                                    \
        va_end(more);                                                                              \
        return fault_strikes(FAULT_KIND_OPEN) ? -1 : real_##name()(path, flags, mode);             \
    }                                                                                              \
    _Static_assert(1, "")

#define FAULT_OPENAT_CALL(name)                                                                    \
    FAULT_EXPORT int name(int folder, const char *path, int flags, ...)                            \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = fault_mode(flags, &more);                                                    \
        va_end(more);                                                                              \
        return fault_strikes(FAULT_KIND_OPEN) ? -1 : real_##name()(folder, path, flags, mode);     \
    }                                                                                              \
    _Static_assert(1, "")

FAULT_OPEN_CALL(open);
FAULT_OPEN_CALL(open64);
FAULT_OPENAT_CALL(openat);
FAULT_OPENAT_CALL(openat64);

FAULT_EXPORT int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

FAULT_EXPORT int __open64_2(const char *path, int flags)
{
    return open64(path, flags);
}

FAULT_EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
    return fault_strikes(FAULT_KIND_OPEN) ? NULL : real_fopen()(path, mode);
}

FAULT_EXPORT FILE *fopen64(const char *restrict path, const char *restrict mode)
{
    return fault_strikes(FAULT_KIND_OPEN) ? NULL : real_fopen64()(path, mode);
}

FAULT_EXPORT DIR *opendir(const char *path)
{
    return fault_strikes(FAULT_KIND_OPEN) ? NULL : real_opendir()(path);
}

#define FAULT_POSITIONED_CALL(name, kind, type, offset_type)                                       \
    FAULT_EXPORT ssize_t name(int descriptor, type bytes, size_t length, offset_type offset)       \
    {                                                                                              \
        if (fault_strikes_bytes(kind, length, &length))                                            \
            return -1;                                                                             \
        return real_##name()(descriptor, bytes, length, offset);                                   \
    }                                                                                              \
    _Static_assert(1, "")

FAULT_POSITIONED_CALL(pread, FAULT_KIND_FILE_READ, void *, off_t);
FAULT_POSITIONED_CALL(pread64, FAULT_KIND_FILE_READ, void *, off64_t);
FAULT_POSITIONED_CALL(pwrite, FAULT_KIND_FILE_CHANGE, const void *, off_t);
FAULT_POSITIONED_CALL(pwrite64, FAULT_KIND_FILE_CHANGE, const void *, off64_t);

FAULT_EXPORT int ftruncate(int descriptor, off_t length)
{
    return fault_strikes(FAULT_KIND_FILE_CHANGE) ? -1 : real_ftruncate()(descriptor, length);
}

FAULT_EXPORT int ftruncate64(int descriptor, off64_t length)
{
    return fault_strikes(FAULT_KIND_FILE_CHANGE) ? -1 : real_ftruncate64()(descriptor, length);
}

FAULT_EXPORT int posix_fallocate(int descriptor, off_t offset, off_t length)
{
    if (fault_strikes(FAULT_KIND_FILE_CHANGE))
        return errno;
    return real_posix_fallocate()(descriptor, offset, length);
}

FAULT_EXPORT int posix_fallocate64(int descriptor, off64_t offset, off64_t length)
{
    if (fault_strikes(FAULT_KIND_FILE_CHANGE))
        return errno;
    return real_posix_fallocate64()(descriptor, offset, length);
}

FAULT_EXPORT int unlink(const char *path)
{
    return fault_strikes(FAULT_KIND_FILE_CHANGE) ? -1 : real_unlink()(path);
}

FAULT_EXPORT int rename(const char *old, const char *new)
{
    return fault_strikes(FAULT_KIND_FILE_CHANGE) ? -1 : real_rename()(old, new);
}

FAULT_EXPORT int mkdir(const char *path, mode_t mode)
{
    return fault_strikes(FAULT_KIND_FILE_CHANGE) ? -1 : real_mkdir()(path, mode);
}

FAULT_EXPORT int fsync(int descriptor)
{
    return fault_strikes(FAULT_KIND_SYNC) ? -1 : real_fsync()(descriptor);
}

FAULT_EXPORT int fdatasync(int descriptor)
{
    return fault_strikes(FAULT_KIND_SYNC) ? -1 : real_fdatasync()(descriptor);
}

FAULT_EXPORT int flock(int descriptor, int operation)
{
    return fault_strikes(FAULT_KIND_FILE_LOCK) ? -1 : real_flock()(descriptor, operation);
}

/* Only taking a lock: giving one back does not fail. */
static bool fault_is_lock(int command, const void *argument)
{
    if (command != F_SETLK && command != F_SETLKW && command != F_OFD_SETLK &&
        command != F_OFD_SETLKW)
        return false;
    const struct flock *lock = argument;
    return lock->l_type != F_UNLCK;
}

/* An argument that is not there is read as well, and not used: as the C library does it. */
#define FAULT_FCNTL_CALL(name)                                                                     \
    FAULT_EXPORT int name(int descriptor, int command, ...)                                        \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, command);                                                                   \
        void *argument = va_arg(more, void *);                                                     \
        va_end(more);                                                                              \
        if (fault_is_lock(command, argument) && fault_strikes(FAULT_KIND_FILE_LOCK))               \
            return -1;                                                                             \
        return real_##name()(descriptor, command, argument);                                       \
    }                                                                                              \
    _Static_assert(1, "")

FAULT_FCNTL_CALL(fcntl);
FAULT_FCNTL_CALL(fcntl64);

/* Only files: anonymous memory is the allocators' and the threads' own. */
#define FAULT_MMAP_CALL(name, offset_type)                                                         \
    FAULT_EXPORT void *name(void *address, size_t length, int protection, int flags,               \
                            int descriptor, offset_type offset)                                    \
    {                                                                                              \
        if ((flags & MAP_ANONYMOUS) == 0 && fault_strikes(FAULT_KIND_FILE_MAP))                    \
            return MAP_FAILED;                                                                     \
        return real_##name()(address, length, protection, flags, descriptor, offset);              \
    }                                                                                              \
    _Static_assert(1, "")

FAULT_MMAP_CALL(mmap, off_t);
FAULT_MMAP_CALL(mmap64, off64_t);

#define FAULT_STATUS_CALL(name, subject, type)                                                     \
    FAULT_EXPORT int name(subject, type *restrict ret_status)                                      \
    {                                                                                              \
        return fault_strikes(FAULT_KIND_FILE_STATUS) ? -1 : real_##name()(of, ret_status);         \
    }                                                                                              \
    _Static_assert(1, "")

FAULT_STATUS_CALL(stat, const char *restrict of, struct stat);
FAULT_STATUS_CALL(stat64, const char *restrict of, struct stat64);
FAULT_STATUS_CALL(lstat, const char *restrict of, struct stat);
FAULT_STATUS_CALL(lstat64, const char *restrict of, struct stat64);
FAULT_STATUS_CALL(fstat, int of, struct stat);
FAULT_STATUS_CALL(fstat64, int of, struct stat64);
