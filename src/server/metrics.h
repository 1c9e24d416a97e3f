/*
 * server/metrics.h — counters of what a server does, for /metrics.
 *
 * Each thread that counts has a block of its own, on cache lines of its own, with one place for
 * each counter. It alone adds to it, without a lock and without an atomic addition; whoever reads
 * sums the blocks. What is read is each counter at some moment, not all at one moment.
 *
 * Counting is for what happens once for a connection, a batch or a wake-up, never for one message:
 * those are counted without atomics where they are (struct peer_work), and added up per wake-up.
 *
 * What there is, with names and meanings, is the table in metrics_table.c; docs/metrics.md says
 * what to do about each, and a test compares the two.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "tls/failure.h"

#include "certpost/error.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* How connections end. X(constant, name); those of deadlines in the order of enum net_deadline. */
#define METRICS_END_LIST(X)                                                                        \
    X(CLOSED, "closed")                                                                            \
    X(TRUNCATED, "truncated")                                                                      \
    X(RESET, "reset")                                                                              \
    X(TIMEOUT_HANDSHAKE, "timeout_handshake")                                                      \
    X(TIMEOUT_FIRST_BYTE, "timeout_first_byte")                                                    \
    X(TIMEOUT_IDLE, "timeout_idle")                                                                \
    X(TIMEOUT_WRITE, "timeout_write")                                                              \
    X(TIMEOUT_CLOSE, "timeout_close")                                                              \
    X(HANDSHAKE, "handshake")                                                                      \
    X(PROTOCOL, "protocol")                                                                        \
    X(LIMIT, "limit")                                                                              \
    X(DRAIN, "drain")                                                                              \
    X(OTHER, "other")

/* Why handshakes fail where TLS has no reason of its own (enum tls_failure). */
#define METRICS_BROKEN_LIST(X)                                                                     \
    X(TRUNCATED, "truncated")                                                                      \
    X(RESET, "reset")                                                                              \
    X(TIMEOUT, "timeout")                                                                          \
    X(LIMIT, "limit")                                                                              \
    X(DRAIN, "drain")                                                                              \
    X(OTHER, "other")

/* Bounds that were reached, by the option that sets them. */
#define METRICS_LIMIT_LIST(X)                                                                      \
    X(CONNECTIONS, "max_connections")                                                              \
    X(CONNECTIONS_PER_ADDRESS, "max_connections_per_address")                                      \
    X(HANDSHAKES, "max_handshakes")                                                                \
    X(HANDSHAKE_RATE, "max_handshake_rate")                                                        \
    X(PENDING, "max_pending")                                                                      \
    X(PENDING_TOTAL, "max_pending_total")                                                          \
    X(OUTPUT, "output")                                                                            \
    X(UNFINISHED, "unfinished")

enum metrics_end {
#define METRICS_ENUM(constant, name) METRICS_END_##constant,
    METRICS_END_LIST(METRICS_ENUM)
#undef METRICS_ENUM
        METRICS_END_COUNT,
};

enum metrics_broken {
#define METRICS_ENUM(constant, name) METRICS_BROKEN_##constant,
    METRICS_BROKEN_LIST(METRICS_ENUM)
#undef METRICS_ENUM
        METRICS_BROKEN_COUNT,
};

enum metrics_limit {
#define METRICS_ENUM(constant, name) METRICS_LIMIT_##constant,
    METRICS_LIMIT_LIST(METRICS_ENUM)
#undef METRICS_ENUM
        METRICS_LIMIT_COUNT,
};

/* Kinds of handshakes, exchanges and refusals; in the order of the labels in metrics_table.c. */
enum metrics_tls {
    METRICS_TLS_1_2,
    METRICS_TLS_1_2_RESUMED,
    METRICS_TLS_1_3,
    METRICS_TLS_1_3_RESUMED
};
enum metrics_exchange { METRICS_PLAIN, METRICS_CERTPOST_1, METRICS_EXCHANGE_COUNT };
enum {
    METRICS_TLS_COUNT = METRICS_TLS_1_3_RESUMED + 1,
    METRICS_FAILURE_COUNT = TLS_FAILURE_OTHER,
    METRICS_CODE_COUNT = 14, /* the codes of docs/protocol.md, section 9, and `application` */
};

/* Buckets without the last, which takes the rest. */
enum { METRICS_TIME_BOUNDS = 14, METRICS_SIZE_BOUNDS = 13 };

