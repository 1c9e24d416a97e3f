/* support/fault_vfs.c — see the header. */
#include "support/fault_vfs.h"

#include "support/unit.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512, DISK_FILES_MAX = 16 };

/* A change that was not synced. `bytes` NULL: the file was cut to `offset`. */
struct disk_change {
    struct disk_change *next;
    size_t offset;
    size_t length;
    unsigned char *bytes;
};

struct disk_image {
    unsigned char *bytes;
    size_t length;
};

struct disk_file {
    char name[512];
    struct disk_image durable;
    struct disk_change *first;
    struct disk_change **end;
    bool was_synced; /* its name is on the disk */
    bool is_deleted;
    bool is_gone; /* deleted, and the directory was synced since */
};

struct fault_file {
    sqlite3_file base; /* first: SQLite sees this */
    struct disk_file *disk;
    sqlite3_file *real; /* behind this struct */
    bool is_database;
};

static struct {
    pthread_mutex_t mutex;
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    struct disk_file files[DISK_FILES_MAX];
    size_t file_count;
    uint32_t mask;
    uint64_t at;
    uint64_t count;
    enum fault_way way;
    bool struck;
} fault = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void disk_drop_changes(struct disk_file *file)
{
    while (file->first != NULL) {
        struct disk_change *change = file->first;
        file->first = change->next;
        free(change->bytes);
        free(change);
    }
    file->end = &file->first;
}

/* Not by malloc: a test that lets allocations fail does not mean these. */
static void *disk_allocate(size_t size)
{
    void *memory = aligned_alloc(16, (size + 16) & ~(size_t)15);
    assert_non_null(memory);
    return memory;
}

static void image_put(struct disk_image *image, size_t offset, const void *bytes, size_t length)
{
    if (offset + length > image->length) {
        unsigned char *grown = disk_allocate(offset + length);
        if (image->length > 0)
            memcpy(grown, image->bytes, image->length);
        memset(grown + image->length, 0, offset + length - image->length);
        free(image->bytes);
        image->bytes = grown;
        image->length = offset + length;
    }
    memcpy(image->bytes + offset, bytes, length);
}

static void image_apply(struct disk_image *image, const struct disk_change *change)
{
    if (change->bytes != NULL)
        image_put(image, change->offset, change->bytes, change->length);
    else if (change->offset < image->length)
        image->length = change->offset;
}

static void disk_note(struct disk_file *file, size_t offset, const void *bytes, size_t length)
{
    struct disk_change *change = disk_allocate(sizeof *change);
    *change = (struct disk_change){.offset = offset, .length = length};
    if (bytes != NULL) {
        change->bytes = disk_allocate(length);
        memcpy(change->bytes, bytes, length);
    }
    *file->end = change;
    file->end = &change->next;
}

static struct disk_file *disk_find(const char *name)
{
    for (size_t i = 0; i < fault.file_count; i++) {
        if (strcmp(fault.files[i].name, name) == 0)
            return &fault.files[i];
    }
    return NULL;
}

/* The file's disk; what a file held before the test looked at it counts as synced. */
static struct disk_file *disk_open(const char *name)
{
    struct disk_file *file = disk_find(name);
    if (file != NULL && !file->is_deleted)
        return file;
    if (file == NULL) {
        assert_true(fault.file_count < DISK_FILES_MAX);
        file = &fault.files[fault.file_count++];
        snprintf(file->name, sizeof file->name, "%s", name);
    }
    free(file->durable.bytes);
    file->durable = (struct disk_image){0};
    file->is_deleted = false;
    file->is_gone = false;
    file->end = &file->first;
    FILE *real = fopen(name, "rb");
    file->was_synced = real != NULL;
    if (real == NULL)
        return file;
    unsigned char block[4096];
    size_t length = 0;
    while ((length = fread(block, 1, sizeof block, real)) > 0)
        image_put(&file->durable, file->durable.length, block, length);
    fclose(real);
    return file;
}

/* SQLite syncs the directory with the first sync of a new log or journal. */
static void disk_sync_directory(void)
{
    for (size_t i = 0; i < fault.file_count; i++)
        fault.files[i].is_gone = fault.files[i].is_deleted;
}

/* Counts an operation; true when it shall fail. The caller holds the lock. */
static bool fault_strikes(uint32_t operation)
{
    if (fault.struck && fault.way == FAULT_STANDSTILL)
        return (operation & FAULT_CHANGES) != 0 || operation == FAULT_OPEN;
    if (fault.at == 0 || (fault.mask & operation) == 0)
        return false;
    fault.count++;
    bool strikes = fault.way == FAULT_ONCE ? fault.count == fault.at : fault.count >= fault.at;
    if (strikes)
        fault.struck = true;
    return strikes;
}

