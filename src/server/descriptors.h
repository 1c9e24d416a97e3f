/*
 * server/descriptors.h — how many connections the process has descriptors for.
 */
#ifndef SERVER_DESCRIPTORS_H
#define SERVER_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * How many the process has open now, and two or three more. To be asked when everything that is
 * long-lived is open, and before the first connection.
 */
size_t descriptors_open(void);

/* The descriptors of so many connections, of what is open besides, and what has to be left free. */
size_t descriptors_needed(size_t connections, size_t open_besides);

/* How many the process can come to have: its soft limit, or with `may_raise` its hard one. */
size_t descriptors_most(bool may_raise);

/*
 * For how many connections the process's soft limit of descriptors suffices, at most `wanted` and
 * at least 1. With `may_raise` it is raised first, as far as these need and the hard limit lets it.
 * `open_besides` are taken by other things than connections. What it leaves free covers files that
 * are opened for a moment, such as those of a reload.
 */
size_t descriptors_fit(size_t wanted, size_t open_besides, bool may_raise);

#endif
