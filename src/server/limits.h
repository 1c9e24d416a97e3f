/*
 * server/limits.h — what all workers together may hold: connections, in all and per address, and
 * bytes that are read and not yet safe.
 *
 * Counting is the only thing that connections on different threads share, and it happens when a
 * connection comes or goes and when messages go to the writer or come back, never for each byte.
 * A worker that was told to wait says so (limits_wait), and is woken when something was given back.
 *
 * Threads: any.
 */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include "server/config.h"

#include "certpost/error.h"

#include <sys/socket.h>

struct limits;

/* `wake` is called, on any thread, for a worker that waits; its argument is the worker's index. */
CERTPOST_MUST_CHECK
enum certpost_status limits_new(size_t worker_count, void (*wake)(void *argument, size_t worker),
                                void *argument, struct limits **ret_limits,
                                struct certpost_error *error);
void limits_free(struct limits *limits);

/* What holds from now on; connections that are there already stay. */
void limits_set(struct limits *limits, const struct config_limits *values);

/* Takes one of the places for connections, which are kept until what was read from them is safe;
 * false when all are taken. */
CERTPOST_MUST_CHECK
bool limits_take_connection(struct limits *limits);
void limits_return_connection(struct limits *limits);

/* How many are taken now. */
size_t limits_connection_count(const struct limits *limits);

/* One of the places of `peer`'s address; false when all are taken, or there is no memory to count.
 */
CERTPOST_MUST_CHECK
bool limits_take_address(struct limits *limits, const struct sockaddr *peer);
void limits_return_address(struct limits *limits, const struct sockaddr *peer);

/* Counts bytes that were read and are not safe yet; they may pass the limit by one message. */
void limits_add_pending(struct limits *limits, size_t bytes);
void limits_remove_pending(struct limits *limits, size_t bytes);
bool limits_pending_is_full(const struct limits *limits);

/*
 * Counts bytes of messages that have begun and not ended; false when there is no room for so many
 * more, and nothing is counted then. Their bound is that of pending bytes, and apart from it:
 * nobody who holds back the end of a message holds up those who send whole ones.
 */
CERTPOST_MUST_CHECK
bool limits_take_unfinished(struct limits *limits, size_t bytes);
void limits_return_unfinished(struct limits *limits, size_t bytes);

/* How it stands. */
struct limits_now {
    size_t max_connections;
    size_t pending_bytes;
    size_t max_pending_bytes;
    size_t unfinished_bytes;
};
struct limits_now limits_look(const struct limits *limits);

/* Asks to be woken when a connection's place or pending bytes have been given back. */
void limits_wait(struct limits *limits, size_t worker);

#endif
