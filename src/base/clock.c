/*
 * clock.c — the two clocks of base/clock.h.
 *
 * Uses: libc.  Used by: every layer but wire and session, which get the time as an argument.
 * Never: sleeps.
 */
#include "base/clock.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

static int64_t clock_read_ms(clockid_t id)
{
    struct timespec now = {0};
    /* Cannot fail for the two ids that are passed here; zero would be harmless. */
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return clock_read_ms(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return clock_read_ms(CLOCK_REALTIME);
}

int64_t clock_deadline_ms(int64_t timeout_ms)
{
    if (timeout_ms < 0)
        return CLOCK_NEVER_MS;
    int64_t now_ms = clock_monotonic_ms();
    return timeout_ms > CLOCK_NEVER_MS - now_ms ? CLOCK_NEVER_MS : now_ms + timeout_ms;
}

int clock_poll_timeout_ms(int64_t deadline_ms)
{
    if (deadline_ms == CLOCK_NEVER_MS)
        return -1;
    int64_t now_ms = clock_monotonic_ms();
    if (deadline_ms <= now_ms)
        return 0;
    int64_t left_ms = deadline_ms - now_ms;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

void clock_format_utc(int64_t wall_ms, char ret_text[CLOCK_UTC_TEXT_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    int milliseconds = (int)(wall_ms % 1000);
    /* Division rounds towards zero; a moment before 1970 belongs to the second before it. */
    if (milliseconds < 0) {
        milliseconds += 1000;
        seconds--;
    }
    struct tm parts = {0};
    (void)gmtime_r(&seconds, &parts);
    size_t used = strftime(ret_text, CLOCK_UTC_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(ret_text + used, CLOCK_UTC_TEXT_BYTES - used, ".%03dZ", milliseconds);
}