static bool fault_check(uint32_t operation)
{
    pthread_mutex_lock(&fault.mutex);
    bool strikes = fault_strikes(operation);
    pthread_mutex_unlock(&fault.mutex);
    return strikes;
}

static struct fault_file *fault_file_of(sqlite3_file *file)
{
    return (struct fault_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return fault_file_of(file)->real;
}

static int fault_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int fault_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 offset)
{
    if (fault_check(FAULT_READ))
        return SQLITE_IOERR_READ;
    return real_of(file)->pMethods->xRead(real_of(file), bytes, length, offset);
}

static int fault_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset)
{
    pthread_mutex_lock(&fault.mutex);
    bool strikes = fault_strikes(FAULT_WRITE);
    bool dead = strikes && fault.way == FAULT_STANDSTILL;
    bool full = strikes && fault.way == FAULT_DISK_FULL;
    int written = dead ? 0 : strikes ? length / 2 : length;
    int code = SQLITE_OK;
    if (written > 0) {
        code = real_of(file)->pMethods->xWrite(real_of(file), bytes, written, offset);
        if (code == SQLITE_OK)
            disk_note(fault_file_of(file)->disk, (size_t)offset, bytes, (size_t)written);
    }
    pthread_mutex_unlock(&fault.mutex);
    return strikes ? (full ? SQLITE_FULL : SQLITE_IOERR_WRITE) : code;
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    pthread_mutex_lock(&fault.mutex);
    int code = SQLITE_IOERR_TRUNCATE;
    if (!fault_strikes(FAULT_TRUNCATE)) {
        code = real_of(file)->pMethods->xTruncate(real_of(file), size);
        if (code == SQLITE_OK)
            disk_note(fault_file_of(file)->disk, (size_t)size, NULL, 0);
    }
    pthread_mutex_unlock(&fault.mutex);
    return code;
}

static int fault_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    pthread_mutex_lock(&fault.mutex);
    struct disk_file *disk = fault_file_of(file)->disk;
    bool strikes = fault_strikes(
        FAULT_SYNC | (fault_file_of(file)->is_database ? (uint32_t)FAULT_SYNC_DATABASE : 0));
    bool dead = strikes && fault.way == FAULT_STANDSTILL;
    if (!strikes) {
        for (const struct disk_change *change = disk->first; change != NULL; change = change->next)
            image_apply(&disk->durable, change);
        if (!disk->was_synced)
            disk_sync_directory();
        disk->was_synced = true;
    }
    if (!dead)
        disk_drop_changes(disk);
    pthread_mutex_unlock(&fault.mutex);
    return strikes ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    if (fault_check(FAULT_SIZE))
        return SQLITE_IOERR_FSTAT;
    return real_of(file)->pMethods->xFileSize(real_of(file), ret_size);
}

static int fault_lock(sqlite3_file *file, int level)
{
    if (fault_check(FAULT_LOCK))
        return SQLITE_IOERR_LOCK;
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int fault_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret_reserved);
}

static int fault_control(sqlite3_file *file, int operation, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int fault_sector_size(sqlite3_file *file)
{
    (void)file;
    return SECTOR_BYTES;
}

static int fault_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int fault_map(sqlite3_file *file, int page, int page_size, int extend,
                     void volatile **ret_page)
{
    if (fault_check(FAULT_SHARED_MEMORY))
        return SQLITE_IOERR_SHMMAP;
    return real_of(file)->pMethods->xShmMap(real_of(file), page, page_size, extend, ret_page);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void fault_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int fault_unmap(sqlite3_file *file, int delete_it)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), delete_it);
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *ret_flags)
{
    static const sqlite3_io_methods methods = {
        2,
        fault_close,
        fault_read,
        fault_write,
        fault_truncate,
        fault_sync,
        fault_size,
        fault_lock,
        fault_unlock,
        fault_check_reserved,
        fault_control,
        fault_sector_size,
        fault_characteristics,
        fault_map,
        fault_shm_lock,
        fault_barrier,
        fault_unmap,
        NULL,
        NULL,
    };
    (void)vfs;
    struct fault_file *opened = fault_file_of(file);
    *opened = (struct fault_file){.real = (sqlite3_file *)(opened + 1),
                                  .is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0};
    pthread_mutex_lock(&fault.mutex);
    int code = SQLITE_CANTOPEN;
    if (!fault_strikes(FAULT_OPEN)) {
        opened->disk = disk_open(name == NULL ? "(temporary)" : name);
        code = fault.real->xOpen(fault.real, name, opened->real, flags, ret_flags);
    }
    pthread_mutex_unlock(&fault.mutex);
    if (code == SQLITE_OK)
        opened->base.pMethods = &methods;
    return code;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    (void)vfs;
    pthread_mutex_lock(&fault.mutex);
    int code = SQLITE_IOERR_DELETE;
    if (!fault_strikes(FAULT_DELETE)) {
        code = fault.real->xDelete(fault.real, name, sync_directory);
        struct disk_file *file = disk_find(name);
        if (code == SQLITE_OK && file != NULL) {
            disk_drop_changes(file);
            file->is_deleted = true;
        }
        if (code == SQLITE_OK && sync_directory != 0)
            disk_sync_directory();
    }
    pthread_mutex_unlock(&fault.mutex);
    return code;
}

