/*
 * server/expiry.h — says in the log when certificates, revocation lists and OCSP responses in use
 * are about to end, and shows them to whoever asks.
 *
 * What they are and the steps (30, 7 and 1 days, the end) are in tls/validity.h. A line is written
 *
 *   at start and after a reload   for all that is within a step already
 *   while the server runs         when a step is reached, and once a day within a step
 *
 * as a warning, and as an error from the end on:
 *
 *   validity ends soon   kind, file, position, name, not_after, days
 *   validity has ended   the same; days is 0
 *
 * `days` are whole days that are left. At one time there are at most EXPIRY_LINES_MAX lines, for
 * those that end first, and one that counts the rest ("more validities end soon").
 *
 * The calendar decides, looked at once an hour of the monotonic clock. A calendar that is set
 * forwards reaches steps at once; one that is set back says nothing, and reaches them again later.
 */
#ifndef SERVER_EXPIRY_H
#define SERVER_EXPIRY_H

#include "server/state.h"
#include "tls/validity.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    EXPIRY_LINES_MAX = 20,
    EXPIRY_CHECK_INTERVAL_MS = 60 * 60 * 1000,
};

/* What is in use at one moment. The items do not change, and live until the snapshot is released.
 */
struct expiry_snapshot {
    const struct tls_validity *items; /* those that end first come first */
    size_t count;
    struct server_state *state; /* keeps them */
};

struct expiry_watch;

/* A watch in a loop, which closes its timer with uv_walk; it has nothing to watch yet. Errors:
 * NO_MEMORY, SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status expiry_watch_new(uv_loop_t *loop, struct expiry_watch **ret_watch,
                                      struct certpost_error *error);

/* After the loop has closed the timer, or never ran. NULL does nothing. */
void expiry_watch_free(struct expiry_watch *watch);

/*
 * From the loop's thread, at start and after each reload: from now on, `state` is in use. Logs what
 * is within a step already.
 */
void expiry_watch_replace(struct expiry_watch *watch, struct server_state *state);

/*
 * What is in use now; empty before the first expiry_watch_replace. Any thread. A snapshot keeps a
 * reload's old certificates and keys in memory: release it soon.
 */
void expiry_watch_snapshot(struct expiry_watch *watch, struct expiry_snapshot *ret_snapshot);
void expiry_snapshot_release(struct expiry_snapshot *snapshot);

/* Logs what of a state is within a step at `now_s` (seconds since 1970). */
void expiry_log(const struct server_state *state, int64_t now_s);

#endif
