/*
 * client/send_give_up.h — when a run that keeps its messages in a spool has tried long enough.
 *
 * While input comes, a spool takes it whether there is a server or not, so the client library goes
 * on for ever and the time that --retry-for gives begins here, at the end of the input.
 */
#ifndef CLIENT_SEND_GIVE_UP_H
#define CLIENT_SEND_GIVE_UP_H

#include "certpost/client.h"

#include <stdbool.h>
#include <stdint.h>

struct send_give_up {
    int64_t retry_for_ms;     /* CLOCK_NEVER_MS: this module never gives up */
    int64_t last_progress_ms; /* the end of the input, or an acknowledgement since */
    bool input_ended;
    bool between_rounds; /* a round of attempts has failed, the next one waits for its time */
    struct certpost_error reason;
};

void send_give_up_init(struct send_give_up *give_up, int64_t retry_for_ms);
void send_give_up_input_ended(struct send_give_up *give_up, int64_t now_ms);
void send_give_up_event(struct send_give_up *give_up, const struct certpost_event *event,
                        int64_t now_ms);

/* When to ask send_give_up_is_due; CLOCK_NEVER_MS for never. */
int64_t send_give_up_deadline_ms(const struct send_give_up *give_up);
bool send_give_up_is_due(const struct send_give_up *give_up, int64_t now_ms);

#endif
