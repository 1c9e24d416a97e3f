/*
 * descriptors.c — how many connections the process has descriptors for (server/descriptors.h).
 *
 * Uses: libc.  Used by: server.c.
 * Never: lowers a limit.
 */
#include "server/descriptors.h"

#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

/* For a reload's files, a store's, a log's, and one accept on each worker. */
enum { DESCRIPTORS_SPARE = 24 };

/* What a process without /proc is taken to have open. */
enum { DESCRIPTORS_ASSUMED_OPEN = 64 };

size_t descriptors_open(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return DESCRIPTORS_ASSUMED_OPEN;
    size_t count = 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count; /* "." and ".." are counted too: a little spare */
}

size_t descriptors_needed(size_t connections, size_t open_besides)
{
    return connections + open_besides + DESCRIPTORS_SPARE;
}

size_t descriptors_most(bool may_raise)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return SIZE_MAX;
    rlim_t most = may_raise ? limit.rlim_max : limit.rlim_cur;
    return most < SIZE_MAX ? (size_t)most : SIZE_MAX;
}

size_t descriptors_fit(size_t wanted, size_t open_besides, bool may_raise)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    size_t taken = descriptors_needed(0, open_besides);
    rlim_t needed = (rlim_t)(wanted + taken);
    if (may_raise && limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return wanted;
    }
    if (limit.rlim_cur >= needed)
        return wanted;
    return limit.rlim_cur > taken ? (size_t)limit.rlim_cur - taken : 1;
}