void fault_vfs_reset(void)
{
    for (size_t i = 0; i < fault.file_count; i++) {
        disk_drop_changes(&fault.files[i]);
        free(fault.files[i].durable.bytes);
        fault.files[i] = (struct disk_file){0};
    }
    fault.file_count = 0;
    fault.at = 0;
    fault.struck = false;
    if (fault.real != NULL)
        return;
    fault.real = sqlite3_vfs_find(NULL);
    assert_non_null(fault.real);
    fault.vfs = *fault.real;
    fault.vfs.pNext = NULL;
    fault.vfs.zName = FAULT_VFS_NAME;
    fault.vfs.szOsFile = (int)sizeof(struct fault_file) + fault.real->szOsFile;
    fault.vfs.xOpen = fault_open;
    fault.vfs.xDelete = fault_delete;
    assert_int_equal(sqlite3_vfs_register(&fault.vfs, 0), SQLITE_OK);
}

void fault_vfs_arm(uint32_t mask, uint64_t at, enum fault_way way)
{
    pthread_mutex_lock(&fault.mutex);
    fault.mask = mask;
    fault.at = at;
    fault.count = 0;
    fault.way = way;
    fault.struck = false;
    pthread_mutex_unlock(&fault.mutex);
}

bool fault_vfs_heal(void)
{
    pthread_mutex_lock(&fault.mutex);
    bool struck = fault.struck;
    fault.at = 0;
    fault.struck = false;
    pthread_mutex_unlock(&fault.mutex);
    return struck;
}

bool fault_vfs_has_struck(void)
{
    pthread_mutex_lock(&fault.mutex);
    bool struck = fault.struck;
    pthread_mutex_unlock(&fault.mutex);
    return struck;
}

uint64_t fault_vfs_count(void)
{
    pthread_mutex_lock(&fault.mutex);
    uint64_t count = fault.count;
    pthread_mutex_unlock(&fault.mutex);
    return count;
}

static uint64_t dice(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* How many of four unsynced sectors reach the disk: none, all, half of them or few. */
static bool sector_survives(uint64_t *seed, unsigned manner)
{
    static const unsigned of_eight[] = {0, 8, 4, 1};
    return dice(seed) % 8 < of_eight[manner];
}

static void image_apply_torn(struct disk_image *image, const struct disk_change *change,
                             uint64_t *seed, unsigned manner)
{
    if (change->bytes == NULL) {
        if (sector_survives(seed, manner))
            image_apply(image, change);
        return;
    }
    size_t done = 0;
    while (done < change->length) {
        size_t at = change->offset + done;
        size_t piece = SECTOR_BYTES - at % SECTOR_BYTES;
        if (piece > change->length - done)
            piece = change->length - done;
        if (sector_survives(seed, manner))
            image_put(image, at, change->bytes + done, piece);
        done += piece;
    }
}

static void disk_write_out(const struct disk_file *file, const char *directory, uint64_t *seed,
                           unsigned manner)
{
    bool is_there = file->is_deleted || !file->was_synced ? sector_survives(seed, manner) : true;
    if (!is_there || file->is_gone)
        return;
    struct disk_image image = {0};
    if (file->durable.length > 0)
        image_put(&image, 0, file->durable.bytes, file->durable.length);
    for (const struct disk_change *change = file->first; change != NULL; change = change->next)
        image_apply_torn(&image, change, seed, manner);
    const char *base = strrchr(file->name, '/');
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, base == NULL ? file->name : base + 1);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    if (image.length > 0)
        assert_int_equal(fwrite(image.bytes, 1, image.length, out), image.length);
    assert_int_equal(fclose(out), 0);
    free(image.bytes);
}

void fault_vfs_lose_power(const char *directory, uint64_t seed)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    unsigned manner = (unsigned)(seed % 4);
    pthread_mutex_lock(&fault.mutex);
    for (size_t i = 0; i < fault.file_count; i++)
        disk_write_out(&fault.files[i], directory, &state, manner);
    pthread_mutex_unlock(&fault.mutex);
}
