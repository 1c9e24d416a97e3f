/*
 * standing_disk.c — a disk that stands still for as long as a test wants it to.
 *
 * Preloaded into certpostd (LD_PRELOAD, with --no-sandbox). While there is a FIFO at the path that
 * the environment variable STANDING_DISK names, fdatasync and fsync say so on standard error, wait
 * until somebody opens it for writing, and then do what they always do.
 *
 * Uses: libc.  Used by: tests/integration/test_slow_disk.py.  Never: part of a product.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const char standing_words[] = "the disk stands still\n";

static void stand_still(void)
{
    const char *path = getenv("STANDING_DISK");
    if (path == NULL || access(path, F_OK) != 0)
        return;
    if (write(STDERR_FILENO, standing_words, sizeof standing_words - 1) < 0)
        return;
    int fifo = open(path, O_RDONLY | O_CLOEXEC);
    if (fifo >= 0)
        close(fifo);
}

typedef int (*sync_function)(int);

static int sync_for_real(const char *name, int descriptor)
{
    stand_still();
    /* The one conversion that POSIX promises and ISO C does not. */
    union {
        void *object;
        sync_function function;
    } found = {.object = dlsym(RTLD_NEXT, name)};
    if (found.object == NULL) {
        errno = ENOSYS;
        return -1;
    }
    return found.function(descriptor);
}

int fdatasync(int descriptor)
{
    return sync_for_real("fdatasync", descriptor);
}

int fsync(int descriptor)
{
    return sync_for_real("fsync", descriptor);
}
