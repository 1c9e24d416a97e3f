/*
 * support/fault_memory.h — memory that runs out at a chosen allocation.
 *
 * For programs linked with FAULT_MEMORY_WRAPS (tests/CMakeLists.txt): our own calls of malloc and
 * its kin, and all of SQLite's. OpenSSL's allocations are not touched.
 */
#ifndef SUPPORT_FAULT_MEMORY_H
#define SUPPORT_FAULT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Puts itself under SQLite, before SQLite is used. A second call does nothing. */
void fault_memory_install(void);

/* The `at`-th allocation from now on (from 1) fails, once. */
void fault_memory_arm(uint64_t at);

/* No more failures. Returns whether one had happened. */
bool fault_memory_heal(void);

#endif
