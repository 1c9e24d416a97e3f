/*
 * support/fault_calls.h — how an interposed function reaches the real one; for the fault_*.c files.
 *
 * FAULT_REAL(recv) makes `real_recv()`, which returns the sanitizer's recv where the program has
 * one, so that it goes on checking, else the C library's.
 */
#ifndef SUPPORT_FAULT_CALLS_H
#define SUPPORT_FAULT_CALLS_H

#include "support/fault_shim.h"

#include <string.h>

/* Ours must be seen by shared libraries although all else is hidden. */
#define FAULT_EXPORT __attribute__((visibility("default"))) __attribute__((used))

/* The sanitizers' names are weak: without a sanitizer their address is null. */
#define FAULT_REAL(name)                                                                           \
    extern __typeof__(name) __interceptor_##name __attribute__((weak));                            \
    static __typeof__(name) *real_##name(void)                                                     \
    {                                                                                              \
        static __typeof__(name) *_Atomic known;                                                    \
        __typeof__(name) *found = atomic_load(&known);                                             \
        if (found == NULL)                                                                         \
            found = __interceptor_##name;                                                          \
        if (found == NULL) {                                                                       \
            void *next = fault_find_next(#name);                                                   \
            memcpy(&found, &next, sizeof found);                                                   \
        }                                                                                          \
        atomic_store(&known, found);                                                               \
        return found;                                                                              \
    }                                                                                              \
    _Static_assert(1, "")

#endif
