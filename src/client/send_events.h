/*
 * client/send_events.h — what a person or a program sees of a delivery by certpost/1 while it goes
 * on: replies on standard output, notes on standard error, or events as JSON on standard output.
 */
#ifndef CLIENT_SEND_EVENTS_H
#define CLIENT_SEND_EVENTS_H

#include "client/progress.h"
#include "client/send_options.h"

#include "certpost/client.h"

struct send_events {
    const struct send_options *options; /* borrowed */
    struct progress progress;
    uint64_t replied_position; /* messages before this one have had their reply printed */
    bool said_spooled;         /* the event "spooled" has come, with: */
    uint64_t spooled_seq;
    bool was_connected; /* the last that was said is that there is a connection */
    bool said_trouble;  /* the last that was said is that there is none */
};

/* Messages before `first_position` are of earlier runs: no reply is printed for them. */
void send_events_init(struct send_events *events, const struct send_options *options,
                      uint64_t first_position);

/*
 * Shows one event. Errors: LOCAL_IO: standard output takes no more; NO_MEMORY. What the event says
 * is true all the same.
 */
CERTPOST_MUST_CHECK
enum certpost_status send_events_show(struct send_events *events,
                                      const struct certpost_event *event,
                                      const struct certpost_client_facts *facts,
                                      struct certpost_error *error);

/*
 * With --json and a spool, the event "spooled": once at the start, and whenever the spool has made
 * more messages safe. Errors as send_events_show.
 */
CERTPOST_MUST_CHECK
enum certpost_status send_events_spooled(struct send_events *events,
                                         const struct certpost_client_facts *facts,
                                         struct certpost_error *error);

/* What the event "done" says; the counts are those of the last line on standard error. */
struct send_done {
    uint64_t given;
    uint64_t acknowledged;
    uint64_t already_there;
    uint64_t not_compared; /* of these */
    uint64_t spooled;
    bool interrupted;
};

/* The event "done" with --json, nothing else without. Errors as send_events_show. */
CERTPOST_MUST_CHECK
enum certpost_status send_events_done(struct send_events *events, const struct send_done *done,
                                      const struct certpost_client_facts *facts,
                                      struct certpost_error *error);

#endif
