/*
 * agent/events.h — what happened to a client, for whoever asks (certpost/client.h).
 *
 * A short ring: a caller that does not ask loses the oldest, never the last event, and
 * acknowledgements are merged.
 */
#ifndef AGENT_EVENTS_H
#define AGENT_EVENTS_H

#include "certpost/client.h"

enum { EVENTS_MAX = 16 };

struct events {
    struct certpost_event ring[EVENTS_MAX];
    size_t first;
    size_t count;
};

/* A new event at the end, zeroed, to be filled in; never NULL. */
struct certpost_event *events_add(struct events *events, enum certpost_event_type type);

/* The same, or the newest event if that is of the type already. */
struct certpost_event *events_merge(struct events *events, enum certpost_event_type type);

bool events_take(struct events *events, struct certpost_event *ret_event);

#endif
