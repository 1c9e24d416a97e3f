/*
 * support/fault_memory_calls.c — memory that cannot be had; see fault_shim.h.
 *
 * Built without builtins, or the compiler would make a calloc of what implements it.
 */
#include "support/fault_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The C library's own names: looking up the next malloc would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
extern __typeof__(malloc) __interceptor_malloc __attribute__((weak));
extern __typeof__(calloc) __interceptor_calloc __attribute__((weak));
extern __typeof__(realloc) __interceptor_realloc __attribute__((weak));
FAULT_REAL(posix_memalign);
FAULT_REAL(aligned_alloc);

FAULT_EXPORT void *malloc(size_t size)
{
    if (fault_strikes(FAULT_KIND_MEMORY))
        return NULL;
    return __interceptor_malloc != NULL ? __interceptor_malloc(size) : __libc_malloc(size);
}

FAULT_EXPORT void *calloc(size_t count, size_t size)
{
    if (fault_strikes(FAULT_KIND_MEMORY))
        return NULL;
    return __interceptor_calloc != NULL ? __interceptor_calloc(count, size)
                                        : __libc_calloc(count, size);
}

FAULT_EXPORT void *realloc(void *old, size_t size)
{
    /* What only gets smaller does not fail in the C library either. */
    if (size > 0 && fault_strikes(FAULT_KIND_MEMORY))
        return NULL;
    if (old != NULL && size > 0 && fault_strikes(FAULT_KIND_GROWTH))
        return NULL;
    return __interceptor_realloc != NULL ? __interceptor_realloc(old, size)
                                         : __libc_realloc(old, size);
}

FAULT_EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, total);
}

/* Sanitizers have a strdup of their own, which would not come by here. */
FAULT_EXPORT char *strndup(const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    char *copy = malloc(length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

FAULT_EXPORT char *strdup(const char *text)
{
    return strndup(text, strlen(text));
}

FAULT_EXPORT int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    if (fault_strikes(FAULT_KIND_MEMORY))
        return ENOMEM;
    return real_posix_memalign()(ret_memory, alignment, size);
}

FAULT_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return fault_strikes(FAULT_KIND_MEMORY) ? NULL : real_aligned_alloc()(alignment, size);
}

/*
 * What the dynamic loader keeps for itself is no leak. The sanitizer knows that by who called
 * malloc, and finds us there.
 */
FAULT_EXPORT const char *__lsan_default_suppressions(void);
FAULT_EXPORT const char *__lsan_default_suppressions(void)
{
    return "leak:ld-linux\nleak:/ld.so\n";
}

/* Nor are there to be words about it behind the last line of a program. */
FAULT_EXPORT const char *__lsan_default_options(void);
FAULT_EXPORT const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