/* The places of a block. A histogram has its buckets, and then its sum. */
enum metrics_slot {
    METRICS_CONNECTIONS_OPENED,
    METRICS_CONNECTIONS_CLOSED,
    METRICS_CONNECTIONS_OPEN = METRICS_CONNECTIONS_CLOSED + METRICS_END_COUNT,
    METRICS_CONNECTIONS_PAUSED,
    METRICS_PAUSES,
    METRICS_PAUSED_MS,
    METRICS_HANDSHAKES_UNDER_WAY,
    METRICS_HANDSHAKES,
    METRICS_HANDSHAKES_FAILED = METRICS_HANDSHAKES + METRICS_TLS_COUNT,
    METRICS_HANDSHAKES_BROKEN = METRICS_HANDSHAKES_FAILED + METRICS_FAILURE_COUNT,
    METRICS_MESSAGES = METRICS_HANDSHAKES_BROKEN + METRICS_BROKEN_COUNT,
    METRICS_MESSAGE_BYTES = METRICS_MESSAGES + METRICS_EXCHANGE_COUNT,
    METRICS_ACKNOWLEDGEMENTS = METRICS_MESSAGE_BYTES + METRICS_EXCHANGE_COUNT,
    METRICS_ACKNOWLEDGED = METRICS_ACKNOWLEDGEMENTS + METRICS_EXCHANGE_COUNT,
    METRICS_REFUSALS = METRICS_ACKNOWLEDGED + METRICS_EXCHANGE_COUNT,
    METRICS_LIMITS = METRICS_REFUSALS + METRICS_CODE_COUNT,
    METRICS_COMMIT_FAILURES = METRICS_LIMITS + METRICS_LIMIT_COUNT,
    METRICS_COMMIT_TIME = METRICS_COMMIT_FAILURES + 2,
    METRICS_COMMIT_SIZE = METRICS_COMMIT_TIME + METRICS_TIME_BOUNDS + 2,
    METRICS_RECEIPTS = METRICS_COMMIT_SIZE + METRICS_SIZE_BOUNDS + 2,
    METRICS_RECEIPTS_FAILED,
    METRICS_SIGNING_TIME,
    METRICS_RELOADS = METRICS_SIGNING_TIME + METRICS_TIME_BOUNDS + 2,
    METRICS_RELOADS_FAILED,
    METRICS_SLOT_COUNT,
};

/* The size of a cache line, on all machines that Debian runs on. */
enum { METRICS_LINE_BYTES = 128 };

/* One thread's counters. */
struct metrics_block {
    _Alignas(METRICS_LINE_BYTES) _Atomic uint64_t slots[METRICS_SLOT_COUNT];
};

/* The threads that count beside the workers. */
enum metrics_thread { METRICS_MAIN, METRICS_WRITER, METRICS_SIGNING, METRICS_FIRST_WORKER };

struct metrics;

/* All zero. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status metrics_new(size_t worker_count, struct metrics **ret_metrics,
                                 struct certpost_error *error);
void metrics_free(struct metrics *metrics);

/* The block of METRICS_MAIN, _WRITER, _SIGNING, or of worker i: METRICS_FIRST_WORKER + i. Lives as
 * long as `metrics`. */
struct metrics_block *metrics_block(struct metrics *metrics, size_t thread);

/* The sum of all blocks. Any thread. */
uint64_t metrics_sum(const struct metrics *metrics, size_t slot);

/* Adds; on the block's thread alone. A NULL block counts nothing. A gauge is taken back with
 * metrics_subtract: the sum is what counts. */
static inline void metrics_add(struct metrics_block *block, size_t slot, uint64_t amount)
{
    if (block == NULL)
        return;
    uint64_t before = atomic_load_explicit(&block->slots[slot], memory_order_relaxed);
    atomic_store_explicit(&block->slots[slot], before + amount, memory_order_relaxed);
}

static inline void metrics_subtract(struct metrics_block *block, size_t slot, uint64_t amount)
{
    metrics_add(block, slot, UINT64_C(0) - amount);
}

/* Histograms: a duration in microseconds, a number of messages. */
void metrics_add_time(struct metrics_block *block, size_t slot, int64_t duration_us);
void metrics_add_size(struct metrics_block *block, size_t slot, uint64_t size);

/* The upper bounds of the buckets: microseconds, messages. */
extern const uint64_t metrics_time_bounds[METRICS_TIME_BOUNDS];
extern const uint64_t metrics_size_bounds[METRICS_SIZE_BOUNDS];

/* The place of a code (MESSAGE_CODE_…) among METRICS_CODE_COUNT. */
size_t metrics_code_index(uint16_t code);

#endif
