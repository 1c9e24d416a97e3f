/*
 * support/fault_shim.h — makes the n-th call of a kind fail, in a program that knows nothing of it.
 *
 * Linked into a program as objects, it defines malloc, recv, accept4 and so on itself. The symbols
 * of an executable come before those of shared libraries, so libuv, OpenSSL, SQLite and the C
 * library's own callers of malloc get them too. Each passes on to the real function, or to the
 * sanitizer's where there is one.
 *
 * A test steers it through a page of memory that both map: the file named by the environment
 * variable CERTPOST_FAULT_PAGE. Without it nothing ever fails. The test may arm and disarm while
 * the program runs (tests/support/faults.py), and reads there whether the fault has happened.
 *
 * Threads: any. Calls are counted over all threads together.
 */
#ifndef SUPPORT_FAULT_SHIM_H
#define SUPPORT_FAULT_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The numbers and the order of the page are also in tests/support/faults.py. */
enum fault_kind {
    FAULT_KIND_NONE,
    FAULT_KIND_MEMORY,
    FAULT_KIND_GROWTH, /* realloc of what is there; MEMORY has it as well */
    FAULT_KIND_SOCKET_READ,
    FAULT_KIND_SOCKET_WRITE,
    FAULT_KIND_ACCEPT,
    FAULT_KIND_OPEN,        /* of files and folders */
    FAULT_KIND_FILE_READ,   /* of regular files */
    FAULT_KIND_FILE_CHANGE, /* write, truncate, delete, rename */
    FAULT_KIND_SYNC,
    FAULT_KIND_FILE_LOCK,
    FAULT_KIND_FILE_MAP,
    FAULT_KIND_FILE_STATUS,
    FAULT_KIND_OUTPUT, /* writing to standard output */
    FAULT_KIND_RANDOM,
    FAULT_KIND_THREAD,
    FAULT_KIND_LOOP_MADE, /* epoll_create1, eventfd, pipe2 */
    FAULT_KIND_LOOP_ADD,  /* epoll_ctl that adds a descriptor */
    FAULT_KIND_WAIT,      /* poll, epoll_wait */
    FAULT_KIND_WAKE,      /* bytes through an eventfd or a pipe that is no standard stream */
    FAULT_KIND_SOCKET,    /* socket, bind, listen, connect, setsockopt and their like */
    FAULT_KIND_NAME,      /* getaddrinfo */
    FAULT_KIND_CLOCK_REAL,
    FAULT_KIND_CLOCK_MONOTONIC,
    FAULT_KIND_COUNT,
};

/* In place of an errno: the call does only a part of what it was asked to. */
enum { FAULT_WAY_SHORT = 0 };

enum { FAULT_TRACE_MAX = 1 << 18 };

struct fault_page {
    atomic_uint_least64_t kind;       /* what is counted; FAULT_KIND_NONE: nothing */
    atomic_uint_least64_t first;      /* from which call on, beginning at 1; 0: none fails */
    atomic_uint_least64_t last;       /* up to which */
    atomic_int_least64_t way;         /* an errno, FAULT_WAY_SHORT, or a clock's step in seconds */
    atomic_uint_least64_t count;      /* calls since it was armed */
    atomic_uint_least64_t hits;       /* those that failed */
    atomic_uint_least64_t trace;      /* whether hashes are wanted: they cost time */
    atomic_int_least64_t real_s;      /* how far the clocks have been set off */
    atomic_int_least64_t monotonic_s; /* never taken back: this clock does not */
    atomic_uint_least64_t reserved[23]; /* up to 256 bytes */
    uint32_t hashes[FAULT_TRACE_MAX];   /* of each call's stack, in their order */
};

/* Counts a call; whether it is to fail, errno then says how unless it falls short. */
bool fault_strikes(enum fault_kind kind);

/* The same, for kinds that can fall short; *ret_length is what is left of `length`. */
bool fault_strikes_bytes(enum fault_kind kind, size_t length, size_t *ret_length);

/* How far a clock has been set off by now; counts the call. */
int64_t fault_clock_offset_s(enum fault_kind kind);

/* What reading from or writing to the descriptor counts as. */
enum fault_kind fault_kind_of(int descriptor, bool writing);

/* While true, this thread's calls are neither counted nor made to fail. Returns what was before. */
bool fault_stand_aside(bool aside);

/* The next definition of a function after ours. */
void *fault_find_next(const char *name);

#endif
