/*
 * server/descriptors.h — how many connections the process has descriptors for.
 */
#ifndef SERVER_DESCRIPTORS_H
#define SERVER_DESCRIPTORS_H

#include <stddef.h>

/*
 * Raises the process's soft limit of descriptors as far as `wanted` connections need and the hard
 * limit lets it, and returns for how many connections it suffices, at most `wanted` and at least 1.
 * To be called when everything else that is long-lived is open. What it leaves free covers files
 * that are opened for a moment, such as those of a reload.
 */
size_t descriptors_fit(size_t wanted);

#endif
