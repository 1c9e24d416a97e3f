/*
 * client/progress.h — one line on the terminal that says how far a long input is.
 *
 * Drawn over itself a few times a second at most, only on a terminal, and only when something has
 * been under way for a moment: whoever sends one message never sees it.
 */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress_counts {
    uint64_t acknowledged; /* messages */
    uint64_t bytes;        /* of the messages that were taken */
    uint64_t unacknowledged;
};

/* Room for a line; a wider terminal shows no more. */
enum { PROGRESS_LINE_BYTES = 160 };

struct progress {
    bool wanted;
    bool shown;      /* the cursor stands in our line */
    int64_t next_ms; /* not drawn before; CLOCK_NEVER_MS: nothing has changed since */
    struct {
        int64_t at_ms;
        uint64_t acknowledged;
    } samples[2]; /* the rate is counted from the older one */
    char line[PROGRESS_LINE_BYTES];
};

/* Nothing is ever drawn unless `wanted` and standard error is a terminal. */
void progress_init(struct progress *progress, bool wanted, int64_t now_ms);

/* Draws the line if it is time. Call it whenever counts may have changed. */
void progress_update(struct progress *progress, const struct progress_counts *counts,
                     int64_t now_ms);

/* When to call progress_update next at the latest; CLOCK_NEVER_MS for never. */
int64_t progress_deadline_ms(const struct progress *progress);

/* Takes the line away, before something else is written to the terminal. */
void progress_clear(struct progress *progress);

#endif
