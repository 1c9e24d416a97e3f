/*
 * events.c — a ring of events (agent/events.h).
 *
 * Uses: libc.  Used by: client*.c.  Never: allocates.
 */
#include "agent/events.h"

static struct certpost_event *events_newest(struct events *events)
{
    return &events->ring[(events->first + events->count - 1) % EVENTS_MAX];
}

/*
 * Drops the oldest event to make room. An ACKED is not dropped for good: later ones say all that it
 * said, because each speaks of everything up to its position.
 */
static void events_drop_oldest(struct events *events)
{
    events->first = (events->first + 1) % EVENTS_MAX;
    events->count--;
}

struct certpost_event *events_add(struct events *events, enum certpost_event_type type)
{
    if (events->count == EVENTS_MAX)
        events_drop_oldest(events);
    events->count++;
    struct certpost_event *event = events_newest(events);
    *event = (struct certpost_event){.type = type};
    return event;
}

struct certpost_event *events_merge(struct events *events, enum certpost_event_type type)
{
    if (events->count > 0 && events_newest(events)->type == type)
        return events_newest(events);
    return events_add(events, type);
}

bool events_take(struct events *events, struct certpost_event *ret_event)
{
    if (events->count == 0)
        return false;
    *ret_event = events->ring[events->first];
    events_drop_oldest(events);
    return true;
}
