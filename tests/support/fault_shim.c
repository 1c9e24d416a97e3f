/* support/fault_shim.c — counting, and the page that a test steers by; see the header. */
#include "support/fault_shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAULT_STACK_FRAMES = 24, FAULT_OWN_FRAMES = 3, FAULT_PAGE_BYTES = 4096 };

static struct fault_page *page;
static bool shows_stacks;
/* Unwinding a stack allocates: such calls are nobody's. */
static _Thread_local bool inside;

/* With -fno-builtin and without instrumentation, this runs before any other code of the program. */
__attribute__((constructor)) static void fault_shim_begin(void)
{
    const char *path = getenv("CERTPOST_FAULT_PAGE");
    int descriptor = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    void *frame = NULL;
    (void)backtrace(&frame, 1); /* it loads a library the first time */
    shows_stacks = getenv("CERTPOST_FAULT_STACKS") != NULL;
    void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    (void)close(descriptor);
    if (mapped != MAP_FAILED)
        page = mapped;
}

/* Where code lies is drawn anew for each process, in whole pages: a stack has the same hash in all.
 */
static uint32_t fault_hash(void *const *frames, int count)
{
    uint32_t hash = 2166136261U;
    for (int i = FAULT_OWN_FRAMES; i < count; i++) {
        uintptr_t address = (uintptr_t)frames[i] % FAULT_PAGE_BYTES;
        for (; address != 0; address >>= 8)
            hash = (hash ^ (uint32_t)(address & 0xff)) * 16777619U;
    }
    return hash;
}

static void fault_note_stack(uint64_t number, bool hit)
{
    void *frames[FAULT_STACK_FRAMES];
    inside = true;
    int count = backtrace(frames, FAULT_STACK_FRAMES);
    if (number <= FAULT_TRACE_MAX)
        page->hashes[number - 1] = fault_hash(frames, count);
    if (hit && shows_stacks)
        backtrace_symbols_fd(frames, count, STDERR_FILENO);
    inside = false;
}

static bool fault_counts(enum fault_kind kind)
{
    return page != NULL && !inside && atomic_load(&page->kind) == (uint64_t)kind;
}

/*
 * When the program's main has returned, libraries tidy up: OpenSSL then leaks what it has no memory
 * to list, which is nobody's loss, and would be the sanitizer's only report.
 */
static void fault_rest(void)
{
    atomic_store(&page->kind, FAULT_KIND_NONE);
}

/* Registered late, and so called before what the libraries have registered before it. */
static void fault_rest_at_exit(void)
{
    inside = true;
    (void)atexit(fault_rest);
    inside = false;
}

/* Whether this call is one that fails. */
static bool fault_hits(void)
{
    int saved_errno = errno;
    uint64_t number = atomic_fetch_add(&page->count, 1) + 1;
    if (number == 1)
        fault_rest_at_exit();
    bool hit = number >= atomic_load(&page->first) && number <= atomic_load(&page->last);
    if (atomic_load(&page->trace) != 0 || (hit && shows_stacks))
        fault_note_stack(number, hit);
    if (hit)
        atomic_fetch_add(&page->hits, 1);
    errno = saved_errno;
    return hit;
}

bool fault_strikes(enum fault_kind kind)
{
    if (!fault_counts(kind) || !fault_hits())
        return false;
    errno = (int)atomic_load(&page->way);
    return true;
}

bool fault_strikes_bytes(enum fault_kind kind, size_t length, size_t *ret_length)
{
    *ret_length = length;
    if (!fault_strikes(kind))
        return false;
    if (atomic_load(&page->way) != FAULT_WAY_SHORT)
        return true;
    *ret_length = length > 1 ? 1 : length;
    return false;
}

int64_t fault_clock_offset_s(enum fault_kind kind)
{
    if (page == NULL)
        return 0;
    atomic_int_least64_t *offset =
        kind == FAULT_KIND_CLOCK_REAL ? &page->real_s : &page->monotonic_s;
    if (fault_counts(kind) && fault_hits())
        atomic_fetch_add(offset, atomic_load(&page->way));
    return atomic_load(offset);
}

enum fault_kind fault_kind_of(int descriptor, bool writing)
{
    struct stat status;
    if (page == NULL || atomic_load(&page->kind) == FAULT_KIND_NONE)
        return FAULT_KIND_COUNT;
    if (writing && descriptor == STDOUT_FILENO)
        return FAULT_KIND_OUTPUT;
    int saved_errno = errno;
    inside = true; /* our own look at it is no call of the program */
    bool known = fstat(descriptor, &status) == 0;
    inside = false;
    errno = saved_errno;
    if (!known)
        return FAULT_KIND_COUNT;
    if (S_ISSOCK(status.st_mode))
        return writing ? FAULT_KIND_SOCKET_WRITE : FAULT_KIND_SOCKET_READ;
    if (S_ISREG(status.st_mode))
        return writing ? FAULT_KIND_FILE_CHANGE : FAULT_KIND_FILE_READ;
    return descriptor > STDERR_FILENO ? FAULT_KIND_WAKE : FAULT_KIND_COUNT;
}

bool fault_stand_aside(bool aside)
{
    bool before = inside;
    inside = aside;
    return before;
}

void *fault_find_next(const char *name)
{
    bool was_inside = fault_stand_aside(true);
    void *found = dlsym(RTLD_NEXT, name);
    (void)fault_stand_aside(was_inside);
    if (found == NULL)
        abort();
    return found;
}
