/*
 * metrics.c — counters of what a server does (server/metrics.h).
 *
 * Uses: wire/message (codes).  Used by: all of the server that counts, metrics_text.c.
 * Never: takes a lock.
 */
#include "server/metrics.h"

#include "base/error.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

struct metrics {
    size_t count;
    struct metrics_block blocks[];
};

const uint64_t metrics_time_bounds[METRICS_TIME_BOUNDS] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 5000000,
};

const uint64_t metrics_size_bounds[METRICS_SIZE_BOUNDS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000,
};

enum certpost_status metrics_new(size_t worker_count, struct metrics **ret_metrics,
                                 struct certpost_error *error)
{
    size_t count = METRICS_FIRST_WORKER + worker_count;
    size_t bytes = sizeof(struct metrics) + count * sizeof(struct metrics_block);
    struct metrics *metrics = aligned_alloc(_Alignof(struct metrics), bytes);
    if (metrics == NULL)
        return error_no_memory(error);
    memset(metrics, 0, bytes);
    metrics->count = count;
    *ret_metrics = metrics;
    return CERTPOST_OK;
}

void metrics_free(struct metrics *metrics)
{
    free(metrics);
}

struct metrics_block *metrics_block(struct metrics *metrics, size_t thread)
{
    return &metrics->blocks[thread];
}

uint64_t metrics_sum(const struct metrics *metrics, size_t slot)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < metrics->count; i++)
        sum += atomic_load_explicit(&metrics->blocks[i].slots[slot], memory_order_relaxed);
    return sum;
}

static void metrics_observe(struct metrics_block *block, size_t slot, const uint64_t *bounds,
                            size_t bound_count, uint64_t value)
{
    size_t bucket = 0;
    while (bucket < bound_count && value > bounds[bucket])
        bucket++;
    metrics_add(block, slot + bucket, 1);
    metrics_add(block, slot + bound_count + 1, value);
}

void metrics_add_time(struct metrics_block *block, size_t slot, int64_t duration_us)
{
    metrics_observe(block, slot, metrics_time_bounds, METRICS_TIME_BOUNDS, (uint64_t)duration_us);
}

void metrics_add_size(struct metrics_block *block, size_t slot, uint64_t size)
{
    metrics_observe(block, slot, metrics_size_bounds, METRICS_SIZE_BOUNDS, size);
}

size_t metrics_code_index(uint16_t code)
{
    static const uint16_t codes[] = {
#define METRICS_CODE(constant, number, name, again) (number),
        MESSAGE_CODE_LIST(METRICS_CODE)
#undef METRICS_CODE
    };
    _Static_assert(sizeof codes / sizeof codes[0] + 1 == METRICS_CODE_COUNT, "one for each code");
    size_t index = 0;
    while (index < METRICS_CODE_COUNT - 1 && codes[index] != code)
        index++;
    return index;
}
