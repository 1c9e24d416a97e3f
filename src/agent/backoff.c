/*
 * backoff.c — exponential backoff with full jitter (agent/backoff.h).
 *
 * Uses: nothing.  Used by: agent.c.  Never: draws random numbers or looks at the clock.
 */
#include "agent/backoff.h"

int64_t backoff_bound_ms(const struct backoff *backoff)
{
    int64_t bound_ms = BACKOFF_BASE_MS;
    for (unsigned i = 0; i < backoff->failures && bound_ms < BACKOFF_CAP_MS; i++)
        bound_ms *= 2;
    return bound_ms < BACKOFF_CAP_MS ? bound_ms : BACKOFF_CAP_MS;
}

int64_t backoff_next_ms(struct backoff *backoff, uint32_t random)
{
    /* A product instead of a remainder: even, up to one part in four billion. */
    uint64_t choices = (uint64_t)backoff_bound_ms(backoff) + 1;
    if (backoff->failures < UINT32_MAX)
        backoff->failures++;
    return (int64_t)((choices * random) >> 32);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}
