/*
 * server/refusals.h — the last connections and messages that were refused or failed, for people who
 * look at a running server. The log has them all; here are the newest.
 *
 * Memory is fixed. What one address causes again for the same reason is counted in its place, so a
 * scanner that comes a thousand times takes one place and not all.
 *
 * Threads: any. The lock is taken once for an end that is not as it should be, never for a byte or
 * a message.
 */
#ifndef SERVER_REFUSALS_H
#define SERVER_REFUSALS_H

#include "certpost/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    REFUSALS_MAX = 50,
    REFUSALS_ADDRESS_BYTES = 72,
    REFUSALS_REASON_BYTES = 64,
    REFUSALS_DETAIL_BYTES = 240,
    REFUSALS_NAME_BYTES = 160,
};

/* Longer texts are cut. Each is raw: escape it before anybody sees it. */
struct refusal {
    int64_t first_wall_ms;
    int64_t last_wall_ms;
    uint64_t count;                       /* how often; 1 or more */
    char address[REFUSALS_ADDRESS_BYTES]; /* HOST:PORT, of the last; empty: unknown */
    char reason[REFUSALS_REASON_BYTES];   /* as in the log */
    char detail[REFUSALS_DETAIL_BYTES];   /* the same */
    size_t name_length;
    unsigned char name[REFUSALS_NAME_BYTES]; /* identity, or subject of a refused certificate */
};

/* What happened; borrowed for the call. NULL strings are empty ones. */
struct refusal_event {
    const char *address;
    const char *reason;
    const char *detail;
    const void *name;
    size_t name_length;
};

struct refusals;

/* Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status refusals_new(struct refusals **ret_refusals, struct certpost_error *error);
void refusals_free(struct refusals *refusals);

/* Notes an event at the moment `wall_ms`. NULL for `refusals`: nobody wants to know. */
void refusals_note(struct refusals *refusals, const struct refusal_event *event, int64_t wall_ms);

/* Copies all, the newest first, and returns how many there are. */
size_t refusals_copy(struct refusals *refusals, struct refusal ret_list[REFUSALS_MAX]);

#endif
