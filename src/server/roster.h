/*
 * server/roster.h — who is connected now, told by the workers to whoever asks.
 *
 * Connections belong to their workers, and no lock is on their path, so nobody else can look at
 * them. The roster asks: it marks each worker's sheet as wanted and wakes its loop; each worker
 * fills in its own sheet and hands it in. A worker that does not answer in time is told as such;
 * its sheet stays its own until it has handed it in, however late that is.
 *
 * What a sheet holds is bounded: of a worker with more connections than ROSTER_LOOK_MAX the newest
 * are looked at, and of these the ROSTER_ROWS_MAX with the most unacknowledged messages are told.
 * Its memory is made when somebody asks for the first time.
 *
 * Threads: roster_collect and what it returns: one thread at a time. The functions for a worker:
 * that worker's thread, which pays one atomic load in a wake-up when nobody asks.
 */
#ifndef SERVER_ROSTER_H
#define SERVER_ROSTER_H

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ROSTER_ROWS_MAX = 1000,
    ROSTER_LOOK_MAX = 10 * 1000,
    ROSTER_NAME_BYTES = 256,   /* longer identities and stream names are cut */
    ROSTER_ADDRESS_BYTES = 72, /* of an IPv6 address with a zone, its port and a NUL */
};

/* Bytes that a peer chose; any value. */
struct roster_name {
    size_t length; /* as it is, also where it is cut here */
    unsigned char bytes[ROSTER_NAME_BYTES];
};

/* One connection. Strings that are pointers are static. */
struct roster_row {
    char address[ROSTER_ADDRESS_BYTES];
    const char *state;    /* of net_conn_state_name */
    const char *exchange; /* NULL during the handshake */
    const char *tls;      /* the version; NULL during the handshake */
    const char *waits;    /* why nothing is read from it now; NULL: it is */
    bool is_resumed;
    struct roster_name identity;
    struct roster_name stream;
    uint64_t age_ms;
    uint64_t message_count;
    uint64_t message_bytes;
    uint64_t unacked_count;
    uint64_t unacked_bytes; /* as the window counts them, with what each message costs besides */
};

/* What one worker tells. */
struct roster_sheet {
    size_t connection_count; /* all it has */
    size_t row_count;
    struct roster_row *rows; /* room for ROSTER_ROWS_MAX */
};

struct roster;

/* `wake` is called by roster_collect for a worker; its argument is the worker's index. */
CERTPOST_MUST_CHECK
enum certpost_status roster_new(size_t worker_count, void (*wake)(void *argument, size_t worker),
                                void *argument, struct roster **ret_roster,
                                struct certpost_error *error);

/* After all workers' threads and the last roster_collect. NULL does nothing. */
void roster_free(struct roster *roster);

/* --- for a worker --- */

/* The sheet to fill in, if one is wanted, else NULL. Then roster_hand_in. */
struct roster_sheet *roster_wanted_sheet(struct roster *roster, size_t worker);
void roster_hand_in(struct roster *roster, size_t worker);

/* The worker answers no more. From its thread, at its end. */
void roster_leave(struct roster *roster, size_t worker);

/* --- for who asks --- */

enum roster_answer {
    ROSTER_ANSWERED,
    ROSTER_SILENT, /* asked, and no answer yet: it is busy, or stuck */
    ROSTER_ENDED,  /* its thread has ended */
};

struct roster_view {
    size_t worker_count;
    size_t connection_count;              /* of the workers that answered */
    size_t row_count;                     /* at most ROSTER_ROWS_MAX */
    const struct roster_row *const *rows; /* most unacknowledged first, then the newest */
};

/*
 * Asks all workers and waits for their answers, at most `timeout_ms`. The view is good until the
 * next call. Errors: NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status roster_collect(struct roster *roster, int64_t timeout_ms,
                                    struct roster_view *ret_view);

/* What became of a worker at the last roster_collect, and how many connections it told of. */
enum roster_answer roster_worker(const struct roster *roster, size_t worker,
                                 size_t *ret_connection_count);

/* Keeps what fits of a name. */
void roster_name_set(struct roster_name *name, const void *bytes, size_t length);

/* The bytes that are kept. */
size_t roster_name_kept(const struct roster_name *name);

/* The order of a view: qsort's, for rows behind pointers. */
int roster_compare(const void *a, const void *b);

#endif
