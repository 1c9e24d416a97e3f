/*
 * base/clock.h — the two clocks. Deadlines use the monotonic one only: it does not jump when the
 * machine's time is set.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* A deadline that never comes. */
#define CLOCK_NEVER_MS INT64_MAX

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_monotonic_ms(void);

/* Microseconds of the same clock: for measuring, where milliseconds are too coarse. */
int64_t clock_monotonic_us(void);

/* The moment `timeout_ms` from now; a negative timeout means CLOCK_NEVER_MS. Saturates. */
int64_t clock_deadline_ms(int64_t timeout_ms);

/* What is left until `deadline_ms`, as poll(2) takes it: -1 for never, 0 when it has passed. */
int clock_poll_timeout_ms(int64_t deadline_ms);

/* Room for clock_format_utc: "2026-11-22T13:21:17.123Z" and its NUL, and some more for far years.
 */
#define CLOCK_UTC_TEXT_BYTES 40

/* Wall-clock milliseconds since 1970, for people and records; never for deadlines. */
int64_t clock_wall_ms(void);

/* Writes `wall_ms` as RFC 3339 UTC with milliseconds. */
void clock_format_utc(int64_t wall_ms, char ret_text[CLOCK_UTC_TEXT_BYTES]);

#endif
