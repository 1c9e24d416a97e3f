/*
 * descriptors.c — how many connections the process has descriptors for (server/descriptors.h).
 *
 * Uses: libc.  Used by: server.c.
 * Never: lowers a limit.
 */
#include "server/descriptors.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>

/* For a reload's files, a store's, a log's, and one accept on each worker. */
enum { DESCRIPTORS_SPARE = 24 };

/* What a process without /proc is taken to have open. */
enum { DESCRIPTORS_ASSUMED_OPEN = 64 };

/* Stays open: once the sandbox is entered, the folder cannot be opened again. */
static DIR *descriptors_folder;

size_t descriptors_open(void)
{
    if (descriptors_folder == NULL)
        descriptors_folder = opendir("/proc/self/fd");
    if (descriptors_folder == NULL)
        return DESCRIPTORS_ASSUMED_OPEN;
    size_t count = 0;
    rewinddir(descriptors_folder);
    while (readdir(descriptors_folder) != NULL)
        count++;
    return count; /* "." and ".." are counted too: a little spare */
}

size_t descriptors_needed(size_t connections, size_t open_besides)
{
    return connections + open_besides + DESCRIPTORS_SPARE;
}

size_t descriptors_fit(size_t wanted, size_t open_besides)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    size_t taken = descriptors_needed(0, open_besides);
    rlim_t needed = (rlim_t)(wanted + taken);
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return wanted;
    }
    if (limit.rlim_cur >= needed)
        return wanted;
    return limit.rlim_cur > taken ? (size_t)limit.rlim_cur - taken : 1;
}
