/*
 * agent/backoff.h — how long to wait before the next attempt: exponential, with full jitter.
 *
 * The bound doubles from attempt to attempt up to a cap; the delay is drawn evenly from 0 to the
 * bound. Clients that lost the same server at the same moment so come back spread over time, and
 * not in waves, which delays that only vary around a mean would make of them.
 *
 * Pure: the random number is an argument.
 */
#ifndef AGENT_BACKOFF_H
#define AGENT_BACKOFF_H

#include <stdint.h>

/* The first bound: enough for a server that restarts at once to be back. */
#define BACKOFF_BASE_MS 100
/* The last: who waits for a server waits half of this on average, after it is back. */
#define BACKOFF_CAP_MS 10000

struct backoff {
    unsigned failures; /* attempts since the last progress */
};

/* The next delay is drawn from 0 to this. */
int64_t backoff_bound_ms(const struct backoff *backoff);

/* Counts a failure and returns the delay that follows it; `random` is evenly distributed. */
int64_t backoff_next_ms(struct backoff *backoff, uint32_t random);

/* There was progress. */
void backoff_reset(struct backoff *backoff);

#endif
