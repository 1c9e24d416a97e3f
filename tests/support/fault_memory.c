/* support/fault_memory.c — see the header. */
#include "support/fault_memory.h"

#include "support/unit.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* The linker's names for what is wrapped, and for our replacements. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static atomic_uint_fast64_t left; /* allocations until the one that fails; 0: none will */
static atomic_bool struck;
static sqlite3_mem_methods real_methods;

static bool memory_strikes(void)
{
    uint_fast64_t now = atomic_load(&left);
    while (now > 0 && !atomic_compare_exchange_weak(&left, &now, now - 1))
        ;
    if (now != 1)
        return false;
    atomic_store(&struck, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return memory_strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_strikes() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return memory_strikes() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return memory_strikes() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
    return memory_strikes() ? NULL : __real_strdup(text);
}

static void *sqlite_malloc(int size)
{
    return memory_strikes() ? NULL : real_methods.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return memory_strikes() ? NULL : real_methods.xRealloc(old, size);
}

void fault_memory_install(void)
{
    static bool installed;
    if (installed)
        return;
    installed = true;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_methods), SQLITE_OK);
    sqlite3_mem_methods methods = real_methods;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}

void fault_memory_arm(uint64_t at)
{
    atomic_store(&struck, false);
    atomic_store(&left, at);
}

bool fault_memory_heal(void)
{
    atomic_store(&left, 0);
    return atomic_load(&struck);
}
