/*
 * support/fault_vfs.h — a disk that fails, lies and loses power, as an SQLite VFS named "fault".
 *
 * It passes everything on to the platform's VFS, except what a test has armed. Beside the real
 * file, which plays the kernel's page cache, it keeps for each file what a disk would hold: the
 * bytes as of the last successful sync, and the writes since. From these it can write out what a
 * machine finds after a loss of power.
 *
 * A failed sync behaves as on Linux: the writes before it stay visible in the page cache, but they
 * will never reach the disk, whatever later syncs say ("fsyncgate"). Real syncs are not made, which
 * makes the tests fast and changes nothing: the real file is never the judge of what survives.
 *
 * The deletion of a file may be undone, whole, until the directory was synced.
 *
 * Threads: any; one lock guards everything.
 */
#ifndef SUPPORT_FAULT_VFS_H
#define SUPPORT_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULT_VFS_NAME "fault"

enum fault_operation {
    FAULT_OPEN = 1 << 0,
    FAULT_READ = 1 << 1,
    FAULT_WRITE = 1 << 2,
    FAULT_TRUNCATE = 1 << 3,
    FAULT_SYNC = 1 << 4,
    FAULT_DELETE = 1 << 5,
    FAULT_SHARED_MEMORY = 1 << 6,
    FAULT_LOCK = 1 << 7,
    FAULT_SIZE = 1 << 8,
    FAULT_SYNC_DATABASE = 1 << 9, /* those syncs that are of the database itself, not its log */
    FAULT_CHANGES = FAULT_WRITE | FAULT_TRUNCATE | FAULT_SYNC | FAULT_DELETE,
    FAULT_ALL = (1 << 9) - 1,
};

enum fault_way {
    FAULT_ONCE,       /* that one operation */
    FAULT_LASTING,    /* that one and all of its kind, until fault_vfs_heal */
    FAULT_DISK_FULL,  /* as LASTING; writes say SQLITE_FULL, after a part was written */
    FAULT_STANDSTILL, /* that one and all that would change a file do nothing: the process is dead
                       */
};

/* Registers the VFS (once) and forgets all files and faults. No connection may be open. */
void fault_vfs_reset(void);

/* From now on counts operations of the kinds in `mask`; the `at`-th (from 1) fails in this way. */
void fault_vfs_arm(uint32_t mask, uint64_t at, enum fault_way way);

/* No more faults. Returns whether one had happened since fault_vfs_arm. */
bool fault_vfs_heal(void);

/* Whether a fault has happened since fault_vfs_arm. */
bool fault_vfs_has_struck(void);

/* Operations counted since fault_vfs_arm. */
uint64_t fault_vfs_count(void);

/*
 * Writes into `directory` what the disk holds if the power goes now: synced bytes, and of the
 * writes since then none, all, or a random part, torn at sectors, as `seed` says.
 */
void fault_vfs_lose_power(const char *directory, uint64_t seed);

#endif
